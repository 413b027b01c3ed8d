//! Causal attention with an optional sliding window and grouped key/value heads, in the manner of FlashAttention-2
//! (Dao 2023, arXiv:2307.08691): no T × T matrix ever exists, neither forward nor backward.
//!
//! `q`, `o`: (B, T, H, D); `k`, `v`: (B, T, Hk, D); `lse`: (B, H, T). Sums in f32, `o` rounded once.
//! For query i of head h, over the keys j it may see (`j ≤ i` and `i − j ≤ window`), with key/value head `h / (H/Hk)`:
//!
//! `s_j = scale·q·k_j`, `lse = ln Σ_j exp(s_j)`, `p_j = exp(s_j − lse)`, `o = Σ_j p_j·v_j`
//!
//! Forward keeps `lse`, one number per query, so backward can recompute any p:
//!
//! `δ = do·o`, `dv_j += p_j·do`, `ds_j = p_j·(do·v_j − δ)`, `dq = scale·Σ_j ds_j·k_j`, `dk_j += scale·ds_j·q`
//!
//! where dk and dv sum over the query heads of a group (Ainslie et al. 2023, arXiv:2305.13245). Of bf16 inputs, p and ds may
//! be rounded to bf16 once before they are multiplied by v, do, k and q (they are where the machine multiplies bf16
//! itself); scores, lse, δ and all sums are f32.
//! Where to read next: `reference.rs` for the loops, `cpu.rs` for tiles and the online softmax, then
//! [`crate::paged_attention`] for decoding with a cache.

mod backward;
mod cpu;
mod definition;
pub(crate) mod lanes;
#[cfg(target_arch = "aarch64")]
mod lanes_neon;
mod mask;
mod meet;
mod pack;
mod reference;
mod samples;
#[cfg(test)]
mod tests;
mod tile;
mod units;

pub use samples::KERNELS;

use crate::check::{self, FLOATS};
use crate::registry::Cost;
use crate::{Backend, Layout, Result, View, ViewMut, profile};

/// What turns scores into weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionParams {
    /// Factor of the scores, usually 1/√D.
    pub scale: f32,
    /// How many previous positions a query sees beside its own; `None` means all.
    pub window: Option<usize>,
}

impl AttentionParams {
    /// The keys that query `i` sees.
    pub fn visible(&self, i: usize) -> std::ops::RangeInclusive<usize> {
        i.saturating_sub(self.window.unwrap_or(i))..=i
    }
}

/// Both directions.
pub trait Attention {
    /// See [`attention_fwd`].
    fn attention_fwd(
        &self,
        q: View,
        k: View,
        v: View,
        p: AttentionParams,
        o: ViewMut,
        lse: ViewMut,
    ) -> Result<()>;
    /// See [`attention_bwd`]. Inputs are `[q, k, v, o, lse, do]`, outputs `[dq, dk, dv]`.
    fn attention_bwd(
        &self,
        inputs: [View; 6],
        p: AttentionParams,
        outputs: [ViewMut; 3],
        accumulate: bool,
    ) -> Result<()>;
}

/// `o = softmax(scale·q·kᵀ + causal and window mask)·v` and `lse = ln Σ exp` of each softmax row.
///
/// `q`, `o`: (B, T, H, D); `k`, `v`: (B, T, Hk, D), Hk a divisor of H; all with a unit last stride and otherwise any
/// strides. `lse`: (B, H, T), contiguous, f32. Sums in f32, `o` rounded once; weights may be rounded to the inputs' dtype.
pub fn attention_fwd(
    b: &dyn Backend,
    q: View,
    k: View,
    v: View,
    p: AttentionParams,
    o: ViewMut,
    lse: ViewMut,
) -> Result<()> {
    const OP: &str = "attention_fwd";
    check_shapes(OP, &q, &[("k", &k), ("v", &v)], p)?;
    check_like(OP, "o", (o.dims(), o.dtype(), o.layout()), &q)?;
    check_lse(OP, &lse.as_view(), &q)?;
    let inputs = [("q", &q), ("k", &k), ("v", &v)];
    check::output(OP, "o", &o, &inputs)?;
    check::output(OP, "lse", &lse, &inputs)?;
    check::disjoint(OP, "lse", &o, &lse)?;
    let _timed = profile::call(OP, || Cost {
        flops: product_flops(q.dims(), 2, p),
        bytes: q.traffic() + k.traffic() + v.traffic() + o.traffic() + lse.traffic(),
    });
    b.attention_fwd(q, k, v, p, o, lse)
}

