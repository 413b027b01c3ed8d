//! Fused operations written once more from small ones: what value and gradient of the fused kernels are compared with.
//!
//! The small operations are checked by themselves, so a composite that agrees is a second derivation of the fused formula and
//! of its gradient. Slow, and with large intermediate tensors: for tests alone. Those of one entry stand beside it.

use autograd::{Result, Var};
use tensor::{AttentionParams, Tensor};

/// RMSNorm over the last axis.
pub fn rms_norm(x: &Var, eps: f64) -> Result<Var> {
    let last = x.dims().len().saturating_sub(1); // a scalar has no axis 0, which is an error below
    let c = x.value().dim(last) as f64;
    let r = x.square()?.sum(&[last])?.affine(1.0 / c, eps)?.rsqrt()?;
    x.mul(&r)
}

/// A linear layer as a matmul with a transposed view.
pub fn linear(x: &Var, w: &Var) -> Result<Var> {
    let (lead, c) = x.dims().split_at(x.dims().len() - 1);
    let rows = x.reshape(&[lead.iter().product(), c[0]])?;
    rows.matmul(&w.cast(x.dtype())?.transpose(0, 1)?)?.reshape(&[lead, &[w.dims()[0]]].concat())
}

/// Softmax over the last axis.
pub fn softmax(x: &Var) -> Result<Var> {
    let e = x.sub(&row_maximum(x)?)?.exp()?;
    e.div(&e.sum(&[x.dims().len() - 1])?)
}

/// Log-sum-exp over the last axis, kept with size 1.
pub fn logsumexp(x: &Var) -> Result<Var> {
    let m = row_maximum(x)?;
    x.sub(&m)?.exp()?.sum(&[x.dims().len() - 1])?.ln()?.add(&m)
}

/// A constant: it cancels.
fn row_maximum(x: &Var) -> Result<Var> {
    let last = x.dims().len().saturating_sub(1); // a scalar has no axis 0, which is an error below
    Ok(Var::constant(x.value().max(&[last])?))
}

/// Attention from small operations, with the T×T matrix.
pub fn attention(q: &Var, k: &Var, v: &Var, p: AttentionParams) -> Result<Var> {
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
    let probabilities = softmax(&scores)?;
    let o = probabilities.matmul(&grouped(v)?)?; // (B, Hk, G, T, D)
    o.permute(&[0, 3, 1, 2, 4])?.contiguous()?.reshape(&[b, t, h, d])
}

/// The weighted loss of the fused head from small operations, with all logits at once.
pub fn lm_head_loss(x: &Var, w: &Var, targets: &Tensor, weight: &Tensor, softcap: f32) -> Result<Var> {
    let (like, vocab) = (x.value(), w.dims()[0]);
    let n = targets.numel();
    let acc = like.accumulator();
    let z = x.linear(w)?.cast(acc)?.reshape(&[n, vocab])?;
    let cap = softcap as f64;
    let z = if cap > 0.0 { z.affine(1.0 / cap, 0.0)?.tanh()?.affine(cap, 0.0)? } else { z };
    let max = Var::constant(z.value().max(&[1])?);
    let lse = z.sub(&max)?.exp()?.sum(&[1])?.ln()?.add(&max)?; // (N, 1)
    let (mut onehot, mut valid) = (vec![0.0; n * vocab], vec![0.0; n]);
    for (row, target) in targets.to_vec::<i32>()?.into_iter().enumerate().filter(|(_, t)| *t >= 0) {
        onehot[row * vocab + target as usize] = 1.0;
        valid[row] = 1.0;
    }
    let constant = |v: &[f64], dims: &[usize]| -> Result<Var> {
        Ok(Var::constant(Tensor::from_f64(v, dims, acc, like.device())?))
    };
    let hit = z.mul(&constant(&onehot, &[n, vocab])?)?.sum(&[1])?;
    let weight = Var::constant(weight.cast(acc)?.reshape(&[n, 1])?).mul(&constant(&valid, &[n, 1])?)?;
    lse.sub(&hit)?.mul(&weight)?.sum(&[0, 1])?.reshape(&[])
}
