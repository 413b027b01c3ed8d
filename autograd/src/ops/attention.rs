//! Causal grouped-query attention (Vaswani et al. 2017; Ainslie et al. 2023, arXiv:2305.13245), computed in tiles with an
//! online softmax (Dao 2023, "FlashAttention-2", arXiv:2307.08691): no T×T matrix exists, forward or backward.
//!
//! `P = softmax(scale·q·kᵀ + mask)`, `o = P·v`. Saved: q, k, v, o and one log-sum-exp per query. Backward recomputes
//! `P = exp(scale·q·kᵀ − lse)`; with `δ = rowsum(do∘o)`: `dv = Pᵀ·do`, `ds = P∘(do·vᵀ − δ)`, `dq = scale·ds·k`, `dk = scale·dsᵀ·q`;
//! dk and dv are summed over the query heads of a group.

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

/// [`attention`] from small operations, with the T×T matrix.
pub fn attention_composite(q: &Var, k: &Var, v: &Var, p: AttentionParams) -> Result<Var> {
    let &[b, t, h, d] = q.dims() else { unreachable!("checked by the samples: q is (B, T, H, D)") };
    let hk = k.dims()[2];
    let group = [b, hk, h / hk, t, d];
    let grouped = |x: &Var| x.reshape(&[b, t, hk, 1, d])?.permute(&[0, 2, 3, 1, 4])?.expand(&group);
    let q = q.reshape(&[b, t, hk, h / hk, d])?.permute(&[0, 2, 3, 1, 4])?; // (B, Hk, G, T, D)
    let scores = q.matmul(&grouped(k)?.transpose(3, 4)?)?.affine(p.scale as f64, 0.0)?;
    let visible = |i: usize, j: usize| j <= i && p.window.is_none_or(|w| i - j <= w);
    let mask: Vec<f64> = (0..t * t).map(|at| if visible(at / t, at % t) { 0.0 } else { -1e30 }).collect();
    let x = q.value();
    let scores = scores.add(&Var::constant(Tensor::from_f64(&mask, &[t, t], x.dtype(), x.device())?))?;
    let probabilities = scores.softmax_composite()?;
    let o = probabilities.matmul(&grouped(v)?)?; // (B, Hk, G, T, D)
    o.permute(&[0, 3, 1, 2, 4])?.contiguous()?.reshape(&[b, t, h, d])
}
