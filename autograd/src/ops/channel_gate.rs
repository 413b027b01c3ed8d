//! A gate per head from the first channels of a row: `g = scale·σ(a)`, `a = x[…, :n]·Wᵀ`; W (heads, n), g (…, heads).
//!
//! Gradient. `σ' = σ(1 − σ)`, so `da = dg·g·(1 − g/scale)`; a is linear in both inputs: `dx[:n] += da·W`, `dW += daᵀ·x[:n]`.
//! Channels from n on get nothing.

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
    /// g; x if W needs a gradient; W if x needs one.
    type Saved = (Tensor, Option<Tensor>, Option<Tensor>);

    fn forward(&self, [x, w]: [&Tensor; 2], needs: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        let g = x.channel_gate(w, self.scale)?;
        Ok(([g.clone()], (g, needs[1].then(|| x.clone()), needs[0].then(|| w.clone()))))
    }
    fn vjp(
        &self,
        (g, x, w): Self::Saved,
        [dg]: [Option<&Tensor>; 1],
        [dx, dw]: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        let Some(dg) = dg else { return Ok(()) };
        let (b, dg, g, scale) = (dg.device().backend(), dg.view(), g.view(), self.scale);
        if let (Some(dx), Some(w)) = (dx, w) {
            dx.add_with(|dx, accumulate| channel_gate_bwd_x(b, dg, g, w.view(), scale, dx, accumulate))?;
        }
        if let (Some(dw), Some(x)) = (dw, x) {
            dw.add_with(|dw, accumulate| channel_gate_bwd_w(b, dg, g, x.view(), scale, dw, accumulate))?;
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
