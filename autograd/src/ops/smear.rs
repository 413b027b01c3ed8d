//! Smearing: `y_t = x_t + g_t·x_{t−1}`, x (B, T, C), g (B, T). What stands before position 0 is nothing, or a constant row.
//!
//! Gradient. x_t is in y_t and in y_{t+1}: `dx_t = dy_t + g_{t+1}·dy_{t+1}`; and `dg_t = ⟨dy_t, x_{t−1}⟩`. The constant row is the
//! state of a decoder, which nothing upstream is trained through: it gets no gradient.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::smear::{smear_bwd_g, smear_bwd_x};
use tensor::Tensor;

/// The operation.
pub struct Smear {
    /// The row before the first position, (B, C).
    pub prev: Option<Tensor>,
}

impl Op<2, 1> for Smear {
    const NAME: &'static str = "smear";
    /// x if g needs a gradient, g if x needs one.
    type Saved = (Option<Tensor>, Option<Tensor>);

    fn forward(&self, [x, g]: [&Tensor; 2], needs: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        let y = x.smear(g, self.prev.as_ref())?;
        Ok(([y], (needs[1].then(|| x.clone()), needs[0].then(|| g.clone()))))
    }
    fn vjp(
        &self,
        (x, g): Self::Saved,
        [dy]: [Option<&Tensor>; 1],
        [dx, dg]: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        let (b, dy, prev) = (dy.device().backend(), dy.view(), self.prev.as_ref().map(Tensor::view));
        if let (Some(dx), Some(g)) = (dx, g) {
            dx.add_with(|dx, accumulate| smear_bwd_x(b, dy, g.view(), dx, accumulate))?;
        }
        if let (Some(dg), Some(x)) = (dg, x) {
            dg.add_with(|dg, accumulate| smear_bwd_g(b, dy, x.view(), prev, dg, accumulate))?;
        }
        Ok(())
    }
}

impl Var {
    /// `x_t + g_t·x_{t−1}`: (B, T, C) and gates (B, T); `prev` (B, C), a constant, stands before the first position.
    pub fn smear(&self, g: &Var, prev: Option<&Tensor>) -> Result<Var> {
        let [y] = apply(Smear { prev: prev.cloned() }, [self, g])?;
        Ok(y)
    }
}
