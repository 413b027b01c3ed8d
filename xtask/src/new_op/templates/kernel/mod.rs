//! An example to be replaced: the elementwise function `y = x³/(1 + x²)`, close to 0 for small x and to x for large.
//!
//! `x`, `y`: any dims and strides, f32 or bf16; computed in f32, rounded once. NaN gives NaN. Elementary; no paper.
// BEGIN gradient
//!
//! Gradient: `dx = dy · x²·(3 + x²)/(1 + x²)²`. Backward reads the input.
// END gradient
//! Where to read next: `reference.rs` for the definition, `cpu.rs` for the fast version.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// What a backend computes.
pub trait ExampleOp {
    /// See [`example_op_fwd`].
    fn example_op_fwd(&self, x: View, y: ViewMut) -> Result<()>;
    // BEGIN gradient
    /// See [`example_op_bwd`].
    fn example_op_bwd(&self, x: View, dy: View, dx: ViewMut, accumulate: bool) -> Result<()>;
    // END gradient
}

// ANCHOR: contract
/// `y = x³/(1 + x²)`. Same dims and dtype, any strides.
pub fn example_op_fwd(b: &dyn Backend, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "example_op_fwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed =
        profile::call(OP, || Cost { flops: 5.0 * x.numel() as f64, bytes: x.traffic() + y.traffic() });
    b.example_op_fwd(x, y)
}
// ANCHOR_END: contract

// BEGIN gradient
/// `dx (+)= dy · x²·(3 + x²)/(1 + x²)²`; added to what `dx` holds if `accumulate`. Same dims and dtype, any strides.
pub fn example_op_bwd(b: &dyn Backend, x: View, dy: View, dx: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "example_op_bwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    for (arg, dims, dtype) in [("dy", dy.dims(), dy.dtype()), ("dx", dx.dims(), dx.dtype())] {
        check::dims(OP, arg, dims, x.dims())?;
        check::dtype(OP, arg, dtype, &[x.dtype()])?;
    }
    check::output(OP, "dx", &dx, &[("x", &x), ("dy", &dy)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 9.0 * x.numel() as f64,
        bytes: x.traffic() + dy.traffic() + profile::written(&dx, accumulate),
    });
    b.example_op_bwd(x, dy, dx, accumulate)
}

// END gradient
/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "example_op_fwd",
        doc: "y = x³/(1 + x²)",
        samples: || SHAPES.iter().map(forward).collect(),
        bench: || MEASURED.iter().map(forward).collect(),
        run: |b, ins, outs, _| example_op_fwd(b, ins[0], outs[0].reborrow()),
        scales: &[1.0, 1e-4, 100.0], // far below and far above the bend at |x| = 1
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 6.0, // two products, one sum of a square, one quotient; nothing cancels
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| Cost { flops: 5.0 * s.numel("x"), bytes: bytes * 2.0 * s.numel("x") },
    },
    // BEGIN gradient
    KernelInfo {
        name: "example_op_bwd",
        doc: "dx = dy·x²·(3 + x²)/(1 + x²)²",
        samples: || SHAPES.iter().map(backward).collect(),
        bench: || MEASURED.iter().map(backward).collect(),
        run: |b, ins, outs, s| example_op_bwd(b, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 12.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            // |dy·f'(x)|, plus what was there
            let old = |i: usize| if s.scalars[0] != 0.0 { x[2][i].abs() } else { 0.0 };
            let slope = |x: f64| x * x * (3.0 + x * x) / ((1.0 + x * x) * (1.0 + x * x));
            vec![(0..x[0].len()).map(|i| slope(x[0][i]) * x[1][i].abs() + old(i)).collect()]
        }),
        cost: |s, bytes| Cost { flops: 9.0 * s.numel("x"), bytes: bytes * 4.0 * s.numel("x") },
    },
    // END gradient
];

const SHAPES: &[(&str, &[usize])] = &[
    ("a scalar", &[]),
    ("one row", &[1, 9]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("a vector and a tail", &[7, 33]),
    ("d4.hidden", &[2, 64, 256]),
];

/// Shapes of real models, to be measured: (B, T, C).
const MEASURED: &[(&str, &[usize])] = &[("d12.hidden", &[8, 512, 768])];

fn forward(&(label, dims): &(&'static str, &[usize])) -> Sample {
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)])
}
// BEGIN gradient

fn backward(&(label, dims): &(&'static str, &[usize])) -> Sample {
    let mut args: Vec<Arg> = ["x", "dy"].map(|name| Arg::input(name, dims, Draw::Normal)).to_vec();
    args.push(Arg::inout("dx", dims, Draw::Normal));
    Sample::new(label, args).with(&[if dims.len() == 2 { 1.0 } else { 0.0 }]) // both, overwriting and adding
}
// END gradient
