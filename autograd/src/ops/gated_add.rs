//! A gated value per head: `y = v + g⊙u`, g (…, heads) repeated over the head vectors v, u, y (…, heads, D).
//!
//! Gradient: `dv = dy`; `du = g·dy`; g meets every element of its head, so `dg = Σ_D dy·u`.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::gated_add::{gated_add_bwd_g, gated_add_bwd_u};
use tensor::Tensor;

/// The operation.
pub struct GatedAdd;

impl Op<3, 1> for GatedAdd {
    const NAME: &'static str = "gated_add";
    /// g if u needs a gradient, u if g needs one.
    type Saved = (Option<Tensor>, Option<Tensor>);

    fn forward(&self, [v, g, u]: [&Tensor; 3], needs: [bool; 3]) -> Result<([Tensor; 1], Self::Saved)> {
        Ok(([v.gated_add(g, u)?], (needs[2].then(|| g.clone()), needs[1].then(|| u.clone()))))
    }
    fn vjp(
        &self,
        (g, u): Self::Saved,
        [dy]: [Option<&Tensor>; 1],
        [dv, dg, du]: [Option<&GradSlot>; 3],
    ) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        let backend = dy.device().backend();
        if let Some(dv) = dv {
            dv.add(dy.clone())?;
        }
        if let (Some(du), Some(g)) = (du, g) {
            du.add_with(|du, accumulate| gated_add_bwd_u(backend, dy.view(), g.view(), du, accumulate))?;
        }
        if let (Some(dg), Some(u)) = (dg, u) {
            dg.add_with(|dg, accumulate| gated_add_bwd_g(backend, dy.view(), u.view(), dg, accumulate))?;
        }
        Ok(())
    }
}

impl Var {
    /// `v + g·u`: head vectors (…, heads, D), one gate (…, heads) for each.
    pub fn gated_add(&self, g: &Var, u: &Var) -> Result<Var> {
        let [y] = apply(GatedAdd, [self, g, u])?;
        Ok(y)
    }
}
