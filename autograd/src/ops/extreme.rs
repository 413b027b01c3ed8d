//! Maximum and minimum over axes, kept with size 1. Gradient: `dy` goes to the element that was the largest; where several
//! were, each gets an equal share, the mean of the slopes in all directions. Beside a NaN no element is smaller than the
//! result, so all share alike.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::compare::CompareOp;
use tensor::Tensor;

/// The operation.
pub struct Extreme {
    /// The maximum, not the minimum?
    pub largest: bool,
    /// Axes to reduce.
    pub axes: Vec<usize>,
}

impl Op<1, 1> for Extreme {
    const NAME: &'static str = "extreme";
    /// Input and result.
    type Saved = [Tensor; 2];

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], [Tensor; 2])> {
        let y = if self.largest { x.max(&self.axes)? } else { x.min(&self.axes)? };
        Ok(([y.clone()], [x.clone(), y]))
    }
    fn vjp(
        &self,
        [x, y]: [Tensor; 2],
        [dy]: [Option<&Tensor>; 1],
        [dx]: [Option<&GradSlot>; 1],
    ) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let beaten = x.compare(if self.largest { CompareOp::Lt } else { CompareOp::Gt }, &y)?;
        let (wide, one) = (x.accumulator(), Tensor::full(1.0, &[], x.accumulator(), x.device())?);
        let sharers = beaten.select(&one.affine(0.0, 0.0)?, &one)?.sum(&self.axes)?;
        let share = dy.cast(wide)?.div(&sharers)?.cast(x.dtype())?;
        dx.add(beaten.select(&Tensor::zeros(&[], x.dtype(), x.device())?, &share)?)
    }
}

impl Var {
    /// max over `axes`, which stay with size 1.
    pub fn max(&self, axes: &[usize]) -> Result<Var> {
        let [y] = apply(Extreme { largest: true, axes: axes.to_vec() }, [self])?;
        Ok(y)
    }
    /// min over `axes`, which stay with size 1.
    pub fn min(&self, axes: &[usize]) -> Result<Var> {
        let [y] = apply(Extreme { largest: false, axes: axes.to_vec() }, [self])?;
        Ok(y)
    }
}
