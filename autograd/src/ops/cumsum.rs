//! Cumulative sum along an axis. `∂y_i/∂x_j` is 1 for `j ≤ i`, so `dx_j = Σ_{i ≥ j} dy_i`: the sum the other way round.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::planted;
use tensor::Tensor;

/// The operation.
pub struct CumSum {
    /// Axis to sum along.
    pub axis: usize,
    /// From the end?
    pub reverse: bool,
}

impl Op<1, 1> for CumSum {
    const NAME: &'static str = "cumsum";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([x.cumsum(self.axis, self.reverse)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let reverse = planted!("cumsum.gradient_not_reversed", !self.reverse => self.reverse);
        dx.add(dy.cumsum(self.axis, reverse)?)
    }
}

impl Var {
    /// `y[i] = Σ_{j ≤ i} x[j]` along `axis`, or `Σ_{j ≥ i}` if `reverse`.
    pub fn cumsum(&self, axis: usize, reverse: bool) -> Result<Var> {
        let [y] = apply(CumSum { axis, reverse }, [self])?;
        Ok(y)
    }
}
