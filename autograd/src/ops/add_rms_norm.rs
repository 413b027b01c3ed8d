//! The residual sum and the RMSNorm of it, fused: `h = x + r`, `y = h·s`, `s = 1/sqrt(mean(h²) + eps)`.
//!
//! Gradient. `h` is used twice, as a result and by the norm, so its gradient is the sum of two (for the second see
//! [`super::rms_norm`]); and a sum hands its gradient to both terms: `dx = dr = dh + s·(dy − y·mean(dy∘y))`.

use crate::{AutogradError, GradSlot, Op, Result, Var, apply};
use kernels::add_rms_norm::add_rms_norm_bwd;
use kernels::rms_norm::rms_norm_bwd;
use tensor::Tensor;

/// The operation.
pub struct AddRmsNorm {
    /// Added to the mean square.
    pub eps: f64,
}

impl Op<2, 2> for AddRmsNorm {
    const NAME: &'static str = "add_rms_norm";
    /// `y` (…, C) and `rstd` (…).
    type Saved = (Tensor, Tensor);

    fn forward(&self, [x, r]: [&Tensor; 2], _: [bool; 2]) -> Result<([Tensor; 2], Self::Saved)> {
        let (h, y, rstd) = x.add_rms_norm(r, self.eps)?;
        Ok(([h, y.clone()], (y, rstd)))
    }
    fn vjp(
        &self,
        (y, rstd): Self::Saved,
        [dh, dy]: [Option<&Tensor>; 2],
        dx: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        let g = match (dh, dy) {
            (Some(dh), None) => dh.clone(),
            (dh, Some(dy)) => {
                let (backend, mut g) = (dy.device().backend(), y.uninit_like()?);
                let (out, s) = (g.view_mut()?, rstd.view());
                match dh {
                    Some(dh) => add_rms_norm_bwd(backend, dh.view(), dy.view(), y.view(), s, out),
                    None => rms_norm_bwd(backend, dy.view(), y.view(), s, out, false),
                }
                .map_err(AutogradError::kernel)?;
                g
            }
            (None, None) => return Ok(()),
        };
        dx.into_iter().flatten().try_for_each(|slot| slot.add(g.clone())) // one memory, until somebody adds to it
    }
}

impl Var {
    /// `h = self + r` and `h / sqrt(mean(h²) + eps)` over the last axis; no broadcasting.
    pub fn add_rms_norm(&self, r: &Var, eps: f64) -> Result<(Var, Var)> {
        let [h, y] = apply(AddRmsNorm { eps }, [self, r])?;
        Ok((h, y))
    }
}
