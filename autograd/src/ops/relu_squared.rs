//! ReLU²: `y = max(x, 0)²` (So et al. 2021, "Primer", arXiv:2109.08668). Gradient: `dx = 2·max(x, 0)·dy`.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::relu_squared::relu_squared_bwd;
use tensor::Tensor;

/// The operation.
pub struct ReluSquared;

impl Op<1, 1> for ReluSquared {
    const NAME: &'static str = "relu_squared";
    /// `x`.
    type Saved = Tensor;

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], Tensor)> {
        Ok(([x.relu_squared()?], x.clone()))
    }
    fn vjp(&self, x: Tensor, [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let backend = dy.device().backend();
        dx.add_with(|out, accumulate| relu_squared_bwd(backend, x.view(), dy.view(), out, accumulate))
    }
}

impl Var {
    /// `max(x, 0)²`.
    pub fn relu_squared(&self) -> Result<Var> {
        let [y] = apply(ReluSquared, [self])?;
        Ok(y)
    }
}
