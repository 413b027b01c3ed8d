//! The definition of sorting: the standard library's stable sort, by value, with NaN behind everything.

use super::Sort;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// Indices of `row` in order.
pub(super) fn order(row: &[f64], descending: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&i, &j| {
        let (first, second) = if descending { (row[j], row[i]) } else { (row[i], row[j]) };
        first.partial_cmp(&second).unwrap_or(row[i].is_nan().cmp(&row[j].is_nan()))
    });
    order
}

impl Sort for Reference {
    fn sort(&self, descending: bool, x: View, mut values: ViewMut, mut indices: ViewMut) -> Result<()> {
        let c = x.layout().rows().1;
        let (mut sorted, mut at) = (Vec::new(), Vec::new());
        for row in host("sort", "x", x.to_f64())?.chunks(c) {
            for i in order(row, descending) {
                sorted.push(row[i]);
                at.push(i as f64);
            }
        }
        host("sort", "values", (values.store_f64(&sorted) && indices.store_f64(&at)).then_some(()))
    }
}
