//! Registry entries of attention: shapes to try, and the error bound beside every value.
//!
//! The bound is `Σ|terms|` of the whole computation, not of its last sum alone: a score's rounding error is proportional
//! to `e_ij = scale·Σ_d |q·k|`, and through the exponential it becomes a *relative* error of the weight. So a weight counts
//! as `p·(1 + e_ij)`, and so on down the formulas. Beside that a weight may be rounded to the dtype of the inputs before it
//! is multiplied by a value: one declared rounding, which only bf16 knows, and only where it is multiplied as such.

use super::{AttentionParams, Shape, attention_bwd, attention_fwd, definition, product_flops};
use crate::DType;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

/// Label, B, T, H, Hk, D, window (negative: none), accumulate.
type Case = (&'static str, [usize; 5], f64, bool);
const CASES: &[Case] = &[
    ("one token", [2, 1, 2, 2, 16], -1.0, false),
    ("odd everything", [2, 7, 3, 3, 6], -1.0, true),
    ("empty", [0, 5, 2, 1, 8], -1.0, false),
    ("grouped 4:2, D = 24", [1, 33, 4, 2, 24], -1.0, false),
    ("grouped 6:1, window 3", [1, 19, 6, 1, 8], 3.0, true),
    ("window 0", [1, 9, 2, 2, 8], 0.0, false),
    ("D = 96, a tile and one row", [1, 65, 2, 1, 96], -1.0, false),
    ("window across tiles", [1, 150, 2, 2, 16], 70.0, false),
    ("window smaller than a tile", [1, 200, 2, 1, 32], 20.0, true),
    ("d4", [1, 128, 2, 2, 128], 128.0, false),
    ("d6, windowed", [1, 192, 6, 6, 64], 64.0, false),
];
const REAL: &[Case] = &[
    ("d4.attention", [8, 512, 2, 2, 128], -1.0, false),
    ("d4.attention.heads_of_64", [8, 512, 4, 4, 64], -1.0, false),
    ("d12.attention.t512", [8, 512, 6, 6, 128], -1.0, false),
    ("d12.attention", [2, 2048, 6, 6, 128], -1.0, false),
    ("d12.attention.grouped_6_2", [2, 2048, 6, 2, 128], -1.0, false),
    ("d12.attention.window_512", [2, 2048, 6, 6, 128], 512.0, false),
];

/// `[scale, window, accumulate, B, T, H, Hk, D]`: sizes too, because derived inputs see scalars but no shapes.
fn scalars(&(_, [b, t, h, kv_heads, d], window, accumulate): &Case) -> Vec<f64> {
    let scale = (1.0 / (d as f64).sqrt()) as f32 as f64;
    let mut s = vec![scale, window, accumulate.into()];
    s.extend([b, t, h, kv_heads, d].map(|n| n as f64));
    s
}
fn params(s: &[f64]) -> AttentionParams {
    AttentionParams { scale: s[0] as f32, window: (s[1] >= 0.0).then_some(s[1] as usize) }
}
fn shape(s: &[f64]) -> Shape {
    let [b, t, h, kv_heads, d] = [3, 4, 5, 6, 7].map(|i| s[i] as usize);
    Shape { b, t, h, kv_heads, d }
}

fn inputs(&(_, [b, t, h, kv_heads, d], ..): &Case) -> Vec<Arg> {
    vec![
        Arg::input("q", &[b, t, h, d], Draw::Normal),
        Arg::input("k", &[b, t, kv_heads, d], Draw::Normal),
        Arg::input("v", &[b, t, kv_heads, d], Draw::Normal),
    ]
}

fn forward_sample(case: &Case) -> Sample {
    let [b, t, h, _, d] = case.1;
    let mut args = inputs(case);
    args.push(Arg::out("o", &[b, t, h, d]));
    args.push(Arg::out_f32("lse", &[b, h, t]));
    Sample::new(case.0, args).with(&scalars(case))
}

/// With the true `o` and `lse`, or (to be timed only) with others: the definition takes minutes for a real model's.
fn backward_sample(case: &Case, consistent: bool) -> Sample {
    let [b, t, h, kv_heads, d] = case.1;
    let mut args = inputs(case);
    let o = |x: &[Vec<f64>], s: &[f64]| definition::forward(&x[0], &x[1], &x[2], &shape(s), params(s)).0;
    let lse = |x: &[Vec<f64>], s: &[f64]| definition::forward(&x[0], &x[1], &x[2], &shape(s), params(s)).1;
    let (o, lse) = match consistent {
        true => (Draw::DerivedRounded(o), Draw::Derived(lse)),
        false => (Draw::Normal, Draw::Uniform(5.0, 7.0)),
    };
    args.push(Arg::input("o", &[b, t, h, d], o));
    args.push(Arg::input("lse", &[b, h, t], lse));
    args.push(Arg::input("do", &[b, t, h, d], Draw::Normal));
    args.push(Arg::inout("dq", &[b, t, h, d], Draw::Normal));
    args.push(Arg::inout("dk", &[b, t, kv_heads, d], Draw::Normal));
    args.push(Arg::inout("dv", &[b, t, kv_heads, d], Draw::Normal));
    Sample::new(case.0, args).with(&scalars(case))
}

fn cost(s: &Sample, products: usize, bytes: f64) -> Cost {
    Cost { flops: product_flops(s.dims("q"), products, params(&s.scalars)), bytes }
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "attention_fwd",
        doc: "o = softmax(scale·q·kᵀ, causal, windowed)·v, lse = ln Σ exp",
        samples: || CASES.iter().map(forward_sample).collect(),
        bench: || REAL.iter().map(forward_sample).collect(),
        run: |b, ins, outs, s| {
            let [o, lse] = outs else { unreachable!("two outputs") };
            attention_fwd(b, ins[0], ins[1], ins[2], params(s), o.reborrow(), lse.reborrow())
        },
        scales: &[1.0, 4.0, 1e-3, 0.0], // 4: the softmax picks one key
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 1.0, // of p
        magnitude: Some(|x, s| forward_magnitude(x, &shape(&s.scalars), params(&s.scalars))),
        cost: |s, bytes| cost(s, 2, s.moved(bytes)),
    },
    KernelInfo {
        name: "attention_bwd",
        doc: "ds = p·(do·v − do·o), dq = scale·Σ ds·k, dk = scale·Σ ds·q, dv = Σ p·do",
        samples: || CASES.iter().map(|case| backward_sample(case, true)).collect(),
        bench: || REAL.iter().map(|case| backward_sample(case, false)).collect(),
        run: |b, ins, outs, s| {
            let [dq, dk, dv] = outs else { unreachable!("three outputs") };
            let (dq, dk, dv) = (dq.reborrow(), dk.reborrow(), dv.reborrow());
            let [q, k, v, o, lse, d_o] = *ins else { unreachable!("six inputs") };
            attention_bwd(b, q, k, v, o, lse, d_o, params(s), dq, dk, dv, s[2] != 0.0)
        },
        scales: &[1.0, 4.0, 1e-3, 0.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 4.0,
        roundings: 1.0, // of p for dv, of ds for dq and dk
        magnitude: Some(|x, s| backward_magnitude(x, &shape(&s.scalars), params(&s.scalars))),
        cost: |s, bytes| cost(s, 5, if s.scalars[2] != 0.0 { s.moved(bytes) } else { s.footprint(bytes) }),
    },
];

/// `Σ_d |x·y|` of two rows.
fn absolute_dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x * y).abs()).sum()
}

