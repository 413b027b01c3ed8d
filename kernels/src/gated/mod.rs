//! Gated activations of a feed-forward layer (Shazeer 2020, arXiv:2002.05202): `y = act(a) ∘ b`, with
//!
//! - ReLU²: `act(a) = max(a, 0)²`,
//! - SiLU (the layer is then called SwiGLU): `act(a) = a·σ(a)`,
//! - GELU in its tanh form (GEGLU): see [`crate::gelu`].
//!
//! `a` and `b` are two projections of the layer's input. Both gradients come from one pass over `a`, `b`, `dy`:
//!
//! `da = dy ∘ b ∘ act'(a)`, `db = dy ∘ act(a)`.
//!
//! All of one shape (…, C), any strides (so `a` and `b` may be halves of one projection), f32 or bf16; computed in f32, rounded once.
//! Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// What is applied to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(a, 0)²`
    ReluSquared,
    /// `a·σ(a)`
    Silu,
    /// `a·(1 + tanh u)/2`
    GeluTanh,
}

/// Both directions.
pub trait Gated {
    /// See [`gated_fwd`].
    fn gated_fwd(&self, act: Activation, a: View, b: View, y: ViewMut) -> Result<()>;
    /// See [`gated_bwd`].
    fn gated_bwd(&self, act: Activation, a: View, b: View, dy: View, da: ViewMut, db: ViewMut) -> Result<()>;
}

/// `y = act(a)∘b`. Same dims and dtype, any strides.
pub fn gated_fwd(backend: &dyn Backend, act: Activation, a: View, b: View, y: ViewMut) -> Result<()> {
    const OP: &str = "gated_fwd";
    alike(OP, a.dims(), a.dtype(), &[("b", b.dims(), b.dtype()), ("y", y.dims(), y.dtype())])?;
    check::output(OP, "y", &y, &[("a", &a), ("b", &b)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 20.0 * a.numel() as f64,
        bytes: a.traffic() + b.traffic() + y.traffic(),
    });
    backend.gated_fwd(act, a, b, y)
}

/// `da = dy∘b∘act'(a)`, `db = dy∘act(a)`; both are overwritten. Same dims and dtype, any strides.
pub fn gated_bwd(
    backend: &dyn Backend,
    act: Activation,
    a: View,
    b: View,
    dy: View,
    da: ViewMut,
    db: ViewMut,
) -> Result<()> {
    const OP: &str = "gated_bwd";
    let others = [
        ("b", b.dims(), b.dtype()),
        ("dy", dy.dims(), dy.dtype()),
        ("da", da.dims(), da.dtype()),
        ("db", db.dims(), db.dtype()),
    ];
    alike(OP, a.dims(), a.dtype(), &others)?;
    for (arg, out) in [("da", &da), ("db", &db)] {
        check::output(OP, arg, out, &[("a", &a), ("b", &b), ("dy", &dy)])?;
    }
    check::disjoint(OP, "db", &da, &db)?;
    let _timed = profile::call(OP, || Cost {
        flops: 30.0 * a.numel() as f64,
        bytes: a.traffic() + b.traffic() + dy.traffic() + da.traffic() + db.traffic(),
    });
    backend.gated_bwd(act, a, b, dy, da, db)
}

