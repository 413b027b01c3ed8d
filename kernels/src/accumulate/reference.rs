//! The definition of adding into a tensor.

use super::Accumulate;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Accumulate for Reference {
    fn accumulate(&self, alpha: f64, x: View, mut y: ViewMut) -> Result<()> {
        let x = host("accumulate", "x", x.to_f64())?;
        let mut ys = host("accumulate", "y", y.as_view().to_f64())?;
        for i in 0..x.len() {
            ys[i] += alpha * x[i];
        }
        host("accumulate", "y", y.store_f64(&ys).then_some(()))
    }

    fn accumulate_scaled(&self, alpha: View, x: View, y: ViewMut) -> Result<()> {
        let alpha = host("accumulate_scaled", "alpha", alpha.to_f64())?;
        self.accumulate(alpha[0], x, y)
    }
}
