//! The definition of the squared rectifier and its gradient.

use super::ReluSquared;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// `max(x, 0)`, NaN for NaN.
fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

impl ReluSquared for Reference {
    fn relu_squared_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        let mut values = host("relu_squared_fwd", "x", x.to_f64())?;
        for v in &mut values {
            *v = relu(*v) * relu(*v);
        }
        host("relu_squared_fwd", "y", y.store_f64(&values).then_some(()))
    }

    fn relu_squared_bwd(&self, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "relu_squared_bwd";
        let (x, dy) = (host(OP, "x", x.to_f64())?, host(OP, "dy", dy.to_f64())?);
        let mut dxs = host(OP, "dx", dx.as_view().to_f64())?;
        for i in 0..x.len() {
            let g = 2.0 * relu(x[i]) * dy[i];
            dxs[i] = if accumulate { dxs[i] + g } else { g };
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }
}
