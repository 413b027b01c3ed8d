//! Registry entries of the fused rotation and norm: samples, and the sizes of the terms that its sums are made of.

use super::{Rotation, rope_norm_bwd, rope_norm_fwd};
use crate::DType;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

const EPS: f64 = 1.0 / (1 << 23) as f64;

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "rope_norm_fwd",
        doc: "y = gain·z·r, z = R(position)·x, r = 1/sqrt(mean(z²) + eps)",
        samples: || SHAPES.iter().map(forward).collect(),
        bench: || BENCH.iter().map(forward).collect(),
        run: |b, ins, outs, s| {
            let [y, rstd] = outs else { unreachable!("two outputs") };
            let rotation = Rotation { positions: ins[1], cos: ins[2], sin: ins[3] };
            rope_norm_fwd(b, ins[0], rotation, s[0], EPS, y.reborrow(), rstd.reborrow())
        },
        scales: &[1.0, 3e-4, 0.0], // 3e-4: mean(z²) is of the size of eps
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 0.0,
        magnitude: Some(forward_sizes),
        cost: |s, bytes| Cost { flops: 7.0 * s.numel("x"), bytes: bytes * 2.0 * s.numel("x") },
    },
    KernelInfo {
        name: "rope_norm_bwd",
        doc: "dx = R(position)ᵀ·r·(gain·dy − y·mean(dy∘y)/gain)",
        samples: || SHAPES.iter().map(backward).collect(),
        bench: || BENCH.iter().map(backward).collect(),
        run: |b, ins, outs, s| {
            let rotation = Rotation { positions: ins[3], cos: ins[4], sin: ins[5] };
            rope_norm_bwd(b, ins[0], ins[1], ins[2], rotation, s[0], outs[0].reborrow(), s[1] != 0.0)
        },
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 0.0,
        magnitude: Some(backward_sizes),
        cost: |s, bytes| Cost { flops: 9.0 * s.numel("dy"), bytes: bytes * 3.0 * s.numel("dy") },
    },
];

/// Label, (B, T, H, D), table length, gain, accumulate.
type Shape = (&'static str, [usize; 4], usize, f64, f64);
const SHAPES: &[Shape] = &[
    ("one pair", [1, 1, 1, 2], 1, 1.0, 0.0),
    ("odd half", [3, 5, 3, 6], 9, 1.2, 1.0),
    ("empty", [0, 4, 2, 8], 4, 1.0, 0.0),
    ("decode", [5, 1, 2, 64], 40, 1.2, 0.0),
    ("d4.q", [2, 64, 2, 128], 64, 1.2, 1.0),
];
const BENCH: &[Shape] =
    &[("d4.q", [8, 512, 2, 128], 512, 1.0, 0.0), ("d12.q", [8, 512, 6, 128], 512, 1.0, 0.0)];

fn rotation(dims: &[usize; 4], table: usize) -> [Arg; 3] {
    [
        Arg::input("positions", &dims[..2], Draw::Ids { lo: 0, hi: table as i32 }),
        Arg::input("cos", &[table, dims[3] / 2], Draw::Uniform(-1.0, 1.0)),
        Arg::input("sin", &[table, dims[3] / 2], Draw::Uniform(-1.0, 1.0)),
    ]
}

fn forward(&(label, dims, table, gain, _): &Shape) -> Sample {
    let mut args = vec![Arg::input("x", &dims, Draw::Normal)];
    args.extend(rotation(&dims, table));
    args.extend([Arg::out("y", &dims), Arg::out_f32("rstd", &dims[..3])]);
    Sample::new(label, args).with(&[gain])
}

fn backward(&(label, dims, table, gain, accumulate): &Shape) -> Sample {
    let mut args = ["dy", "y"].map(|name| Arg::input(name, &dims, Draw::Normal)).to_vec();
    args.push(Arg::input("rstd", &dims[..3], Draw::Uniform(0.1, 3.0)));
    args.extend(rotation(&dims, table));
    args.push(Arg::inout("dx", &dims, Draw::Normal));
    Sample::new(label, args).with(&[gain, accumulate])
}

/// Turned numbers and the size of their terms, for the head vector `row`; `tables`: positions, cos, sin.
fn turn(x: &[f64], row: usize, heads: usize, tables: &[Vec<f64>], sign: f64) -> Vec<(f64, f64)> {
    let half = x.len() / 2;
    let at = tables[0][row / heads] as usize * half;
    let element = |i: usize| {
        let j = i % half;
        let (c, s) = (tables[1][at + j], sign * tables[2][at + j]);
        let (own, other) = if i < half { (x[j] * c, x[half + j] * s) } else { (x[half + j] * c, -x[j] * s) };
        (own + other, own.abs() + other.abs())
    };
    (0..x.len()).map(element).collect()
}

/// A turned number is a sum of two products that may cancel; what that costs is also in the mean of squares.
fn forward_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (heads, d, gain) = (s.dims("x")[2], s.dims("x")[3], s.scalars[0]);
    let (mut ys, mut rstds) = (Vec::new(), Vec::new());
    for (row, x_row) in x[0].chunks(d).enumerate() {
        let z = turn(x_row, row, heads, &x[1..4], 1.0);
        let average = |f: &dyn Fn(&(f64, f64)) -> f64| z.iter().map(f).sum::<f64>() / d as f64;
        let rstd = 1.0 / (average(&|z| z.0 * z.0) + EPS).sqrt();
        let error = 1.0 + rstd * rstd * average(&|z| z.0.abs() * z.1);
        ys.extend(z.iter().map(|z| gain * rstd * (z.1 + z.0.abs() * error)));
        rstds.push(rstd * error);
    }
    vec![ys, rstds]
}

fn backward_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (heads, d) = (s.dims("dy")[2], s.dims("dy")[3]);
    let (gain, accumulate) = (s.scalars[0], s.scalars[1]);
    let mut sizes = Vec::new();
    for (row, dy) in x[0].chunks(d).enumerate() {
        let y = &x[1][row * d..][..d];
        let mean = dy.iter().zip(y).map(|(dy, y)| (dy * y).abs()).sum::<f64>() / d as f64;
        let dz: Vec<f64> =
            dy.iter().zip(y).map(|(dy, y)| x[2][row] * (gain * dy.abs() + y.abs() * mean / gain)).collect();
        sizes.extend(turn(&dz, row, heads, &x[3..6], -1.0).iter().map(|z| z.1));
    }
    vec![sizes.iter().zip(&x[6]).map(|(size, old)| size + accumulate * old.abs()).collect()]
}
