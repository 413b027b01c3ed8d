//! One transformer block: `x += Attention(norm(x))`, then `x += MLP(norm(x))`.
//!
//! The same code serves training (causal attention over the whole sequence) and decoding (attention over the cache).
//!
//! In the current family attention may see a window only, normalised queries and keys are 1.2 long, and in every other layer
//! `v ← v + g·u`: u is a second embedding of the token, g = 3·σ(W·h`[:12]`) one gate per kv head, read from the block's input.
//!
//! Neither family has, but a configuration may: a gate in the MLP, `relu²(W₁h)∘W₂h`; the norm of queries and keys before their
//! rotation; and rotation of neighbouring channels, which is the usual one after the odd channels were put before the even
//! ones. Scores do not see the order of channels, so it need not be undone.

use crate::cache::KvCache;
use crate::config::{Family, GptConfig};
use crate::error::Result;
use crate::linear::{Linear, Projections};
use crate::observe::Observer;
use crate::rotary::RotaryTables;
use autograd::Var;
use autograd::ops::attention::attention;
use autograd::ops::cat::cat;
use autograd::ops::rope::Rope;
use kernels::gated::Activation;
use kernels::planted;
use tensor::{AttentionParams, Tensor};

/// The weights of a block, in file order.
pub struct BlockWeights {
    /// Queries, keys and values: (H·D, C), (Hk·D, C), (Hk·D, C)
    pub qkv: Projections,
    /// (C, C)
    pub attn_proj: Linear,
    /// (4C, C)
    pub c_fc: Linear,
    /// (4C, C), where the MLP has a gate.
    pub c_up: Option<Linear>,
    /// (C, 4C)
    pub mlp_proj: Linear,
    /// Where the layer has value embeddings: the gate's weights (Hk, 12), and the tokens' rows (B, T, Hk·D).
    pub values: Option<(Var, Var)>,
}

/// The gate of a value embedding lies between 0 and this.
const VALUE_GATE: f64 = 3.0;

/// What a block needs besides its input and weights.
pub struct BlockContext<'a> {
    /// Shapes.
    pub config: &'a GptConfig,
    /// Rotary tables.
    pub rotary: &'a RotaryTables,
    /// Absolute positions, i32 (B, T).
    pub positions: &'a Tensor,
    /// Which block this is.
    pub layer: usize,
}

impl BlockContext<'_> {
    fn see(&self, observer: &mut dyn Observer, what: &str, value: &Var) {
        observer.see(&format!("block{}.{what}", self.layer), value);
    }
}

/// `x` (B, T, C) through one block.
pub fn block(
    x: Var,
    w: &BlockWeights,
    ctx: &BlockContext<'_>,
    cache: Option<&mut KvCache>,
    observer: &mut dyn Observer,
) -> Result<Var> {
    let eps = f64::from(ctx.config.norm_eps);
    ctx.see(observer, "in", &x);
    let h = x.rms_norm(eps)?;
    ctx.see(observer, "attn_norm", &h);
    let a = self_attention(&h, w, ctx, cache, observer)?;
    drop(h);

    let (x, h) = x.add_rms_norm(&a, eps)?; // the sum, and its norm while it is in the cache
    ctx.see(observer, "after_attn", &x);
    ctx.see(observer, "mlp_norm", &h);
    drop(a);
    let fc = w.c_fc.apply(&h)?; // (B, T, 4C)
    ctx.see(observer, "fc", &fc);
    let fc = match &w.c_up {
        Some(up) => fc.gated(Activation::ReluSquared, &up.apply(&h)?)?,
        None => fc.relu_squared()?,
    };
    ctx.see(observer, "relu2", &fc);
    let m = w.mlp_proj.apply(&fc)?;
    ctx.see(observer, "mlp_proj", &m);
    let x = x.add(&m)?;
    ctx.see(observer, "out", &x);
    Ok(x)
}

fn self_attention(
    h: &Var,
    w: &BlockWeights,
    ctx: &BlockContext<'_>,
    cache: Option<&mut KvCache>,
    observer: &mut dyn Observer,
) -> Result<Var> {
    let config = ctx.config;
    let (b, t, d) = (h.dims()[0], h.dims()[1], config.head_dim());
    let [q, k, v] = w.qkv.apply(h)?;
    let q = q.reshape(&[b, t, config.n_head, d])?; // (B, T, H, D)
    let k = k.reshape(&[b, t, config.n_kv_head, d])?; // (B, T, Hk, D)
    let v = v.reshape(&[b, t, config.n_kv_head, d])?;
    for (name, x) in [("q", &q), ("k", &k), ("v", &v)] {
        ctx.see(observer, name, x);
    }
    let v = match &w.values {
        Some((gate, rows)) => {
            let gate = h.channel_gate(gate, VALUE_GATE)?; // (B, T, Hk)
            v.gated_add(&gate, &rows.reshape(&[b, t, config.n_kv_head, d])?)?
        }
        None => v,
    };
    let (q, k) = turned(q, k, ctx, observer)?;
    ctx.see(observer, "q_norm", &q);
    ctx.see(observer, "k_norm", &k);

    let p = AttentionParams { scale: 1.0 / (d as f32).sqrt(), window: config.window(ctx.layer) };
    let o = match cache {
        None => attention(&q, &k, &v, p)?,
        Some(cache) => {
            cache.append(ctx.layer, k.value(), v.value(), ctx.positions)?;
            let (keys, values, table) = cache.layer(ctx.layer)?;
            Var::constant(q.value().paged_attention(&keys, &values, table, ctx.positions, p)?)
        }
    };
    ctx.see(observer, "attn", &o);
    let y = w.attn_proj.apply(&o.reshape(&[b, t, config.n_embd])?)?;
    ctx.see(observer, "attn_proj", &y);
    Ok(y)
}

