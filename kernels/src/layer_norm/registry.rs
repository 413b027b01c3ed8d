//! Registry entries of layer normalisation: samples, and the sizes of the terms that its sums are made of.

use super::{layer_norm_bwd, layer_norm_bwd_weights, layer_norm_fwd};
use crate::DType;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

/// GPT-2's epsilon.
const EPS: f64 = 1e-5;

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "layer_norm_fwd",
        doc: "y = (x − mean)·r·gain + bias, r = 1/sqrt(mean((x − mean)²) + eps)",
        samples: || {
            let mut samples = vec![far_from_zero()];
            samples.extend(SHAPES.iter().flat_map(|s| [forward(s, false), forward(s, true)]));
            samples
        },
        bench: || BENCH.iter().map(|s| forward(s, true)).collect(),
        run: |b, ins, outs, s| {
            let [y, mean, rstd] = outs else { unreachable!("three outputs") };
            let ins = &ins[s[1] as usize..];
            let bias = ins.get(2).copied();
            layer_norm_fwd(
                b,
                ins[0],
                ins[1],
                bias,
                s[0],
                y.reborrow(),
                [mean, rstd].map(|stat| stat.reborrow()),
            )
        },
        scales: &[1.0, 3e-3, 0.0], // 3e-3: the variance is of the size of eps
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 0.0,
        magnitude: Some(forward_sizes),
        cost: |s, bytes| Cost { flops: 8.0 * s.numel("x"), bytes: bytes * 2.0 * s.numel("x") },
    },
    KernelInfo {
        name: "layer_norm_bwd",
        doc: "dx = r·(g − mean(g) − x̂·mean(g∘x̂)), g = dy∘gain",
        samples: || SHAPES.iter().map(backward).collect(),
        bench: || BENCH.iter().map(backward).collect(),
        run: |b, ins, outs, s| {
            let dx = outs[0].reborrow();
            layer_norm_bwd(b, ins[0], ins[1], ins[2], [ins[3], ins[4]], dx, s[0] != 0.0)
        },
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 0.0,
        magnitude: Some(backward_sizes),
        cost: |s, bytes| Cost { flops: 12.0 * s.numel("x"), bytes: bytes * 3.0 * s.numel("x") },
    },
    KernelInfo {
        name: "layer_norm_bwd_weights",
        doc: "dgain = Σ dy∘x̂, dbias = Σ dy over all rows",
        samples: || SHAPES.iter().map(weights).collect(),
        bench: || BENCH.iter().map(weights).collect(),
        run: |b, ins, outs, _| {
            let [dgain, dbias] = outs else { unreachable!("two outputs") };
            layer_norm_bwd_weights(b, ins[0], ins[1], [ins[2], ins[3]], dgain.reborrow(), dbias.reborrow())
        },
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        // Blocks of 32 rows: equal rows err to one side up to 16 times, and a term is a difference and two products.
        tolerance: 20.0,
        roundings: 0.0,
        magnitude: Some(weight_sizes),
        cost: |s, bytes| Cost { flops: 5.0 * s.numel("x"), bytes: bytes * 2.0 * s.numel("x") },
    },
];

