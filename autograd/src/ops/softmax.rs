//! Softmax and log-sum-exp over the last axis: `y = exp(x − lse)`, `lse = ln Σ exp(x)`.
//!
//! Gradients. `∂lse/∂x_j = y_j`, so `lse` gives `dx = y·dl`; and `∂y_i/∂x_j = y_i·(δ_ij − y_j)`, so softmax gives
//! `dx_j = y_j·(dy_j − Σ_i dy_i·y_i)`, which reads the output alone.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::softmax::{logsumexp_bwd, softmax_bwd};
use tensor::Tensor;

/// Softmax.
pub struct Softmax;

impl Op<1, 1> for Softmax {
    const NAME: &'static str = "softmax";
    /// The output.
    type Saved = Tensor;

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], Tensor)> {
        let y = x.softmax()?;
        Ok(([y.clone()], y))
    }
    fn vjp(&self, y: Tensor, [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        dx.add_with(|out, accumulate| softmax_bwd(y.device().backend(), dy.view(), y.view(), out, accumulate))
    }
}

/// Log-sum-exp.
pub struct LogSumExp;

impl Op<1, 1> for LogSumExp {
    const NAME: &'static str = "logsumexp";
    /// Input and output.
    type Saved = [Tensor; 2];

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], [Tensor; 2])> {
        let lse = x.logsumexp()?;
        Ok(([lse.clone()], [x.clone(), lse]))
    }
    fn vjp(
        &self,
        [x, lse]: [Tensor; 2],
        [dl]: [Option<&Tensor>; 1],
        [dx]: [Option<&GradSlot>; 1],
    ) -> Result<()> {
        let (Some(dl), Some(dx)) = (dl, dx) else { return Ok(()) };
        let rows = &x.dims()[..x.rank() - 1];
        let (lse, dl) = (lse.reshape(rows)?, dl.reshape(rows)?);
        dx.add_with(|out, accumulate| {
            logsumexp_bwd(x.device().backend(), x.view(), lse.view(), dl.view(), out, accumulate)
        })
    }
}

impl Var {
    /// `exp(x − m) / Σ exp(x − m)` over the last axis, m the row's maximum.
    pub fn softmax(&self) -> Result<Var> {
        let [y] = apply(Softmax, [self])?;
        Ok(y)
    }
    /// `ln Σ exp(x)` over the last axis, which stays with size 1; in f32 whatever the dtype.
    pub fn logsumexp(&self) -> Result<Var> {
        let [lse] = apply(LogSumExp, [self])?;
        Ok(lse)
    }
    /// `ln softmax(x)` over the last axis, as `x − lse`: in f32, rounded once.
    pub fn log_softmax(&self) -> Result<Var> {
        let x = self.cast(self.value().accumulator())?;
        x.sub(&self.logsumexp()?)?.cast(self.dtype())
    }
}