/// Calls `f(j, p_ij, e_ij)` for every key that query `i` sees.
fn for_each_weight(
    x: &[Vec<f64>],
    s: &Shape,
    p: AttentionParams,
    (b, i, h): (usize, usize, usize),
    mut f: impl FnMut(usize, f64, f64),
) {
    let (scale, q) = (p.scale as f64, &x[0][s.q(b, i, h)..][..s.d]);
    let row: Vec<(f64, f64)> = p
        .visible(i)
        .map(|j| {
            let k = &x[1][s.kv(b, j, h)..][..s.d];
            (scale * q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>(), scale.abs() * absolute_dot(q, k))
        })
        .collect();
    let max = row.iter().fold(f64::NEG_INFINITY, |m, r| m.max(r.0));
    let sum: f64 = row.iter().map(|r| (r.0 - max).exp()).sum();
    for (j, (score, e)) in p.visible(i).zip(row) {
        f(j, (score - max).exp() / sum, e);
    }
}

fn forward_magnitude(x: &[Vec<f64>], s: &Shape, p: AttentionParams) -> Vec<Vec<f64>> {
    let (mut o, mut lse) = (vec![0.0; x[0].len()], vec![0.0; s.b * s.h * s.t]);
    for (b, i, h) in s.queries() {
        // Σ p·e, the error that the shared denominator carries; |lse| itself is at most max e + ln T.
        let (mut shared, mut largest) = (0.0, 0.0f64);
        for_each_weight(x, s, p, (b, i, h), |_, w, e| (shared, largest) = (shared + w * e, largest.max(e)));
        lse[(b * s.h + h) * s.t + i] = 1.0 + shared + largest + (i as f64 + 1.0).ln();
        for_each_weight(x, s, p, (b, i, h), |j, w, e| {
            for d in 0..s.d {
                o[s.q(b, i, h) + d] += w * (1.0 + e + shared) * x[2][s.kv(b, j, h) + d].abs();
            }
        });
    }
    vec![o, lse]
}

fn backward_magnitude(x: &[Vec<f64>], s: &Shape, p: AttentionParams) -> Vec<Vec<f64>> {
    // x: q, k, v, o, lse, do, then what dq, dk, dv held
    let (mut dq, mut dk, mut dv) = (x[6].clone(), x[7].clone(), x[8].clone());
    [&mut dq, &mut dk, &mut dv].into_iter().flatten().for_each(|g| *g = g.abs());
    for (b, i, h) in s.queries() {
        let row = s.q(b, i, h);
        let lse = x[4][(b * s.h + h) * s.t + i].abs();
        let d_o = &x[5][row..row + s.d];
        let delta = absolute_dot(d_o, &x[3][row..row + s.d]);
        for_each_weight(x, s, p, (b, i, h), |j, w, e| {
            let key = s.kv(b, j, h);
            let w = w * (1.0 + e + lse);
            let ds = p.scale.abs() as f64 * w * (absolute_dot(d_o, &x[2][key..key + s.d]) + delta);
            for d in 0..s.d {
                dv[key + d] += w * d_o[d].abs();
                dq[row + d] += ds * x[1][key + d].abs();
                dk[key + d] += ds * x[0][row + d].abs();
            }
        });
    }
    vec![dq, dk, dv]
}
