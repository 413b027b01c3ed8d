//! Gated activations (Shazeer 2020, arXiv:2002.05202): `y = act(a)∘b` with act ReLU², SiLU or GELU.
//!
//! Gradients, by the product rule: `da = dy∘b∘act'(a)`, `db = dy∘act(a)`, both in one pass. SiLU is `a·σ(a)` with
//! `σ' = σ(a)·σ(−a)`, so its derivative is `σ(a) + a·σ(a)·σ(−a)`; GELU's is in [`super::gelu`].

use crate::{AutogradError, GradSlot, Op, Result, Var, apply};
use kernels::gated::{Activation, gated_bwd};
use tensor::Tensor;

/// The operation.
pub struct Gated(pub Activation);

impl Op<2, 1> for Gated {
    const NAME: &'static str = "gated";
    /// `a` and `b`.
    type Saved = [Tensor; 2];

    fn forward(&self, [a, b]: [&Tensor; 2], _: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        Ok(([a.gated(self.0, b)?], [a.clone(), b.clone()]))
    }
    fn vjp(&self, [a, b]: Self::Saved, [dy]: [Option<&Tensor>; 1], dx: [Option<&GradSlot>; 2]) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        let (mut da, mut db) = (a.uninit_like()?, b.uninit_like()?);
        let (out_a, out_b) = (da.view_mut()?, db.view_mut()?);
        gated_bwd(dy.device().backend(), self.0, a.view(), b.view(), dy.view(), out_a, out_b)
            .map_err(AutogradError::kernel)?;
        [da, db].into_iter().zip(dx).try_for_each(|(g, slot)| slot.map_or(Ok(()), |slot| slot.add(g)))
    }
}

impl Var {
    /// `act(self)∘b`.
    pub fn gated(&self, act: Activation, b: &Var) -> Result<Var> {
        let [y] = apply(Gated(act), [self, b])?;
        Ok(y)
    }
}
