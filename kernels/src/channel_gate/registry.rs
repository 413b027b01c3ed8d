//! Registry entries of the gate: shapes with odd numbers of channels and heads, both gates of a real model, and the sizes
//! that errors are measured against.

use super::{channel_gate_bwd_w, channel_gate_bwd_x, channel_gate_fwd};
use crate::DType;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "channel_gate_fwd",
        doc: "g = scale·σ(x[:n]·Wᵀ)",
        samples: || SHAPES.iter().map(forward_sample).collect(),
        bench: || REAL.iter().map(forward_sample).collect(),
        run: |b, ins, outs, s| channel_gate_fwd(b, ins[0], ins[1], s[0], outs[0].reborrow()),
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0, // an exponential, a quotient, a product, and the roundings of a
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let [c, n, heads] = sizes(s);
            let gate = |i: usize| {
                let (a, terms) = product(&v[0][i / heads * c..], &v[1][i % heads * n..], n);
                s.scalars[0] / (1.0 + (-a).exp()) * (1.0 + terms)
            };
            vec![(0..s.dims("g").iter().product()).map(gate).collect()]
        }),
        cost: |s, bytes| cost(s, bytes, 0.0),
    },
    KernelInfo {
        name: "channel_gate_bwd_x",
        doc: "dx[:n] = da·W, da = dg·scale·σ(1−σ)",
        samples: || SHAPES.iter().map(backward_x_sample).collect(),
        bench: || REAL.iter().map(backward_x_sample).collect(),
        run: |b, ins, outs, s| {
            channel_gate_bwd_x(b, ins[0], ins[1], ins[2], s[0], outs[0].reborrow(), s[1] != 0.0)
        },
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 16.0, // da, and one product and one sum for each of few heads
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let [c, n, heads] = sizes(s);
            let size = |at: usize| {
                let (r, j) = (at / c, at % c);
                let term = |h: usize| da(v, s, r, h) * v[2][h * n + j].abs();
                let sum: f64 = if j < n { (0..heads).map(term).sum() } else { 0.0 };
                sum + s.scalars[1] * v[3][at].abs()
            };
            vec![(0..v[3].len()).map(size).collect()]
        }),
        cost: |s, bytes| cost(s, bytes, bytes * s.numel("x")),
    },
    KernelInfo {
        name: "channel_gate_bwd_w",
        doc: "dW = daᵀ·x[:n], da = dg·scale·σ(1−σ)",
        samples: || SHAPES.iter().map(backward_w_sample).collect(),
        bench: || REAL.iter().map(backward_w_sample).collect(),
        run: |b, ins, outs, s| {
            channel_gate_bwd_w(b, ins[0], ins[1], ins[2], s[0], outs[0].reborrow(), s[1] != 0.0)
        },
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0, // da; the sum is f64
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let ([c, n, _], rows) = (sizes(s), v[1].len() / sizes(s)[0].max(1));
            let size = |at: usize| {
                let term = |r: usize| da(v, s, r, at / n) * v[1][r * c + at % n].abs();
                (0..rows).map(term).sum::<f64>() + s.scalars[1] * v[3][at].abs()
            };
            vec![(0..v[3].len()).map(size).collect()]
        }),
        cost: |s, bytes| cost(s, bytes, 0.0),
    },
];

/// Label, leading dims, C, n, heads, scale.
type Shape = (&'static str, &'static [usize], [usize; 3], f64);

const SHAPES: &[Shape] = &[
    ("one element", &[1], [1, 1, 1], 1.0),
    ("odd", &[3, 5], [13, 7, 3], 3.0),
    ("a full tile of rows and one more", &[17], [40, 33, 5], 3.0),
    ("no rows", &[0, 3], [24, 12, 2], 1.0),
    ("no heads", &[2, 3], [8, 5, 0], 1.0),
    ("no channels", &[4], [5, 0, 2], 3.0),
    ("d4.value gate", &[2, 96], [256, 12, 2], 3.0),
    ("d4.smear gate", &[2, 96], [256, 24, 1], 1.0),
];

const REAL: &[Shape] =
    &[("d12.value_gate", &[8, 512], [768, 12, 6], 3.0), ("d12.smear_gate", &[8, 512], [768, 24, 1], 1.0)];

fn forward_sample(&(label, lead, [c, n, heads], scale): &Shape) -> Sample {
    let args = vec![
        Arg::input("x", &[lead, &[c]].concat(), Draw::Normal),
        Arg::input("w", &[heads, n], Draw::Uniform(-0.3, 0.3)),
        Arg::out("g", &[lead, &[heads]].concat()),
    ];
    Sample::new(label, args).with(&[scale])
}

fn backward_sample(&(label, lead, [c, n, heads], scale): &Shape, out: Arg) -> Sample {
    let args = vec![
        Arg::input("dg", &[lead, &[heads]].concat(), Draw::Normal),
        Arg::input("x", &[lead, &[c]].concat(), Draw::Normal),
        Arg::input("w", &[heads, n], Draw::Uniform(-0.3, 0.3)),
        out,
    ];
    Sample::new(label, args).with(&[scale, (lead.len() % 2) as f64])
}

fn backward_x_sample(shape: &Shape) -> Sample {
    let &(_, lead, [c, ..], _) = shape;
    backward_sample(shape, Arg::inout("dx", &[lead, &[c]].concat(), Draw::Normal))
}

fn backward_w_sample(shape: &Shape) -> Sample {
    let &(_, _, [_, n, heads], _) = shape;
    backward_sample(shape, Arg::inout("dw", &[heads, n], Draw::NormalF32))
}

/// C, n and heads.
fn sizes(s: &Sample) -> [usize; 3] {
    [s.dims("x").last().copied().unwrap_or(0), s.dims("w")[1], s.dims("w")[0]]
}

/// `Σ x·w` over n channels, and the sum of the terms' sizes, each of whose roundings shifts `σ(a)` by as much of itself.
fn product(x: &[f64], w: &[f64], n: usize) -> (f64, f64) {
    let terms = || (0..n).map(|j| x[j] * w[j]);
    (terms().sum(), terms().map(f64::abs).sum())
}

/// Size of da of row `r` and head `h`.
fn da(v: &[Vec<f64>], s: &Sample, r: usize, h: usize) -> f64 {
    let [c, n, heads] = sizes(s);
    let (a, terms) = product(&v[1][r * c..], &v[2][h * n..], n);
    let e = (-a.abs()).exp();
    v[0][r * heads + h].abs() * s.scalars[0] * e / (1.0 + e).powi(2) * (1.0 + terms)
}

fn cost(s: &Sample, bytes: f64, extra: f64) -> Cost {
    let [c, n, heads] = sizes(s).map(|size| size as f64);
    let rows = s.numel("x") / c.max(1.0);
    Cost {
        flops: rows * heads * (2.0 * n + 8.0),
        bytes: rows * bytes * (n + heads) + 4.0 * heads * n + extra,
    }
}
