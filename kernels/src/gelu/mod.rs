//! The Gaussian error linear unit (Hendrycks & Gimpel 2016, arXiv:1606.08415): `y = x·Φ(x)`, Φ the normal distribution.
//!
//! Two forms of Φ: exact, `Φ(x) = (1 + erf(x/√2))/2`, and the approximation that GPT-2 was trained with,
//! `Φ(x) ≈ (1 + tanh(u))/2`, `u = √(2/π)·(x + 0.044715·x³)`. Backward reads the input:
//!
//! exact: `dx = dy·(Φ + x·φ)`, `φ = e^(−x²/2)/√(2π)`; approximate: `dx = dy·(Φ + x·(1 − tanh²u)/2·u')`.
//!
//! `x`, `y`: one shape (…, C), any strides, f32 or bf16; computed in f32, rounded once. NaN stays NaN. Where to read next: `cpu.rs` for a form of the
//! approximation that keeps its digits, [`crate::fast_math::erf_f32`].

pub(crate) mod cpu;
pub(crate) mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Which form of Φ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeluForm {
    /// By the error function.
    Exact,
    /// By the hyperbolic tangent.
    Tanh,
}

/// Both directions.
pub trait Gelu {
    /// See [`gelu_fwd`].
    fn gelu_fwd(&self, form: GeluForm, x: View, y: ViewMut) -> Result<()>;
    /// See [`gelu_bwd`].
    fn gelu_bwd(&self, form: GeluForm, x: View, dy: View, dx: ViewMut, accumulate: bool) -> Result<()>;
}

/// `y = x·Φ(x)`. Same dims and dtype, any strides.
pub fn gelu_fwd(b: &dyn Backend, form: GeluForm, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "gelu_fwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed =
        profile::call(OP, || Cost { flops: 30.0 * x.numel() as f64, bytes: x.traffic() + y.traffic() });
    b.gelu_fwd(form, x, y)
}

/// `dx (+)= dy·(x·Φ(x))'`; added to what `dx` holds if `accumulate`. Same dims and dtype, any strides.
pub fn gelu_bwd(
    b: &dyn Backend,
    form: GeluForm,
    x: View,
    dy: View,
    dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "gelu_bwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    for (arg, dims, dtype) in [("dy", dy.dims(), dy.dtype()), ("dx", dx.dims(), dx.dtype())] {
        check::dims(OP, arg, dims, x.dims())?;
        check::dtype(OP, arg, dtype, &[x.dtype()])?;
    }
    check::output(OP, "dx", &dx, &[("x", &x), ("dy", &dy)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 40.0 * x.numel() as f64,
        bytes: x.traffic() + dy.traffic() + profile::written(&dx, accumulate),
    });
    b.gelu_bwd(form, x, dy, dx, accumulate)
}

macro_rules! entries {
    ($form:expr, $forward:literal: $y:literal, $backward:literal: $dx:literal) => {
        [
            KernelInfo {
                name: $forward,
                doc: $y,
                samples: || SHAPES.iter().map(forward).collect(),
                bench: || vec![forward(&BENCH)],
                run: |b, ins, outs, _| gelu_fwd(b, $form, ins[0], outs[0].reborrow()),
                scales: &[1.0, 5.0, 1e-4, 0.0],
                dtypes: &[DType::F32, DType::Bf16],
                layouts: Layouts::Any,
                tolerance: 4.0, // x·Φ with Φ ≤ 1 known to a few units of 1
                roundings: 0.0,
                magnitude: Some(|x, _| vec![x[0].iter().map(|x| x.abs()).collect()]),
                cost: |s, bytes| Cost { flops: 30.0 * s.numel("x"), bytes: bytes * 2.0 * s.numel("x") },
            },
            KernelInfo {
                name: $backward,
                doc: $dx,
                samples: || SHAPES.iter().map(backward).collect(),
                bench: || vec![backward(&BENCH)],
                run: |b, ins, outs, s| gelu_bwd(b, $form, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
                scales: &[1.0, 5.0, 1e-4],
                dtypes: &[DType::F32, DType::Bf16],
                layouts: Layouts::Any,
                tolerance: 6.0,
                roundings: 0.0,
                // Φ ≤ 1 and x·Φ' ≤ 1/2
                magnitude: Some(|x, s| {
                    let old = |i: usize| s.scalars[0] * x[2][i].abs();
                    vec![(0..x[0].len()).map(|i| 1.5 * x[1][i].abs() + old(i)).collect()]
                }),
                cost: |s, bytes| Cost { flops: 40.0 * s.numel("x"), bytes: bytes * 3.0 * s.numel("x") },
            },
        ]
    };
}

const EXACT: [KernelInfo; 2] = entries!(
    GeluForm::Exact,
    "gelu_fwd": "y = x·(1 + erf(x/√2))/2",
    "gelu_bwd": "dx = dy·(Φ(x) + x·φ(x))"
);
const TANH: [KernelInfo; 2] = entries!(
    GeluForm::Tanh,
    "gelu_tanh_fwd": "y = x·(1 + tanh u)/2, u = √(2/π)·(x + 0.044715·x³)",
    "gelu_tanh_bwd": "dx = dy·((1 + tanh u)/2 + x·(1 − tanh²u)/2·u')"
);

/// Registry entries, one pair per form.
pub const KERNELS: &[KernelInfo] = {
    let ([a, b], [c, d]) = (EXACT, TANH);
    &[a, b, c, d]
};

type Shape = (&'static str, &'static [usize]);
const SHAPES: &[Shape] = &[
    ("one element", &[1, 1]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("a vector and a tail", &[7, 33]),
    ("d4 feed-forward", &[2, 64, 1024]),
];
const BENCH: Shape = ("d12.mlp", &[2, 512, 3072]);

fn forward(&(label, dims): &Shape) -> Sample {
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)])
}

fn backward(&(label, dims): &Shape) -> Sample {
    let mut args = ["x", "dy"].map(|name| Arg::input(name, dims, Draw::Normal)).to_vec();
    args.push(Arg::inout("dx", dims, Draw::Normal));
    Sample::new(label, args).with(&[(dims.len() == 2).into()])
}
