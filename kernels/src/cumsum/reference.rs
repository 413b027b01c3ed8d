//! The definition of cumulative sums.

use super::CumSum;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl CumSum for Reference {
    fn cumsum(&self, axis: usize, reverse: bool, x: View, mut y: ViewMut) -> Result<()> {
        let n = x.dims()[axis];
        let inner: usize = x.dims()[axis + 1..].iter().product();
        let mut values = host("cumsum", "x", x.to_f64())?;
        for line in 0..values.len() / n {
            let first = line / inner * n * inner + line % inner;
            let mut sum = 0.0;
            for step in 0..n {
                let i = if reverse { n - 1 - step } else { step };
                sum += values[first + i * inner];
                values[first + i * inner] = sum;
            }
        }
        host("cumsum", "y", y.store_f64(&values).then_some(()))
    }
}
