//! Elementwise comparison: `y = 1` where `a ∘ b` holds, else 0.
//!
//! `a` and `b`: one float dtype and one shape, any strides (an axis is repeated by stride 0); `y`: i32, for [`crate::select`]
//! or to be summed. Numbers are widened exactly before they are compared. As IEEE 754 has it, −0 equals 0, and with a NaN
//! everything is false except `≠`. No paper. Where to read next: `cpu.rs`, [`crate::select`].

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Role, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Which relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `a < b`
    Lt,
    /// `a ≤ b`
    Le,
    /// `a > b`
    Gt,
    /// `a ≥ b`
    Ge,
    /// `a = b`
    Eq,
    /// `a ≠ b`, true with a NaN
    Ne,
}

/// Elementwise comparison.
pub trait Compare {
    /// See [`compare`].
    fn compare(&self, op: CompareOp, a: View, b: View, y: ViewMut) -> Result<()>;
}

/// `y = 1` where `a ∘ b`, else 0. Same dims for all three; `a` and `b` of one float dtype, `y` i32; any strides.
pub fn compare(backend: &dyn Backend, op: CompareOp, a: View, b: View, y: ViewMut) -> Result<()> {
    const OP: &str = "compare";
    check::dtype(OP, "a", a.dtype(), FLOATS)?;
    check::dtype(OP, "b", b.dtype(), &[a.dtype()])?;
    check::dtype(OP, "y", y.dtype(), &[DType::I32])?;
    check::dims(OP, "b", b.dims(), a.dims())?;
    check::dims(OP, "y", y.dims(), a.dims())?;
    check::output(OP, "y", &y, &[("a", &a), ("b", &b)])?;
    let _timed = profile::call(OP, || Cost {
        flops: y.numel() as f64,
        bytes: a.traffic() + b.traffic() + y.traffic(),
    });
    backend.compare(op, a, b, y)
}

macro_rules! entry {
    ($name:literal, $doc:literal, $op:expr) => {
        KernelInfo {
            name: $name,
            doc: $doc,
            samples: || SHAPES.iter().map(|&(label, dims)| sample(label, dims)).collect(),
            bench: || vec![sample("d12.hidden", &[8, 512, 768])],
            run: |backend, ins, outs, _| compare(backend, $op, ins[0], ins[1], outs[0].reborrow()),
            scales: &[1.0, 0.0], // 0: all are equal
            dtypes: &[DType::F32, DType::Bf16],
            layouts: Layouts::Any,
            tolerance: 0.0,
            roundings: 0.0,
            magnitude: None,
            cost: |s, bytes| {
                let n = s.numel("y");
                Cost { flops: n, bytes: (2.0 * bytes + 4.0) * n }
            },
        }
    };
}

/// Registry entries, one per relation.
pub const KERNELS: &[KernelInfo] = &[
    entry!("compare_lt", "y = 1 where a < b, else 0", CompareOp::Lt),
    entry!("compare_le", "y = 1 where a ≤ b, else 0", CompareOp::Le),
    entry!("compare_gt", "y = 1 where a > b, else 0", CompareOp::Gt),
    entry!("compare_ge", "y = 1 where a ≥ b, else 0", CompareOp::Ge),
    entry!("compare_eq", "y = 1 where a = b, else 0", CompareOp::Eq),
    entry!("compare_ne", "y = 1 where a ≠ b, else 0", CompareOp::Ne),
];

const SHAPES: &[(&str, &[usize])] = &[
    ("a scalar", &[]),
    ("one row", &[1, 9]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("more than a chunk", &[3, 1500]),
    ("d4.hidden", &[2, 64, 256]),
];

fn sample(label: &'static str, dims: &[usize]) -> Sample {
    let y = Arg {
        name: "y",
        role: Role::Out,
        dims: dims.to_vec(),
        draw: Draw::Ids { lo: 0, hi: 2 },
        any_shape: false,
    };
    let (a, b) = (Arg::input("a", dims, Draw::Normal), Arg::input("b", dims, Draw::Normal));
    Sample::new(label, vec![a, b, y])
}
