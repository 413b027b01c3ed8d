//! Registry entries of softmax and log-sum-exp: shapes, and how large an error may be.
//!
//! `x − m` is rounded before the exponential, which turns an error of `|x − m|` roundings in the argument into as many in
//! the result; hence the factor `1 + |x − m|` in the magnitudes. Below e⁻⁸⁷ the exponential may be 0: [`FLUSHED`] is so large
//! that a rounding of it covers that.

use super::{logsumexp_bwd, logsumexp_fwd, softmax_bwd, softmax_fwd};
use crate::DType;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "softmax_fwd",
        doc: "y = exp(x − m)/Σ exp(x − m), m = max x",
        samples: || SHAPES.iter().map(|&(label, dims)| softmax_sample(label, dims)).collect(),
        bench: || {
            vec![softmax_sample("d12.logits", &[64, 32_768]), softmax_sample("d12.scores", &[3072, 512])]
        },
        run: |b, ins, outs, _| softmax_fwd(b, ins[0], outs[0].reborrow()),
        scales: &[1.0, 8.0, 60.0], // 60: most exponentials are below the smallest number
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 12.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let c = length(s, "x");
            vec![
                x[0].chunks(c)
                    .flat_map(|row| softmax(row).map(|(y, below)| y * (1.0 + below) + FLUSHED))
                    .collect(),
            ]
        }),
        cost: |s, bytes| Cost { flops: 5.0 * s.numel("x"), bytes: 2.0 * bytes * s.numel("x") },
    },
    KernelInfo {
        name: "softmax_bwd",
        doc: "dx = y∘(dy − Σ dy∘y)",
        samples: || SHAPES.iter().map(|&(label, dims)| softmax_bwd_sample(label, dims)).collect(),
        bench: || {
            vec![
                softmax_bwd_sample("d12.logits", &[64, 32_768]),
                softmax_bwd_sample("d12.scores", &[3072, 512]),
            ]
        },
        run: |b, ins, outs, s| softmax_bwd(b, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 12.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let c = length(s, "dy");
            let mut out = Vec::new();
            for ((dy, y), dx) in x[0].chunks(c).zip(x[1].chunks(c)).zip(x[2].chunks(c)) {
                let dot: f64 = dy.iter().zip(y).map(|(dy, y)| (dy * y).abs()).sum();
                out.extend((0..c).map(|i| y[i].abs() * (dy[i].abs() + dot) + dx[i].abs()));
            }
            vec![out]
        }),
        cost: |s, bytes| Cost { flops: 4.0 * s.numel("dy"), bytes: 3.0 * bytes * s.numel("dy") },
    },
    KernelInfo {
        name: "logsumexp_fwd",
        doc: "lse = m + ln Σ exp(x − m), m = max x",
        samples: || SHAPES.iter().map(|&(label, dims)| lse_sample(label, dims)).collect(),
        bench: || vec![lse_sample("d12.logits", &[64, 32_768]), lse_sample("d12.scores", &[3072, 512])],
        run: |b, ins, outs, _| logsumexp_fwd(b, ins[0], outs[0].reborrow()),
        scales: &[1.0, 8.0, 60.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 6.0,
        roundings: 0.0,
        // An error of the sum, relatively, and of the two terms; Σ p·|x − m| is at most ln C.
        magnitude: Some(|x, s| {
            let largest = |row: &[f64]| row.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let c = length(s, "x");
            let size = |row: &[f64]| 1.0 + largest(row) + (c as f64).ln();
            let rows = s.dims("lse").iter().product();
            vec![(0..rows).map(|r| x[0].get(r * c..(r + 1) * c).map_or(1.0, size)).collect()]
        }),
        cost: |s, bytes| Cost { flops: 4.0 * s.numel("x"), bytes: bytes * s.numel("x") },
    },
    KernelInfo {
        name: "logsumexp_bwd",
        doc: "dx = exp(x − lse)·dl",
        samples: || SHAPES.iter().map(|&(label, dims)| lse_bwd_sample(label, dims)).collect(),
        bench: || {
            vec![lse_bwd_sample("d12.logits", &[64, 32_768]), lse_bwd_sample("d12.scores", &[3072, 512])]
        },
        run: |b, ins, outs, s| logsumexp_bwd(b, ins[0], ins[1], ins[2], outs[0].reborrow(), s[1] != 0.0),
        scales: &[1.0, 8.0, 60.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let c = length(s, "x");
            let size = |i: usize| {
                let (below, dl) = ((x[0][i] - x[1][i / c]).abs(), x[2][i / c].abs());
                dl * ((-below).exp() * (1.0 + below) + FLUSHED) + x[3][i].abs()
            };
            vec![(0..x[0].len()).map(size).collect()]
        }),
        cost: |s, bytes| {
            let not_read = if s.scalars[1] != 0.0 { 0.0 } else { s.bytes_of("dx", bytes) };
            Cost { flops: 4.0 * s.numel("x"), bytes: s.moved(bytes) - not_read }
        },
    },
];

/// Times an f32 rounding: 6e-38, more than e⁻⁸⁷ = 1.7e-38.
const FLUSHED: f64 = 1e-30;

/// Softmax of a row and the distances from its maximum.
fn softmax(row: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
    row.iter().map(move |x| ((x - max).exp() / sum, max - x))
}

const SHAPES: &[(&str, &[usize])] = &[
    ("one element", &[1]),
    ("one row", &[1, 37]),
    ("odd", &[3, 5, 7]),
    ("no rows", &[0, 8]),
    ("rows of nothing", &[3, 0]),
    ("more than a block", &[2, 2500]),
    ("d4.scores", &[2, 4, 16, 64]),
];

/// Length of the rows; 1 where it is 0, to cut nothing into pieces.
fn length(s: &Sample, arg: &str) -> usize {
    s.dims(arg).last().copied().unwrap_or(1).max(1)
}

fn softmax_sample(label: &'static str, dims: &[usize]) -> Sample {
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)])
}

fn accumulate(dims: &[usize]) -> f64 {
    if dims.len().is_multiple_of(2) { 1.0 } else { 0.0 }
}

fn softmax_bwd_sample(label: &'static str, dims: &[usize]) -> Sample {
    let (dy, y) = (Arg::input("dy", dims, Draw::Normal), Arg::input("y", dims, Draw::Normal));
    Sample::new(label, vec![dy, y, Arg::inout("dx", dims, Draw::Normal)]).with(&[accumulate(dims)])
}

fn lse_sample(label: &'static str, dims: &[usize]) -> Sample {
    let lse = Arg::out_f32("lse", &dims[..dims.len() - 1]);
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), lse])
}

fn lse_bwd_sample(label: &'static str, dims: &[usize]) -> Sample {
    let (stats, c) = (&dims[..dims.len() - 1], dims[dims.len() - 1]);
    let lse = Draw::Derived(|ins, s| {
        let c = (s[0] as usize).max(1);
        let one = |row: &[f64]| {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            max + row.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
        };
        ins[0].chunks(c).map(one).collect()
    });
    let args = vec![
        Arg::input("x", dims, Draw::Normal),
        Arg::input("lse", stats, lse),
        Arg::input("dl", stats, Draw::NormalF32),
        Arg::inout("dx", dims, Draw::Normal),
    ];
    Sample::new(label, args).with(&[c as f64, accumulate(dims)])
}