/// Queries and keys rotated, normalised, and as long as the configuration says.
fn turned(q: Var, k: Var, ctx: &BlockContext<'_>, observer: &mut dyn Observer) -> Result<(Var, Var)> {
    let (eps, gain) = (f64::from(ctx.config.norm_eps), f64::from(ctx.config.qk_gain));
    let (cos, sin, parts) = (&ctx.rotary.cos, &ctx.rotary.sin, ctx.config.parts);
    let (q, k) = if parts.adjacent_pairs { (odd_first(&q)?, odd_first(&k)?) } else { (q, k) };
    if parts.norm_before_rope {
        let ready = |x: &Var| x.rms_norm(eps)?.affine(gain, 0.0)?.rope(ctx.positions, cos, sin);
        return Ok((ready(&q)?, ready(&k)?));
    }
    // elsewhere than on the host it is one launch for two, and nobody sees what is between
    if ctx.config.family == Family::Current || q.value().device().memory().is_some() {
        let rope = || Rope { positions: ctx.positions.clone(), cos: cos.clone(), sin: sin.clone() };
        return Ok((q.rope_norm(rope(), gain, eps)?, k.rope_norm(rope(), gain, eps)?));
    }
    let (q, k) = (q.rope(ctx.positions, cos, sin)?, k.rope(ctx.positions, cos, sin)?);
    ctx.see(observer, "q_rope", &q);
    ctx.see(observer, "k_rope", &k);
    let (q, k) = (q.rms_norm(eps)?, planted!("block.keys_not_normalised", k.rms_norm(eps)? => k));
    if gain == 1.0 { Ok((q, k)) } else { Ok((q.affine(gain, 0.0)?, k.affine(gain, 0.0)?)) }
}

/// (…, D) with channels 1, 3, 5, … before 0, 2, 4, …: `(x₁cos + x₂sin, −x₁sin + x₂cos)` of these halves turns each pair (2j, 2j+1)
/// counter-clockwise.
fn odd_first(x: &Var) -> Result<Var> {
    let (dims, last) = (x.dims().to_vec(), x.dims().len());
    let d = x.dims()[last - 1];
    let pairs = x.reshape(&[&dims[..last - 1], &[d / 2, 2]].concat())?;
    let half = |which| -> autograd::Result<Var> {
        pairs.narrow(last, which, 1)?.contiguous()?.reshape(&[&dims[..last - 1], &[d / 2]].concat())
    };
    let (odd, even) = (half(1)?, half(0)?);
    Ok(cat(&planted!("block.pairs_turn_clockwise", [&odd, &even] => [&even, &odd]), last - 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotary::RopeTable;
    use tensor::{DType, Device};

    #[test]
    fn neighbours_are_turned_counter_clockwise_by_position_times_frequency() {
        let (d, t) = (6, 3);
        let tables = RotaryTables::new(100.0, d, t, RopeTable::F32, Device::Reference).unwrap();
        let data: Vec<f64> = (0..t * d).map(|i| (1.0 + i as f64).sin()).collect();
        let x = Tensor::from_f64(&data, &[1, t, 1, d], DType::F64, Device::Reference).unwrap();
        let positions = Tensor::ids(&[0, 1, 2], &[1, t], Device::Reference).unwrap();
        let halves = odd_first(&Var::constant(x)).unwrap();
        let ours = halves.rope(&positions, &tables.cos, &tables.sin).unwrap().value().to_f64_vec();
        for (p, row) in data.chunks(d).enumerate() {
            for j in 0..d / 2 {
                let (sin, cos) = (p as f64 * 100f64.powf(-2.0 * j as f64 / d as f64)).sin_cos();
                let (a, b) = (row[2 * j], row[2 * j + 1]);
                let want = [a * cos - b * sin, a * sin + b * cos];
                let got = [ours[p * d + d / 2 + j], ours[p * d + j]];
                assert!((want[0] - got[0]).abs() < 1e-6 && (want[1] - got[1]).abs() < 1e-6, "{p} {j}");
            }
        }
    }
}
