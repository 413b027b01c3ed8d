//! Rotary positions and the norm of queries and keys, fused: `y = gain·z·s`, `z = R·x`, `s = 1/sqrt(mean(z²) + eps)`, R the
//! rotation of [`super::rope`] at each token's position.
//!
//! Gradient. With `n = z·s = y/gain` and `dn = gain·dy`, [`super::rms_norm`] gives `dz = s·(dn − n·mean(dn∘n))
//! = s·(gain·dy − y·mean(dy∘y)/gain)`, and the rotation is linear: `dx = Rᵀ·dz`, the rotation back. It reads the output, which
//! attention keeps anyway, and one number per head vector; x is not kept.

use super::rope::Rope;
use crate::{GradSlot, Op, Result, Var, apply};
use kernels::rope_norm::{Rotation, rope_norm_bwd};
use tensor::Tensor;

/// The operation, with its constants.
pub struct RopeNorm {
    /// Positions and tables.
    pub rope: Rope,
    /// Factor of the normalised vector; positive.
    pub gain: f64,
    /// Added to the mean square.
    pub eps: f64,
}

impl Op<1, 1> for RopeNorm {
    const NAME: &'static str = "rope_norm";
    /// `y` (B, T, H, D) and `rstd` (B, T, H).
    type Saved = (Tensor, Tensor);

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], Self::Saved)> {
        let Rope { positions, cos, sin } = &self.rope;
        let (y, rstd) = x.rope_norm(positions, cos, sin, self.gain, self.eps)?;
        Ok(([y.clone()], (y, rstd)))
    }
    fn vjp(
        &self,
        (y, rstd): Self::Saved,
        [dy]: [Option<&Tensor>; 1],
        [dx]: [Option<&GradSlot>; 1],
    ) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let [positions, cos, sin] = [&self.rope.positions, &self.rope.cos, &self.rope.sin].map(Tensor::view);
        let (backend, rotation) = (dy.device().backend(), Rotation { positions, cos, sin });
        dx.add_with(|out, accumulate| {
            rope_norm_bwd(backend, dy.view(), y.view(), rstd.view(), rotation, self.gain, out, accumulate)
        })
    }
}

impl Var {
    /// [`Var::rope`], then [`Var::rms_norm`] of every head vector, times `gain`.
    pub fn rope_norm(&self, rope: Rope, gain: f64, eps: f64) -> Result<Var> {
        let [y] = apply(RopeNorm { rope, gain, eps }, [self])?;
        Ok(y)
    }
}
