//! Entries of the operations that make a transformer.

use super::composites;
use super::{FLOATS, Input, OpInfo, OpSample, bound, hidden};
use autograd::ops::attention::attention;
use autograd::ops::checkpoint::checkpoint;
use autograd::ops::lm_head_loss::{LmHeadLoss, mean_weights};
use autograd::{Result, Var, apply};
use kernels::registry::Layouts;
use tensor::{AttentionParams, DType, Tensor};

/// The smallest number that changes 1 in f32: nanochat's epsilon.
pub const EPS: f64 = 1.0 / (1 << 23) as f64;

pub static RMS_NORM: OpInfo = OpInfo {
    name: "rms_norm",
    module: "rms_norm",
    doc: "y = x·r, r = 1/sqrt(mean(x²) + eps); dx = r·(dy − y·mean(dy∘y))",
    samples: || {
        [
            OpSample::x("odd", &[3, 5, 7]),
            OpSample::x("empty", &[0, 8]),
            OpSample::x("one row", &[1, 33]),
            OpSample::x("d4.hidden", &[16, 256]),
        ]
        .map(|s| s.with_scalars(&[EPS]))
        .to_vec()
    },
    apply: |x, s| Ok(vec![x[0].rms_norm(s.scalars[0])?]),
    composite: Some(|x, s| Ok(vec![composites::rms_norm(&x[0], s.scalars[0])?])),
    scales: &[1.0, 3e-4, 0.0], // 3e-4: mean(x²) is of the size of eps
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(8.0, 0.0),
    gradient: bound(16.0, 3.0), // reads y as it was rounded
    hidden: None,
    avoid: None,
};

