//! Causal grouped-query attention (Vaswani et al. 2017; Ainslie et al. 2023, arXiv:2305.13245), computed in tiles with an
//! online softmax (Dao 2023, "FlashAttention-2", arXiv:2307.08691): no T×T matrix exists, forward or backward.
//!
//! `P = softmax(scale·q·kᵀ + mask)`, `o = P·v`. Saved: q, k, v, o and one log-sum-exp per query.
//!
//! Gradient. `P = exp(scale·q·kᵀ − lse)` is computed again. Through the product, `dv = Pᵀ·do` and `dP = do·vᵀ`; through the
//! softmax, `ds = P∘(dP − rowsum(P∘dP))`, and that row sum is `Σ_j P_j·(do·v_j) = do·o`. So with `δ = rowsum(do∘o)`:
//! `dv = Pᵀ·do`, `ds = P∘(do·vᵀ − δ)`, `dq = scale·ds·k`, `dk = scale·dsᵀ·q`; dk and dv are summed over the query heads
//! of a group.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::attention::attention_bwd;
use tensor::{AttentionParams, Tensor};

/// The operation.
pub struct Attention(pub AttentionParams);

impl Op<3, 1> for Attention {
    const NAME: &'static str = "attention";
    /// q, k, v, o, lse.
    type Saved = [Tensor; 5];

    fn forward(&self, [q, k, v]: [&Tensor; 3], _: [bool; 3]) -> Result<([Tensor; 1], Self::Saved)> {
        let (o, lse) = q.attention(k, v, self.0)?;
        Ok(([o.clone()], [q.clone(), k.clone(), v.clone(), o, lse]))
    }
    fn vjp(
        &self,
        [q, k, v, o, lse]: Self::Saved,
        [d_o]: [Option<&Tensor>; 1],
        dx: [Option<&GradSlot>; 3],
    ) -> Result<()> {
        let Some(d_o) = d_o else { return Ok(()) };
        let (mut dq, mut dk, mut dv) = (q.uninit_like()?, k.uninit_like()?, v.uninit_like()?);
        attention_bwd(
            q.device().backend(),
            q.view(),
            k.view(),
            v.view(),
            o.view(),
            lse.view(),
            d_o.view(),
            self.0,
            dq.view_mut()?,
            dk.view_mut()?,
            dv.view_mut()?,
            false,
        )
        .map_err(crate::AutogradError::kernel)?;
        dx.iter().zip([dq, dk, dv]).filter_map(|(slot, d)| slot.map(|s| s.add(d))).collect()
    }
}

/// Causal attention: q (B, T, H, D), k and v (B, T, Hk, D) → (B, T, H, D); query head h reads kv head ⌊h·Hk/H⌋.
pub fn attention(q: &Var, k: &Var, v: &Var, p: AttentionParams) -> Result<Var> {
    let [o] = apply(Attention(p), [q, k, v])?;
    Ok(o)
}