type Shape = (&'static str, &'static [usize]);
const SHAPES: &[Shape] = &[
    ("one element", &[1, 1]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("a vector and a tail", &[7, 33]),
    ("several blocks of rows, the last one short", &[75, 9]),
    ("d4.hidden", &[64, 256]),
];
const BENCH: &[Shape] = &[("d4.hidden", &[8, 512, 256]), ("d12.hidden", &[8, 512, 768])];

/// Shapes of the statistics and of the weights.
fn parts(dims: &[usize]) -> (&[usize], &[usize]) {
    dims.split_at(dims.len() - 1)
}

fn forward(&(label, dims): &Shape, biased: bool) -> Sample {
    let (stats, c) = parts(dims);
    let mut args = vec![Arg::input("x", dims, Draw::Normal), Arg::input("gain", c, Draw::Uniform(-1.0, 2.0))];
    if biased {
        args.push(Arg::input("bias", c, Draw::NormalF32));
    }
    args.extend([Arg::out("y", dims), Arg::out_f32("mean", stats), Arg::out_f32("rstd", stats)]);
    Sample::new(label, args).with(&[EPS, 0.0])
}

/// A mean 500 times as large as the deviation: what `mean(x²) − mean²` cannot bear. The first argument only serves to draw x;
/// the second scalar says how many such there are.
fn far_from_zero() -> Sample {
    let mut sample = forward(&("mean far from zero", &[5, 40]), true).with(&[EPS, 1.0]);
    sample.args[0].draw = Draw::DerivedRounded(|ins, _| ins[0].iter().map(|v| 500.0 + v).collect());
    sample.args.insert(0, Arg::input("(deviation)", &[5, 40], Draw::NormalF32));
    sample
}

fn backward(&(label, dims): &Shape) -> Sample {
    let (stats, c) = parts(dims);
    let args = vec![
        Arg::input("dy", dims, Draw::Normal),
        Arg::input("x", dims, Draw::Normal),
        Arg::input("gain", c, Draw::Uniform(-1.0, 2.0)),
        Arg::input("mean", stats, Draw::NormalF32),
        Arg::input("rstd", stats, Draw::Uniform(0.1, 3.0)),
        Arg::inout("dx", dims, Draw::Normal),
    ];
    Sample::new(label, args).with(&[(dims.len() == 2).into()])
}

fn weights(&(label, dims): &Shape) -> Sample {
    let (stats, c) = parts(dims);
    let args = vec![
        Arg::input("dy", dims, Draw::Normal),
        Arg::input("x", dims, Draw::Normal),
        Arg::input("mean", stats, Draw::NormalF32),
        Arg::input("rstd", stats, Draw::Uniform(0.1, 3.0)),
        Arg::out_f32("dgain", c),
        Arg::out_f32("dbias", c),
    ];
    Sample::new(label, args)
}

/// The difference `x − mean` loses digits where the mean is large: what is left errs by roundings of `|x| + |mean|`, in the
/// result directly, and relative to `x − mean` in the variance.
fn forward_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let x = &x[s.scalars[1] as usize..];
    let c = x[1].len();
    let (mut ys, mut means, mut rstds) = (Vec::new(), Vec::new(), Vec::new());
    for row in x[0].chunks(c.max(1)) {
        let average = |f: &dyn Fn(f64) -> f64| row.iter().map(|&v| f(v)).sum::<f64>() / c as f64;
        let (mean, size) = (average(&|v| v), average(&f64::abs));
        let rstd = 1.0 / (average(&|v| (v - mean).powi(2)) + s.scalars[0]).sqrt();
        let error = 1.0 + rstd * rstd * average(&|v| (v - mean).abs() * (v.abs() + size));
        for (i, v) in row.iter().enumerate() {
            let bias = x.get(2).map_or(0.0, |bias| bias[i].abs());
            ys.push(x[1][i].abs() * rstd * ((v.abs() + size) + (v - mean).abs() * error) + bias);
        }
        means.push(size);
        rstds.push(rstd * error);
    }
    vec![ys, means, rstds]
}

/// `|x̂|` before cancellation: `(|x| + |mean|)·r`.
fn unit(x: f64, mean: f64, rstd: f64) -> f64 {
    (x.abs() + mean.abs()) * rstd
}

fn backward_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let c = x[2].len();
    let mut sizes = x[5].iter().map(|old| old.abs() * s.scalars[0]).collect::<Vec<_>>();
    for (row, sizes) in sizes.chunks_mut(c.max(1)).enumerate() {
        let (mean, rstd) = (x[3][row], x[4][row]);
        let g = |i: usize| (x[0][row * c + i] * x[2][i]).abs();
        let unit = |i: usize| unit(x[1][row * c + i], mean, rstd);
        let mean_g = (0..c).map(g).sum::<f64>() / c as f64;
        let mean_gx = (0..c).map(|i| g(i) * unit(i)).sum::<f64>() / c as f64;
        for (i, size) in sizes.iter_mut().enumerate() {
            *size += rstd * (g(i) + mean_g + unit(i) * mean_gx);
        }
    }
    vec![sizes]
}

fn weight_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let c = s.dims("dgain")[0];
    let (mut gain, mut bias) = (vec![0.0; c], vec![0.0; c]);
    for (at, dy) in x[0].iter().enumerate() {
        gain[at % c] += dy.abs() * unit(x[1][at], x[2][at / c], x[3][at / c]);
        bias[at % c] += dy.abs();
    }
    vec![gain, bias]
}
