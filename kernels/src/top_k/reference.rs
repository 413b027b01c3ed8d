//! The definition of the largest elements: sort everything.

use super::TopK;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// Indices of `row` from the largest value to the smallest: NaN first, ties (and −0 with 0) by lowest index.
pub(crate) fn descending(row: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&i, &j| {
        let by_value = row[j].partial_cmp(&row[i]).unwrap_or(row[j].is_nan().cmp(&row[i].is_nan()));
        by_value.then(i.cmp(&j))
    });
    order
}

impl TopK for Reference {
    fn top_k(&self, x: View, mut values: ViewMut, mut indices: ViewMut) -> Result<()> {
        let (rows, v, k) = (x.dims()[0], x.dims()[1], values.dims()[1]);
        let x = host("top_k", "x", x.to_f64())?;
        let (mut best, mut at) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let row = &x[row * v..][..v];
            for &i in &descending(row)[..k] {
                best.push(row[i]);
                at.push(i as f64);
            }
        }
        host("top_k", "values", (values.store_f64(&best) && indices.store_f64(&at)).then_some(()))
    }
}
