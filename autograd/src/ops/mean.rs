//! Mean over axes, kept with size 1, and the variance made of it. Gradient of a mean of n elements: `dy/n`, repeated.

use crate::{GradSlot, Op, Result, Var, apply};
use tensor::Tensor;

/// The operation.
pub struct Mean {
    /// Axes to average over.
    pub axes: Vec<usize>,
}

impl Op<1, 1> for Mean {
    const NAME: &'static str = "mean";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([x.mean(&self.axes)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let n = dx.dims().iter().product::<usize>() / dy.numel().max(1);
        dx.add(dy.affine(1.0 / n as f64, 0.0)?.expand(dx.dims())?)
    }
}

impl Var {
    /// Mean over `axes`, which stay with size 1; NaN where there is nothing to average.
    pub fn mean(&self, axes: &[usize]) -> Result<Var> {
        let [y] = apply(Mean { axes: axes.to_vec() }, [self])?;
        Ok(y)
    }
    /// `mean((x − mean x)²)` over `axes`, of small operations in f32: two passes, so that a large mean costs no digits.
    pub fn variance(&self, axes: &[usize]) -> Result<Var> {
        let x = self.cast(self.value().accumulator())?;
        x.sub(&x.mean(axes)?)?.square()?.mean(axes)?.cast(self.dtype())
    }
}