/// Gradients of [`attention_fwd`]; added to what `dq`, `dk`, `dv` hold if `accumulate`.
///
/// `q`, `k`, `v`, `o`, `lse` as forward had and left them; `d_o`, `dq`: (B, T, H, D); `dk`, `dv`: (B, T, Hk, D). Sums in
/// f32, in an order that depends on T and the heads alone, rounded once; p and ds may be rounded to the inputs' dtype.
pub fn attention_bwd(
    b: &dyn Backend,
    q: View,
    k: View,
    v: View,
    o: View,
    lse: View,
    d_o: View,
    p: AttentionParams,
    dq: ViewMut,
    dk: ViewMut,
    dv: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "attention_bwd";
    check_shapes(OP, &q, &[("k", &k), ("v", &v)], p)?;
    check_like(OP, "o", (o.dims(), o.dtype(), o.layout()), &q)?;
    check_like(OP, "do", (d_o.dims(), d_o.dtype(), d_o.layout()), &q)?;
    check_lse(OP, &lse, &q)?;
    let inputs = [("q", &q), ("k", &k), ("v", &v), ("o", &o), ("lse", &lse), ("do", &d_o)];
    for (arg, out, like) in [("dq", &dq, &q), ("dk", &dk, &k), ("dv", &dv, &v)] {
        check_like(OP, arg, (out.dims(), out.dtype(), out.layout()), like)?;
        check::output(OP, arg, out, &inputs)?;
    }
    check::disjoint(OP, "dk", &dq, &dk)?;
    check::disjoint(OP, "dv", &dq, &dv)?;
    check::disjoint(OP, "dv", &dk, &dv)?;
    let _timed = profile::call(OP, || {
        let read: f64 = [q, k, v, o, lse, d_o].iter().map(View::traffic).sum();
        let written: f64 = [&dq, &dk, &dv].iter().map(|out| profile::written(out, accumulate)).sum();
        Cost { flops: product_flops(q.dims(), 5, p), bytes: read + written }
    });
    b.attention_bwd([q, k, v, o, lse, d_o], p, [dq, dk, dv], accumulate)
}

/// Multiplications and additions of `products` products of length D per visible (query, key) pair; `dims` of q.
fn product_flops(dims: &[usize], products: usize, p: AttentionParams) -> f64 {
    let &[b, t, h, d] = dims else { return 0.0 };
    let keys = |i: usize| i + 1 - p.visible(i).start();
    let pairs: usize = (0..t).map(keys).sum();
    2.0 * (products * b * h * d) as f64 * pairs as f64
}

/// Head counts, sizes and dtypes of q, k and v.
fn check_shapes(op: &'static str, q: &View, kv: &[check::Arg], p: AttentionParams) -> Result<()> {
    check::rank(op, "q", q.dims(), 4, "(B, T, H, D)")?;
    check::dtype(op, "q", q.dtype(), FLOATS)?;
    check::unit_last_stride(op, "q", q.layout())?;
    let (t, h, d) = (q.dims()[1], q.dims()[2], q.dims()[3]);
    let kv_heads = kv.first().map_or(h, |(_, k)| k.dims().get(2).copied().unwrap_or(h));
    for (arg, x) in kv {
        check::dims(op, arg, x.dims(), &[q.dims()[0], t, kv_heads, d])?;
        check::dtype(op, arg, x.dtype(), &[q.dtype()])?;
        check::unit_last_stride(op, arg, x.layout())?;
    }
    check_heads(op, h, kv_heads)?;
    check::parameter(op, p.scale.is_finite(), || {
        format!("scale {} is not finite; 1/sqrt(head_dim) is usual", p.scale)
    })
}

/// Every key/value head must serve the same number of query heads.
pub(crate) fn check_heads(op: &'static str, heads: usize, kv_heads: usize) -> Result<()> {
    let ok = (heads == 0) == (kv_heads == 0) && (kv_heads == 0 || heads.is_multiple_of(kv_heads));
    check::parameter(op, ok, || format!("{heads} query heads cannot share {kv_heads} key/value heads evenly"))
}

fn check_like(
    op: &'static str,
    arg: &'static str,
    (dims, dtype, layout): (&[usize], crate::DType, &Layout),
    like: &View,
) -> Result<()> {
    check::dims(op, arg, dims, like.dims())?;
    check::dtype(op, arg, dtype, &[like.dtype()])?;
    check::unit_last_stride(op, arg, layout)
}

fn check_lse(op: &'static str, lse: &View, q: &View) -> Result<()> {
    check::dims(op, "lse", lse.dims(), &[q.dims()[0], q.dims()[2], q.dims()[1]])?;
    check::dtype(op, "lse", lse.dtype(), &[check::accumulator(q.dtype())])?;
    check::contiguous(op, "lse", lse.layout())
}

/// The sizes of a call, and where rows lie when everything is contiguous.
#[derive(Clone, Copy, Debug)]
struct Shape {
    b: usize,
    t: usize,
    h: usize,
    kv_heads: usize,
    d: usize,
}

impl Shape {
    fn new(q: &[usize], k: &[usize]) -> Shape {
        Shape { b: q[0], t: q[1], h: q[2], kv_heads: k[2], d: q[3] }
    }
    /// All (batch row, position, query head).
    fn queries(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.b).flat_map(move |b| (0..self.t).flat_map(move |t| (0..self.h).map(move |h| (b, t, h))))
    }
    fn q(&self, b: usize, t: usize, h: usize) -> usize {
        ((b * self.t + t) * self.h + h) * self.d
    }
    /// The key or value that query head `h` reads at position `t`.
    fn kv(&self, b: usize, t: usize, h: usize) -> usize {
        ((b * self.t + t) * self.kv_heads + h / (self.h / self.kv_heads)) * self.d
    }
}
