//! The square of a rectified input, the activation of the feed-forward layer (So et al. 2021, "Primer",
//! arXiv:2109.08668): `y = relu(x)²`, `dx = 2·relu(x)·dy`.
//!
//! Same dims, any strides, f32 or bf16; computed in f32, rounded once. NaN stays NaN. Backward reads the input.
//! Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Both directions.
pub trait ReluSquared {
    /// See [`relu_squared_fwd`].
    fn relu_squared_fwd(&self, x: View, y: ViewMut) -> Result<()>;
    /// See [`relu_squared_bwd`].
    fn relu_squared_bwd(&self, x: View, dy: View, dx: ViewMut, accumulate: bool) -> Result<()>;
}

/// `y = relu(x)²`. Same dims and dtype, any strides.
pub fn relu_squared_fwd(b: &dyn Backend, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "relu_squared_fwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed =
        profile::call(OP, || Cost { flops: 2.0 * x.numel() as f64, bytes: x.traffic() + y.traffic() });
    b.relu_squared_fwd(x, y)
}

/// `dx (+)= 2·relu(x)·dy`; added to what `dx` holds if `accumulate`. Same dims and dtype, any strides.
pub fn relu_squared_bwd(b: &dyn Backend, x: View, dy: View, dx: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "relu_squared_bwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    for (arg, dims, dtype) in [("dy", dy.dims(), dy.dtype()), ("dx", dx.dims(), dx.dtype())] {
        check::dims(OP, arg, dims, x.dims())?;
        check::dtype(OP, arg, dtype, &[x.dtype()])?;
    }
    check::output(OP, "dx", &dx, &[("x", &x), ("dy", &dy)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 3.0 * x.numel() as f64,
        bytes: x.traffic() + dy.traffic() + profile::written(&dx, accumulate),
    });
    b.relu_squared_bwd(x, dy, dx, accumulate)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "relu_squared_fwd",
        doc: "y = relu(x)²",
        samples: || SHAPES.iter().map(forward_sample).collect(),
        bench: || REAL.iter().map(forward_sample).collect(),
        run: |b, ins, outs, _| relu_squared_fwd(b, ins[0], outs[0].reborrow()),
        scales: &[1.0, 1e-4, 0.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 1.0, // one product; room for the second rounding into bf16
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| Cost { flops: 2.0 * s.numel("x"), bytes: s.moved(bytes) },
    },
    KernelInfo {
        name: "relu_squared_bwd",
        doc: "dx = 2·relu(x)·dy",
        samples: || SHAPES.iter().map(backward_sample).collect(),
        bench: || REAL.iter().map(backward_sample).collect(),
        run: |b, ins, outs, s| relu_squared_bwd(b, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 3.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let old = |i: usize| if s.scalars[0] != 0.0 { x[2][i].abs() } else { 0.0 };
            let size = |i: usize| 2.0 * x[0][i].max(0.0) * x[1][i].abs() + old(i);
            vec![(0..x[0].len()).map(size).collect()]
        }),
        cost: |s, bytes| {
            let moved = if s.scalars[0] != 0.0 { s.moved(bytes) } else { s.footprint(bytes) };
            Cost { flops: 3.0 * s.numel("x"), bytes: moved }
        },
    },
];

const SHAPES: &[(&str, &[usize])] = &[
    ("one element", &[1, 1]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("a vector and a tail", &[7, 33]),
    ("d4 feed-forward", &[2, 64, 1024]),
];

const REAL: &[(&str, &[usize])] = &[("d4.mlp", &[8, 512, 1024]), ("d12.mlp", &[4, 512, 3072])];

fn forward_sample(&(label, dims): &(&'static str, &[usize])) -> Sample {
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)])
}

fn backward_sample(&(label, dims): &(&'static str, &[usize])) -> Sample {
    let mut args: Vec<Arg> = ["x", "dy"].map(|name| Arg::input(name, dims, Draw::Normal)).to_vec();
    args.push(Arg::inout("dx", dims, Draw::Normal));
    Sample::new(label, args).with(&[if dims.len() == 2 { 1.0 } else { 0.0 }])
}