/// `others` have the dims and the dtype of `a`.
fn alike(
    op: &'static str,
    dims: &[usize],
    dtype: DType,
    others: &[(&'static str, &[usize], DType)],
) -> Result<()> {
    check::dtype(op, "a", dtype, FLOATS)?;
    others.iter().try_for_each(|&(arg, own, own_dtype)| {
        check::dims(op, arg, own, dims)?;
        check::dtype(op, arg, own_dtype, &[dtype])
    })
}

macro_rules! entries {
    ($act:expr, $forward:literal: $y:literal, $backward:literal: $d:literal) => {
        [
            KernelInfo {
                name: $forward,
                doc: $y,
                samples: || SHAPES.iter().map(forward).collect(),
                bench: || vec![forward(&BENCH)],
                run: |backend, ins, outs, _| gated_fwd(backend, $act, ins[0], ins[1], outs[0].reborrow()),
                scales: &[1.0, 5.0, 1e-3, 0.0],
                dtypes: &[DType::F32, DType::Bf16],
                layouts: Layouts::Any,
                tolerance: 6.0,
                roundings: 0.0,
                magnitude: Some(|x, _| {
                    vec![(0..x[0].len()).map(|i| size($act, x[0][i]).0 * x[1][i].abs()).collect()]
                }),
                cost: |s, bytes| Cost { flops: 20.0 * s.numel("a"), bytes: bytes * 3.0 * s.numel("a") },
            },
            KernelInfo {
                name: $backward,
                doc: $d,
                samples: || SHAPES.iter().map(backward).collect(),
                bench: || vec![backward(&BENCH)],
                run: |backend, ins, outs, _| {
                    let [da, db] = outs else { unreachable!("two outputs") };
                    gated_bwd(backend, $act, ins[0], ins[1], ins[2], da.reborrow(), db.reborrow())
                },
                scales: &[1.0, 5.0, 1e-3],
                dtypes: &[DType::F32, DType::Bf16],
                layouts: Layouts::Any,
                tolerance: 6.0,
                roundings: 0.0,
                magnitude: Some(|x, _| {
                    let da = |i: usize| size($act, x[0][i]).1 * (x[1][i] * x[2][i]).abs();
                    let db = |i: usize| size($act, x[0][i]).0 * x[2][i].abs();
                    vec![(0..x[0].len()).map(da).collect(), (0..x[0].len()).map(db).collect()]
                }),
                cost: |s, bytes| Cost { flops: 30.0 * s.numel("a"), bytes: bytes * 5.0 * s.numel("a") },
            },
        ]
    };
}

/// What the error of an activation, and of its derivative, is relative to: the derivatives of SiLU and GELU are at most 1.13,
/// their two terms together at most 1.5.
fn size(act: Activation, a: f64) -> (f64, f64) {
    match act {
        Activation::ReluSquared => (a.max(0.0).powi(2), 2.0 * a.max(0.0)),
        Activation::Silu | Activation::GeluTanh => (a.abs(), 1.5),
    }
}

const RELU_SQUARED: [KernelInfo; 2] = entries!(
    Activation::ReluSquared,
    "gated_relu_squared_fwd": "y = max(a, 0)²·b",
    "gated_relu_squared_bwd": "da = 2·dy·b·max(a, 0), db = dy·max(a, 0)²"
);
const SILU: [KernelInfo; 2] = entries!(
    Activation::Silu,
    "gated_silu_fwd": "y = a·σ(a)·b",
    "gated_silu_bwd": "da = dy·b·(σ(a) + a·σ(a)·σ(−a)), db = dy·a·σ(a)"
);
const GELU_TANH: [KernelInfo; 2] = entries!(
    Activation::GeluTanh,
    "gated_gelu_tanh_fwd": "y = gelu(a)·b",
    "gated_gelu_tanh_bwd": "da = dy·b·gelu'(a), db = dy·gelu(a)"
);

/// Registry entries, one pair per activation.
pub const KERNELS: &[KernelInfo] = {
    let ([a, b], [c, d], [e, f]) = (RELU_SQUARED, SILU, GELU_TANH);
    &[a, b, c, d, e, f]
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
    let mut args = ["a", "b"].map(|name| Arg::input(name, dims, Draw::Normal)).to_vec();
    args.push(Arg::out("y", dims));
    Sample::new(label, args)
}

fn backward(&(label, dims): &Shape) -> Sample {
    let mut args = ["a", "b", "dy"].map(|name| Arg::input(name, dims, Draw::Normal)).to_vec();
    args.extend(["da", "db"].map(|name| Arg::out(name, dims)));
    Sample::new(label, args)
}
