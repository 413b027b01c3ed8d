//! RMSNorm: `y = x·r`, `r = 1/sqrt(mean(x²) + eps)`, rows along the last axis (Zhang & Sennrich 2019, arXiv:1910.07467).
//!
//! Gradient. With `m = mean(x²)`, `∂r/∂x_j = −r³·x_j/C`, so
//! `dx_j = r·dy_j + Σ_i dy_i·x_i·(−r³·x_j/C) = r·(dy_j − y_j·mean(dy∘y))`.
//! It reads the output, which the next matmul keeps anyway, and one number per row.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::planted;
use kernels::rms_norm::rms_norm_bwd;
use tensor::Tensor;

/// The operation.
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f64,
}

impl Op<1, 1> for RmsNorm {
    const NAME: &'static str = "rms_norm";
    /// `y` (…, C) and `rstd` (…).
    type Saved = (Tensor, Tensor);

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], Self::Saved)> {
        let (y, rstd) = x.rms_norm(self.eps)?;
        Ok(([y.clone()], (planted!("rms_norm.saves_its_input", y => x.clone()), rstd)))
    }
    fn vjp(
        &self,
        (y, rstd): Self::Saved,
        [dy]: [Option<&Tensor>; 1],
        [dx]: [Option<&GradSlot>; 1],
    ) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let backend = dy.device().backend();
        dx.add_with(|out, accumulate| {
            rms_norm_bwd(backend, dy.view(), y.view(), rstd.view(), out, accumulate)
        })
    }
}

impl Var {
    /// `x / sqrt(mean(x²) + eps)` over the last axis.
    pub fn rms_norm(&self, eps: f64) -> Result<Var> {
        let [y] = apply(RmsNorm { eps }, [self])?;
        Ok(y)
    }
}
