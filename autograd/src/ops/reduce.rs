//! Sum over axes (kept, with size 1): `y = Σ x`.
//!
//! Gradient. Every term enters its sum with factor 1, so `dx = dy`, repeated along the summed axes by stride 0.

use crate::{GradSlot, Op, Result, Var, apply};
use tensor::Tensor;

/// The operation.
pub struct Sum {
    /// Axes to sum over.
    pub axes: Vec<usize>,
}

impl Op<1, 1> for Sum {
    const NAME: &'static str = "sum";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([x.sum(&self.axes)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        dx.add(dy.expand(dx.dims())?)
    }
}

impl Var {
    /// Σ over `axes`, which stay with size 1.
    pub fn sum(&self, axes: &[usize]) -> Result<Var> {
        let [y] = apply(Sum { axes: axes.to_vec() }, [self])?;
        Ok(y)
    }
}
