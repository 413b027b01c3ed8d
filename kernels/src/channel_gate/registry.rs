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
        tolerance: 8.0, // an exponential, a quotient, a product, and every rounding of a shifts σ(a)
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let [c, n, heads] = sizes(s);
            let gate = |i: usize| {
                let product = |j: usize| v[0][i / heads * c + j] * v[1][i % heads * n + j];
                let a: f64 = (0..n).map(product).sum();
                let terms: f64 = (0..n).map(|j| product(j).abs()).sum();
                s.scalars[0] / (1.0 + (-a).exp()) * (1.0 + terms)
            };
            vec![(0..s.dims("g").iter().product()).map(gate).collect()]
        }),
        cost: |s, bytes| cost(s, bytes, 0.0),
    },
    KernelInfo {
        name: "channel_gate_bwd_x",
        doc: "dx[:n] = da·W, da = dg·g·(1 − g/scale)",
        samples: || SHAPES.iter().map(backward_x_sample).collect(),
        bench: || REAL.iter().map(backward_x_sample).collect(),
        run: |b, ins, outs, s| {
            channel_gate_bwd_x(b, ins[0], ins[1], ins[2], s[0], outs[0].reborrow(), s[1] != 0.0)
        },
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 12.0, // da, and one product and one sum for each of few heads
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let [c, n, heads] = sizes(s);
            let size = |at: usize| {
                let (r, j) = (at / c, at % c);
                let term = |h: usize| da(v, s, r * heads + h) * v[2][h * n + j].abs();
                let sum: f64 = if j < n { (0..heads).map(term).sum() } else { 0.0 };
                sum + s.scalars[1] * v[3][at].abs()
            };
            vec![(0..v[3].len()).map(size).collect()]
        }),
        cost: |s, bytes| cost(s, bytes, bytes * dims(s, 'x').iter().product::<usize>() as f64),
    },
    KernelInfo {
        name: "channel_gate_bwd_w",
        doc: "dW = daᵀ·x[:n], da = dg·g·(1 − g/scale)",
        samples: || SHAPES.iter().map(backward_w_sample).collect(),
        bench: || REAL.iter().map(backward_w_sample).collect(),
        run: |b, ins, outs, s| {
            channel_gate_bwd_w(b, ins[0], ins[1], ins[2], s[0], outs[0].reborrow(), s[1] != 0.0)
        },
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 4.0, // da; the sum is f64
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let ([c, n, heads], rows) = (sizes(s), v[1].len() / sizes(s)[2].max(1));
            let size = |at: usize| {
                let term = |r: usize| da(v, s, r * heads + at / n) * v[2][r * c + at % n].abs();
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
    &[("d12.value gate", &[8, 512], [768, 12, 6], 3.0), ("d12.smear gate", &[8, 512], [768, 24, 1], 1.0)];

fn forward_sample(&(label, lead, [c, n, heads], scale): &Shape) -> Sample {
    let args = vec![
        Arg::input("x", &[lead, &[c]].concat(), Draw::Normal),
        Arg::input("w", &[heads, n], Draw::Uniform(-0.3, 0.3)),
        Arg::out("g", &[lead, &[heads]].concat()),
    ];
    Sample::new(label, args).with(&[scale])
}

/// dg, and gates as forward would have left them: between 0 and scale.
fn gates(lead: &[usize], heads: usize) -> [Arg; 2] {
    let dims = [lead, &[heads]].concat();
    let between: fn(&[Vec<f64>], &[f64]) -> Vec<f64> =
        |ins, s| (0..ins[0].len()).map(|i| s[0] * (0.03 + 0.94 * (i % 7) as f64 / 6.0)).collect();
    [Arg::input("dg", &dims, Draw::Normal), Arg::input("g", &dims, Draw::DerivedRounded(between))]
}

fn backward_x_sample(&(label, lead, [c, n, heads], scale): &Shape) -> Sample {
    let mut args = gates(lead, heads).to_vec();
    args.push(Arg::input("w", &[heads, n], Draw::Uniform(-0.3, 0.3)));
    args.push(Arg::inout("dx", &[lead, &[c]].concat(), Draw::Normal));
    Sample::new(label, args).with(&[scale, (lead.len() % 2) as f64])
}

fn backward_w_sample(&(label, lead, [c, n, heads], scale): &Shape) -> Sample {
    let mut args = gates(lead, heads).to_vec();
    args.push(Arg::input("x", &[lead, &[c]].concat(), Draw::Normal));
    args.push(Arg::inout("dw", &[heads, n], Draw::NormalF32));
    Sample::new(label, args).with(&[scale, (lead.len() % 2) as f64])
}

/// Shape of `x` or `dx`, of `w` or `dw`.
fn dims(s: &Sample, name: char) -> &[usize] {
    s.args.iter().find(|arg| arg.name.ends_with(name)).map_or(&[], |arg| &arg.dims)
}

/// C, n and heads.
fn sizes(s: &Sample) -> [usize; 3] {
    [dims(s, 'x').last().copied().unwrap_or(0), dims(s, 'w')[1], dims(s, 'w')[0]]
}

/// |da| of gate `i` of all; without the subtraction, which cancels near the upper end.
fn da(v: &[Vec<f64>], s: &Sample, i: usize) -> f64 {
    v[0][i].abs() * v[1][i] * (1.0 + v[1][i] / s.scalars[0])
}

fn cost(s: &Sample, bytes: f64, extra: f64) -> Cost {
    let [c, n, heads] = sizes(s).map(|size| size as f64);
    let rows = dims(s, 'x').iter().product::<usize>() as f64 / c.max(1.0);
    Cost {
        flops: rows * heads * (2.0 * n + 8.0),
        bytes: rows * bytes * (n + heads) + 4.0 * heads * n + extra,
    }
}
