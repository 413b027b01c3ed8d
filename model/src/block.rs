//! One transformer block: `x += Attention(norm(x))`, then `x += MLP(norm(x))`.
//!
//! The same code serves training (causal attention over the whole sequence) and decoding (attention over the cache).
//!
//! In the current family attention may see a window only, normalised queries and keys are 1.2 long, and in every other layer
//! `v ← v + g·u`: u is a second embedding of the token, g = 3·σ(W·h`[:12]`) one gate per kv head, read from the block's input.

use crate::cache::KvCache;
use crate::config::{Family, GptConfig};
use crate::error::Result;
use crate::linear::{Linear, Projections};
use crate::observe::Observer;
use crate::rotary::RotaryTables;
use autograd::Var;
use autograd::ops::attention::attention;
use autograd::ops::rope::Rope;
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
    let fc = fc.relu_squared()?;
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
    let (cos, sin) = (&ctx.rotary.cos, &ctx.rotary.sin);
    if ctx.config.family == Family::Current {
        let rope = || Rope { positions: ctx.positions.clone(), cos: cos.clone(), sin: sin.clone() };
        return Ok((q.rope_norm(rope(), gain, eps)?, k.rope_norm(rope(), gain, eps)?));
    }
    let (q, k) = (q.rope(ctx.positions, cos, sin)?, k.rope(ctx.positions, cos, sin)?);
    ctx.see(observer, "q_rope", &q);
    ctx.see(observer, "k_rope", &k);
    let (q, k) = (q.rms_norm(eps)?, planted!("block.keys_not_normalised", k.rms_norm(eps)? => k));
    if gain == 1.0 { Ok((q, k)) } else { Ok((q.affine(gain, 0.0)?, k.affine(gain, 0.0)?)) }
}
