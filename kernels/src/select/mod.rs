//! Choice between two tensors (often called "where"): `y = a` where `cond` is not 0, else `b`.
//!
//! `cond`: i32, as [`crate::compare`] makes it; `a`, `b`, `y`: one float dtype. All of one shape and any strides: a repeated
//! operand, or a constant, has stride 0. Numbers are moved, not computed with: every bit arrives, and a NaN in the operand
//! that is not taken does nothing (which is why a mask is not a product). No paper. Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Choice between two tensors.
pub trait Select {
    /// See [`select`].
    fn select(&self, cond: View, a: View, b: View, y: ViewMut) -> Result<()>;
}

/// `y = cond ≠ 0 ? a : b`. Same dims for all four; `cond` i32; `a`, `b` and `y` of one float dtype; any strides.
pub fn select(backend: &dyn Backend, cond: View, a: View, b: View, y: ViewMut) -> Result<()> {
    const OP: &str = "select";
    check::dtype(OP, "cond", cond.dtype(), &[DType::I32])?;
    check::dtype(OP, "y", y.dtype(), FLOATS)?;
    check::dims(OP, "cond", cond.dims(), y.dims())?;
    for (arg, view) in [("a", &a), ("b", &b)] {
        check::dims(OP, arg, view.dims(), y.dims())?;
        check::dtype(OP, arg, view.dtype(), &[y.dtype()])?;
    }
    check::output(OP, "y", &y, &[("cond", &cond), ("a", &a), ("b", &b)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 0.0,
        bytes: cond.traffic() + a.traffic() + b.traffic() + y.traffic(),
    });
    backend.select(cond, a, b, y)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "select",
    doc: "y = a where cond ≠ 0, else b",
    samples: || SHAPES.iter().map(|&(label, dims)| sample(label, dims)).collect(),
    bench: || vec![sample("d12.hidden", &[8, 512, 768])],
    run: |backend, ins, outs, _| select(backend, ins[0], ins[1], ins[2], outs[0].reborrow()),
    scales: &[1.0],
    dtypes: &[DType::F32, DType::Bf16],
    layouts: Layouts::Any,
    tolerance: 0.0,
    roundings: 0.0,
    magnitude: None,
    cost: |s, bytes| {
        let n = s.numel("y");
        Cost { flops: 0.0, bytes: (3.0 * bytes + 4.0) * n }
    },
}];

const SHAPES: &[(&str, &[usize])] = &[
    ("a scalar", &[]),
    ("one row", &[1, 9]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("more than a chunk", &[3, 1500]),
    ("d4.hidden", &[2, 64, 256]),
];

fn sample(label: &'static str, dims: &[usize]) -> Sample {
    // Anything but 0 counts, not 1 alone.
    let cond = Arg::input("cond", dims, Draw::Ids { lo: -1, hi: 3 });
    let (a, b) = (Arg::input("a", dims, Draw::Normal), Arg::input("b", dims, Draw::Normal));
    Sample::new(label, vec![cond, a, b, Arg::out("y", dims)])
}
