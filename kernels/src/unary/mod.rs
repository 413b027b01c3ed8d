//! Elementwise functions of one tensor: `y = f(x)`.
//!
//! `x`, `y`: the same dims, any strides. Computed in f32 and rounded once. Elementary; no paper. NaN gives NaN (also
//! through `Relu`), as do the logarithm and the square root of a negative number. Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryOp {
    /// `−x`
    Neg,
    /// `eˣ`
    Exp,
    /// `ln x`
    Ln,
    /// `√x`
    Sqrt,
    /// `1/√x`
    Rsqrt,
    /// `1/x`
    Reciprocal,
    /// `tanh x`
    Tanh,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `max(x, 0)`
    Relu,
    /// `x²`
    Square,
    /// `|x|`
    Abs,
    /// `sin x`
    Sin,
    /// `cos x`
    Cos,
    /// `x·σ(x)` with σ the sigmoid (Elfwing et al. 2017, arXiv:1702.03118)
    Silu,
    /// Derivative of `Silu`: `σ(x)·(1 + x·σ(−x))`
    SiluSlope,
    /// `scale·x + shift`
    Affine {
        /// The factor.
        scale: f64,
        /// Added after scaling.
        shift: f64,
    },
}

/// Elementwise functions of one argument.
pub trait Unary {
    /// See [`unary`].
    fn unary(&self, op: UnaryOp, x: View, y: ViewMut) -> Result<()>;
}

/// `y = f(x)`. Same dims and dtype, any strides.
pub fn unary(b: &dyn Backend, op: UnaryOp, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "unary";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed = profile::call(OP, || Cost { flops: y.numel() as f64, bytes: x.traffic() + y.traffic() });
    b.unary(op, x, y)
}

macro_rules! entry {
    ($name:literal, $doc:literal, $op:expr, $samples:ident, $scales:expr, $tolerance:expr, $magnitude:expr) => {
        KernelInfo {
            name: $name,
            doc: $doc,
            samples: || $samples(SHAPES),
            bench: || $samples(REAL),
            run: |b, ins, outs, _| unary(b, $op, ins[ins.len() - 1], outs[0].reborrow()),
            scales: $scales,
            dtypes: &[DType::F32, DType::Bf16],
            layouts: Layouts::Any,
            tolerance: $tolerance,
            roundings: 0.0,
            magnitude: $magnitude,
            cost: |s, bytes| {
                let y = s.numel("y");
                Cost { flops: y, bytes: s.bytes_of("x", bytes) + s.bytes_of("y", bytes) }
            },
        }
    };
}

const AFFINE: (f64, f64) = (1.7, -0.3);

/// Registry entries, one per function.
pub const KERNELS: &[KernelInfo] = &[
    entry!("unary_neg", "y = −x", UnaryOp::Neg, any, &[1.0], 0.0, None),
    entry!("unary_exp", "y = eˣ", UnaryOp::Exp, any, &[1.0, 15.0, 1e-4], 4.0, None),
    entry!("unary_ln", "y = ln x", UnaryOp::Ln, positive, &[1.0, 30.0], 2.0, None),
    entry!("unary_sqrt", "y = √x", UnaryOp::Sqrt, positive, &[1.0, 30.0], 1.0, None),
    entry!("unary_rsqrt", "y = 1/√x", UnaryOp::Rsqrt, positive, &[1.0, 30.0], 3.0, None),
    entry!("unary_reciprocal", "y = 1/x", UnaryOp::Reciprocal, positive, &[1.0, 30.0], 1.0, None),
    entry!("unary_tanh", "y = tanh x", UnaryOp::Tanh, any, &[1.0, 10.0, 1e-4], 6.0, None),
    entry!("unary_sigmoid", "y = 1/(1 + e⁻ˣ)", UnaryOp::Sigmoid, any, &[1.0, 10.0, 1e-4], 6.0, None),
    entry!("unary_relu", "y = max(x, 0)", UnaryOp::Relu, any, &[1.0, 0.0], 0.0, None),
    entry!("unary_square", "y = x²", UnaryOp::Square, any, &[1.0, 1e-4], 1.0, None),
    entry!("unary_abs", "y = |x|", UnaryOp::Abs, any, &[1.0], 0.0, None),
    // An angle beyond 2π is reduced with π to f32's full precision or more: the error stays one of the result.
    entry!("unary_sin", "y = sin x", UnaryOp::Sin, any, &[1.0, 30.0, 1e-4], 2.0, Some(ones)),
    entry!("unary_cos", "y = cos x", UnaryOp::Cos, any, &[1.0, 30.0, 1e-4], 2.0, Some(ones)),
    entry!("unary_silu", "y = x·σ(x)", UnaryOp::Silu, any, &[1.0, 8.0, 1e-4], 8.0, None),
    entry!(
        "unary_silu_slope",
        "y = σ(x)·(1 + x·σ(−x))",
        UnaryOp::SiluSlope,
        any,
        &[1.0, 8.0, 1e-4],
        8.0,
        Some(|x, _| {
            let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
            vec![x[0].iter().map(|&x| sigma(x) * (1.0 + x.abs() * sigma(-x))).collect()]
        })
    ),
    entry!(
        "unary_affine",
        "y = scale·x + shift",
        UnaryOp::Affine { scale: AFFINE.0, shift: AFFINE.1 },
        any,
        &[1.0, 1e-4],
        3.0, // two roundings, and those of scale and shift
        Some(|x, _| vec![x[0].iter().map(|v| (AFFINE.0 * v).abs() + AFFINE.1.abs()).collect()])
    ),
];

fn ones(x: &[Vec<f64>], _: &Sample) -> Vec<Vec<f64>> {
    vec![vec![1.0; x[0].len()]]
}

const SHAPES: &[(&str, &[usize])] = &[
    ("a scalar", &[]),
    ("one row", &[1, 9]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("a vector and a tail", &[7, 33]),
    ("d4.hidden", &[2, 64, 256]),
];

const REAL: &[(&str, &[usize])] = &[("d12.hidden", &[8, 512, 768])];

fn any(shapes: &[(&'static str, &[usize])]) -> Vec<Sample> {
    let sample = |&(label, dims): &(&'static str, &[usize])| {
        Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)])
    };
    shapes.iter().map(sample).collect()
}

/// The function's argument is the last input: the square of a normal, kept away from zero.
fn positive(shapes: &[(&'static str, &[usize])]) -> Vec<Sample> {
    let square = Draw::DerivedRounded(|ins, _| ins[0].iter().map(|v| v * v + 1e-3).collect());
    let sample = |&(label, dims): &(&'static str, &[usize])| {
        let args = vec![
            Arg::input("(root)", dims, Draw::Normal),
            Arg::input("x", dims, square.clone()),
            Arg::out("y", dims),
        ];
        Sample::new(label, args)
    };
    shapes.iter().map(sample).collect()
}
