//! The definition, as plain loops in f64.

use super::ExampleOp;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl ExampleOp for Reference {
    // ANCHOR: definition
    fn example_op_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        let mut values = host("example_op_fwd", "x", x.to_f64())?;
        for v in &mut values {
            let x = *v;
            *v = x * x * x / (1.0 + x * x);
        }
        host("example_op_fwd", "y", y.store_f64(&values).then_some(()))
    }
    // ANCHOR_END: definition
    // BEGIN gradient

    fn example_op_bwd(&self, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "example_op_bwd";
        let (x, dy) = (host(OP, "x", x.to_f64())?, host(OP, "dy", dy.to_f64())?);
        let mut dxs = host(OP, "dx", dx.as_view().to_f64())?;
        for i in 0..x.len() {
            let square = x[i] * x[i];
            let g = dy[i] * square * (3.0 + square) / ((1.0 + square) * (1.0 + square));
            dxs[i] = if accumulate { dxs[i] + g } else { g };
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }
    // END gradient
}
