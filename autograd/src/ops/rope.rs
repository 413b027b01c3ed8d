//! Rotary position embedding (Su et al. 2021, "RoFormer", arXiv:2104.09864), half-split pairs, rotating by −θ:
//!
//! `y1 = x1·cos + x2·sin`, `y2 = −x1·sin + x2·cos`, where x1 and x2 are the halves of a head vector and θ =
//! position·base^(−2j/D).
//!
//! Gradient. y = R·x with a rotation R, so `dx = Rᵀ·dy`. A rotation's transpose is the rotation back:
//! `dx1 = dy1·cos − dy2·sin`, `dx2 = dy1·sin + dy2·cos`, the same kernel with the angle reversed. Nothing of x is kept.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::planted;
use kernels::rope::rope;
use tensor::Tensor;

/// The operation, with its constants.
pub struct Rope {
    /// Absolute position of every token, i32 (B, T).
    pub positions: Tensor,
    /// cos θ, (P, D/2).
    pub cos: Tensor,
    /// sin θ, (P, D/2).
    pub sin: Tensor,
}

impl Op<1, 1> for Rope {
    const NAME: &'static str = "rope";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([x.rope(&self.positions, &self.cos, &self.sin, false)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let inverse = planted!("rope.gradient_turns_forward", true => false);
        let backend = dy.device().backend();
        let (p, c, s) = (self.positions.view(), self.cos.view(), self.sin.view());
        dx.add_with(|out, accumulate| rope(backend, dy.view(), p, c, s, out, inverse, accumulate))
    }
}

impl Var {
    /// Rotate head vectors (B, T, H, D) by the tables' angles at `positions` (B, T).
    pub fn rope(&self, positions: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Var> {
        let op = Rope { positions: positions.clone(), cos: cos.clone(), sin: sin.clone() };
        let [y] = apply(op, [self])?;
        Ok(y)
    }
}
