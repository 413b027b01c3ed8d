//! A gate per head from the first channels of a row: `g = scale·σ(a)`, `a = x[…, :n]·Wᵀ`; W (heads, n), g (…, heads).
//!
//! Gradient. `σ' = σ(1 − σ)`, so `da = dg·scale·σ(1 − σ)`; a is linear in both inputs: `dx[:n] += da·W`, `dW += daᵀ·x[:n]`.
//! Channels from n on get nothing. a is computed again: the rounded gate has forgotten how far from its ends it was.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::channel_gate::{channel_gate_bwd_w, channel_gate_bwd_x};
use tensor::Tensor;

/// The operation.
pub struct ChannelGate {
    /// The gate's upper end.
    pub scale: f64,
}

impl Op<2, 1> for ChannelGate {
    const NAME: &'static str = "channel_gate";
    /// x and W.
    type Saved = [Tensor; 2];

    fn forward(&self, [x, w]: [&Tensor; 2], _: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        Ok(([x.channel_gate(w, self.scale)?], [x.clone(), w.clone()]))
    }
    fn vjp(
        &self,
        [x, w]: Self::Saved,
        [dg]: [Option<&Tensor>; 1],
        [dx, dw]: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        let Some(dg) = dg else { return Ok(()) };
        let (b, dg, x, w, scale) = (dg.device().backend(), dg.view(), x.view(), w.view(), self.scale);
        if let Some(dx) = dx {
            dx.add_with(|dx, accumulate| channel_gate_bwd_x(b, dg, x, w, scale, dx, accumulate))?;
        }
        if let Some(dw) = dw {
            dw.add_with(|dw, accumulate| channel_gate_bwd_w(b, dg, x, w, scale, dw, accumulate))?;
        }
        Ok(())
    }
}

impl Var {
    /// `scale·σ(x[…, :n]·Wᵀ)`: rows (…, C) and `w` (heads, n) → (…, heads).
    pub fn channel_gate(&self, w: &Var, scale: f64) -> Result<Var> {
        let [g] = apply(ChannelGate { scale }, [self, w])?;
        Ok(g)
    }
}
