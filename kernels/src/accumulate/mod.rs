//! Adding into a tensor: `y += α·x`.
//!
//! How gradients of several uses of one value come together, and how residual branches join. `α` is a number, or a
//! one-element tensor that stays where it is (a learned scale, a clipping factor). `x` and `y` have the same dims, any
//! strides, and may differ in dtype: a bf16 gradient is added to an f32 total. Computed in f32, rounded once.
//! Elementary; no paper. Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Both kinds of `α`.
pub trait Accumulate {
    /// See [`accumulate`].
    fn accumulate(&self, alpha: f64, x: View, y: ViewMut) -> Result<()>;
    /// See [`accumulate_scaled`].
    fn accumulate_scaled(&self, alpha: View, x: View, y: ViewMut) -> Result<()>;
}

/// `y += alpha·x`. Same dims, any strides, any float dtypes.
pub fn accumulate(b: &dyn Backend, alpha: f64, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "accumulate";
    same_dims_floats(OP, &x, &y)?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed = profile::call(OP, || cost(&x, &y));
    b.accumulate(alpha, x, y)
}

/// `y += alpha[0]·x`. `alpha`: one element, f32 (f64 when `y` is f64); the rest as in [`accumulate`].
pub fn accumulate_scaled(b: &dyn Backend, alpha: View, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "accumulate_scaled";
    same_dims_floats(OP, &x, &y)?;
    if alpha.numel() != 1 {
        check::dims(OP, "alpha", alpha.dims(), &[1])?;
    }
    check::dtype(OP, "alpha", alpha.dtype(), &[check::accumulator(y.dtype())])?;
    check::output(OP, "y", &y, &[("alpha", &alpha), ("x", &x)])?;
    let _timed = profile::call(OP, || cost(&x, &y));
    b.accumulate_scaled(alpha, x, y)
}

fn same_dims_floats(op: &'static str, x: &View, y: &ViewMut) -> Result<()> {
    check::dims(op, "x", x.dims(), y.dims())?;
    check::dtype(op, "x", x.dtype(), FLOATS)?;
    check::dtype(op, "y", y.dtype(), FLOATS)
}

/// One multiplication and one addition per element; `y` is read and written.
fn cost(x: &View, y: &ViewMut) -> Cost {
    Cost { flops: 2.0 * y.numel() as f64, bytes: x.traffic() + profile::written(y, true) }
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "accumulate",
        doc: "y += α·x",
        samples: || samples(&[]),
        bench: || real(&[]),
        run: |b, ins, outs, s| accumulate(b, s[0], ins[0], outs[0].reborrow()),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 3.0, // the product, the sum, and α itself
        roundings: 0.0,
        magnitude: Some(|x, s| vec![sizes(s.scalars[0], &x[0], &x[1])]),
        cost: |s, bytes| Cost { flops: 2.0 * s.numel("y"), bytes: s.moved(bytes) },
    },
    KernelInfo {
        name: "accumulate_scaled",
        doc: "y += α[0]·x",
        samples: || samples(&[alpha()]),
        bench: || real(&[alpha()]),
        run: |b, ins, outs, _| accumulate_scaled(b, ins[0], ins[1], outs[0].reborrow()),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 2.0,
        roundings: 0.0,
        magnitude: Some(|x, _| vec![sizes(x[0][0], &x[1], &x[2])]),
        cost: |s, bytes| Cost { flops: 2.0 * s.numel("y"), bytes: s.moved(bytes) },
    },
];

const SHAPES: &[(&str, &[usize])] = &[
    ("a scalar", &[]),
    ("one row", &[1, 9]),
    ("odd", &[3, 5, 7]),
    ("empty", &[4, 0]),
    ("d4.hidden", &[2, 64, 256]),
];

fn alpha() -> Arg {
    Arg::input("alpha", &[1], Draw::Uniform(-2.0, 2.0))
}

fn sample(label: &'static str, first: &[Arg], dims: &[usize], x: Draw, y: Draw) -> Sample {
    let mut args = first.to_vec();
    args.extend([Arg::input("x", dims, x), Arg::inout("y", dims, y)]);
    Sample::new(label, args).with(&[-0.7])
}

fn samples(first: &[Arg]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for &(label, dims) in SHAPES {
        for (x, y) in
            [(Draw::Normal, Draw::Normal), (Draw::Normal, Draw::NormalF32), (Draw::NormalF32, Draw::Normal)]
        {
            samples.push(sample(label, first, dims, x, y));
        }
    }
    samples
}

/// A residual stream, and a gradient joining an f32 total.
fn real(first: &[Arg]) -> Vec<Sample> {
    let of = |label, y| sample(label, first, &[8, 512, 768], Draw::Normal, y);
    vec![of("d12.hidden", Draw::Normal), of("d12.hidden.into_f32", Draw::NormalF32)]
}

fn sizes(alpha: f64, x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| (alpha * x).abs() + y.abs()).collect()
}