pub static RELU_SQUARED: OpInfo = OpInfo {
    name: "relu_squared",
    module: "relu_squared",
    doc: "y = max(x, 0)²; dx = 2·max(x, 0)·dy",
    samples: || {
        let label = |(label, dims): (&'static str, &[usize])| OpSample::x(label, dims);
        [("odd", &[3, 5, 7][..]), ("empty", &[4, 0]), ("a scalar", &[]), ("d4.mlp", &[8, 1024])]
            .map(label)
            .to_vec()
    },
    apply: |x, _| Ok(vec![x[0].relu_squared()?]),
    composite: Some(|x, _| Ok(vec![x[0].relu()?.square()?])),
    scales: &[1.0, 1e-4],
    dtypes: FLOATS,
    layouts: Layouts::Any,
    forward: bound(2.0, 0.0),
    gradient: bound(2.0, 0.0),
    hidden: None,
    avoid: Some(|x| x.abs() < 1e-3),
};

/// cos and sin of position·100^(−2j/D), rounded to f32, for `positions` rows.
pub fn tables(positions: usize, half: usize, like: &Tensor) -> Result<[Tensor; 2]> {
    let angle = |i: usize| (i / half) as f64 * 100f64.powf(-((i % half) as f64) / half as f64);
    let table = |f: fn(f64) -> f64| {
        let values: Vec<f64> = (0..positions * half).map(|i| f(angle(i)) as f32 as f64).collect();
        Tensor::from_f64(&values, &[positions, half], like.accumulator(), like.device())
    };
    Ok([table(f64::cos)?, table(f64::sin)?])
}

pub static ROPE: OpInfo = OpInfo {
    name: "rope",
    module: "rope",
    doc: "y1 = x1·cos + x2·sin, y2 = −x1·sin + x2·cos; dx = the rotation back of dy",
    samples: || {
        let sample = |label, dims: [usize; 4], first: &[i32]| {
            let positions: Vec<i32> = first.iter().flat_map(|&p| p..p + dims[1] as i32).collect();
            OpSample::x(label, &dims).with_ids(&positions)
        };
        vec![
            sample("odd half, rows at different positions", [2, 5, 3, 6], &[3, 0]),
            sample("one odd row", [1, 1, 1, 2], &[7]),
            sample("odd number of halves", [1, 3, 1, 2], &[2]),
            sample("empty", [0, 4, 2, 8], &[]),
            sample("d4.q", [2, 16, 2, 128], &[0, 9]),
        ]
    },
    apply: |x, s| {
        let [b, t, _, d] = [0, 1, 2, 3].map(|axis| x[0].dims()[axis]);
        let table_rows = s.ids.iter().max().map_or(1, |&p| p as usize + 1);
        let [cos, sin] = tables(table_rows, d / 2, x[0].value())?;
        Ok(vec![x[0].rope(&Tensor::ids(&s.ids, &[b, t], x[0].value().device())?, &cos, &sin)?])
    },
    composite: None,
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(4.0, 0.0),
    gradient: bound(4.0, 0.0),
    hidden: None,
    avoid: None,
};

fn attention_params(s: &OpSample) -> AttentionParams {
    AttentionParams {
        scale: s.scalars[0] as f32,
        window: (s.scalars[1] >= 0.0).then_some(s.scalars[1] as usize),
    }
}

pub static ATTENTION: OpInfo = OpInfo {
    name: "attention",
    module: "attention",
    doc: "o = softmax(scale·q·kᵀ, causal, windowed)·v; δ = do·o, dv = Pᵀ·do, ds = P∘(do·vᵀ − δ), dq = scale·ds·k, dk = scale·dsᵀ·q",
    samples: || {
        let sample = |label, [b, t, h, hk, d]: [usize; 5], window: f64| {
            let inputs =
                [("q", h), ("k", hk), ("v", hk)].map(|(name, h)| Input::activation(name, &[b, t, h, d]));
            OpSample::new(label, inputs.to_vec()).with_scalars(&[1.0 / (d as f64).sqrt(), window])
        };
        vec![
            sample("odd everything", [1, 7, 3, 3, 5], -1.0),
            sample("grouped 4:2", [2, 5, 4, 2, 4], -1.0),
            sample("grouped 3:1, window 2", [1, 7, 3, 1, 4], 2.0),
            sample("empty", [0, 5, 2, 1, 8], -1.0),
            sample("d4 slice, windowed", [1, 70, 2, 2, 64], 32.0),
        ]
    },
    apply: |x, s| Ok(vec![attention(&x[0], &x[1], &x[2], attention_params(s))?]),
    composite: Some(|x, s| Ok(vec![composites::attention(&x[0], &x[1], &x[2], attention_params(s))?])),
    scales: &[1.0, 3.0, 1e-3], // 3: the softmax picks few keys
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(64.0, 1.0), // weights may be rounded to the dtype
    // δ reads o as it was rounded. The sum Σ ds = 0 cancels what all keys have in common, which the rounding does not know.
    gradient: bound(512.0, 16.0),
    hidden: Some(hidden::attention),
    avoid: None,
};

pub static LINEAR: OpInfo = OpInfo {
    name: "linear",
    module: "linear",
    doc: "y = x·Wᵀ; dx = dy·W, dW = dyᵀ·x",
    samples: || {
        let sample = |label, x: &[usize], out: usize| {
            let c = x[x.len() - 1];
            OpSample::new(label, vec![Input::activation("x", x), Input::weight("w", &[out, c])])
        };
        vec![
            sample("odd", &[3, 5, 7], 9),
            sample("one vector", &[5], 3),
            sample("no rows", &[0, 6], 4),
            sample("nothing to sum", &[3, 0], 4),
            sample("no outputs", &[2, 3], 0),
            sample("d4.attn_proj", &[2, 8, 256], 64),
        ]
    },
    apply: |x, _| Ok(vec![x[0].linear(&x[1])?]),
    composite: Some(|x, _| Ok(vec![composites::linear(&x[0], &x[1])?])),
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Any,
    forward: bound(32.0, 4.0), // W is rounded to the activations' dtype
    gradient: bound(32.0, 4.0),
    hidden: None,
    avoid: None,
};

pub static EMBEDDING: OpInfo = OpInfo {
    name: "embedding",
    module: "embedding",
    doc: "y[i] = w[ids[i]]; dw[ids[i]] += dy[i]",
    samples: || {
        let sample = |label, w: [usize; 2], ids: &[i32]| {
            OpSample::new(label, vec![Input::weight("w", &w)]).with_ids(ids)
        };
        vec![
            sample("duplicates and unused rows", [5, 7], &[3, 0, 3, 3, 4, 0]),
            sample("no tokens", [4, 3], &[]),
            sample("no columns", [4, 0], &[1, 2]),
            sample("d4 slice", [64, 256], &[9, 63, 0, 9]),
        ]
    },
    apply: |x, s| {
        let ids = Tensor::ids(&s.ids, &[1, s.ids.len()], x[0].value().device())?;
        Ok(vec![x[0].embedding(&ids, s.dtype)?])
    },
    composite: None,
    scales: &[1.0],
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(0.0, 0.0),
    gradient: bound(4.0, 0.0),
    hidden: None,
    avoid: None,
};

/// Targets and weights of the loss: scalars are softcap and rows per chunk.
fn targets(x: &[Var], s: &OpSample) -> Result<(Tensor, Tensor)> {
    let targets = Tensor::ids(&s.ids, &[s.ids.len()], x[0].value().device())?;
    let weight = mean_weights(&targets, x[0].value().accumulator())?.0;
    Ok((targets, weight))
}

pub static LM_HEAD_LOSS: OpInfo = OpInfo {
    name: "lm_head_loss",
    module: "lm_head_loss",
    doc: "z = c·tanh(x·Wᵀ/c), L = Σ weight·(lse(z) − z[target]); dz = weight·(softmax(z) − onehot)·(1 − (z/c)²)",
    samples: || {
        let sample = |label, [c, v]: [usize; 2], ids: &[i32], scalars: [f64; 2]| {
            let inputs = vec![Input::activation("x", &[ids.len(), c]), Input::weight("w", &[v, c])];
            OpSample::new(label, inputs).with_ids(ids).with_scalars(&scalars)
        };
        let long: Vec<i32> =
            (0..24).map(|i| i * 37 % 300 - i32::from(i % 5 == 0) * 400).map(|t| t.max(-1)).collect();
        vec![
            sample("odd, capped, ignored targets", [5, 11], &[3, -1, 0, 10, -1, 7, 7], [15.0, 64.0]),
            sample("chunks with a short last one", [5, 11], &[3, -1, 0, 10, -1, 7, 7], [4.0, 3.0]),
            sample("not capped", [3, 5], &[4, 0, 1], [0.0, 2.0]),
            sample("no rows", [4, 6], &[], [15.0, 8.0]),
            sample("d4 slice", [128, 300], &long, [15.0, 7.0]),
        ]
    },
    apply: |x, s| {
        let (targets, weight) = targets(x, s)?;
        let op =
            LmHeadLoss { targets, weight, softcap: s.scalars[0] as f32, chunk_rows: s.scalars[1] as usize };
        let [loss, _rows] = apply(op, [&x[0], &x[1]])?;
        Ok(vec![loss])
    },
    composite: Some(|x, s| {
        let (targets, weight) = targets(x, s)?;
        Ok(vec![composites::lm_head_loss(&x[0], &x[1], &targets, &weight, s.scalars[0] as f32)?])
    }),
    scales: &[1.0, 1e-2],
    dtypes: FLOATS,
    layouts: Layouts::Any,
    forward: bound(64.0, 8.0),   // W is rounded to the activations' dtype
    gradient: bound(64.0, 16.0), // and so are the logits' gradients
    hidden: Some(hidden::lm_head_loss),
    avoid: None,
};

/// A feed-forward block with its norm: what checkpointing wraps.
fn block(x: &[Var]) -> Result<Var> {
    let h = x[0].linear(&x[1])?.rms_norm(EPS)?.relu_squared()?;
    x[0].add(&h.linear(&x[2])?)
}

pub static CHECKPOINT: OpInfo = OpInfo {
    name: "checkpoint",
    module: "checkpoint",
    doc: "y = f(x), with f run again in backward instead of kept",
    samples: || {
        let sample = |label, rows: usize, c: usize, hidden: usize| {
            let weights =
                [("up", [hidden, c]), ("down", [c, hidden])].map(|(name, dims)| Input::weight(name, &dims));
            let mut inputs = vec![Input::activation("x", &[rows, c])];
            inputs.extend(weights);
            OpSample::new(label, inputs)
        };
        vec![sample("odd", 3, 5, 7), sample("no rows", 0, 4, 8), sample("d4 slice", 4, 64, 128)]
    },
    apply: |x, _| Ok(vec![checkpoint(block, &x.iter().collect::<Vec<_>>())?]),
    composite: Some(|x, _| Ok(vec![block(x)?])),
    scales: &[1.0],
    dtypes: &[DType::F32],
    layouts: Layouts::Any,
    forward: bound(64.0, 0.0),
    gradient: bound(64.0, 0.0),
    hidden: Some(hidden::feed_forward),
    avoid: None,
};
