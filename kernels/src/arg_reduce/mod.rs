//! Where the largest or smallest element along an axis is.
//!
//! `y[…, 0, …] = j` with `x[…, j, …]` the maximum (minimum): the lowest such `j` among equal elements (−0 equals 0), and the
//! lowest NaN if there is one. `x`: any float dtype and strides; `y`: i32, `x`'s dims with 1 along the axis.
//! No paper. Where to read next: `cpu.rs`; [`crate::reduce`] for the value itself.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Role, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Which element is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgOp {
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// Places of extreme elements.
pub trait ArgReduce {
    /// See [`arg_reduce`].
    fn arg_reduce(&self, op: ArgOp, axis: usize, x: View, y: ViewMut) -> Result<()>;
}

/// Index along `axis` of the first largest (smallest) element, or of the first NaN.
///
/// `x`: any strides; `y`: i32, `x`'s dims with 1 along `axis`. An axis without elements is refused if a result needs one.
pub fn arg_reduce(b: &dyn Backend, op: ArgOp, axis: usize, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "arg_reduce";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dtype(OP, "y", y.dtype(), &[DType::I32])?;
    let rank = x.dims().len();
    check::parameter(OP, axis < rank, || format!("axis {axis} of {rank} dimensions; use one below {rank}"))?;
    let mut dims = x.dims().to_vec();
    let n = std::mem::replace(&mut dims[axis], 1);
    check::dims(OP, "y", y.dims(), &dims)?;
    check::parameter(OP, n > 0 || y.numel() == 0, || format!("axis {axis} has no elements to choose from"))?;
    check::parameter(OP, n <= i32::MAX as usize, || format!("{n} elements do not fit 32-bit indices"))?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed = profile::call(OP, || Cost { flops: x.numel() as f64, bytes: x.traffic() + y.traffic() });
    if y.numel() == 0 { Ok(()) } else { b.arg_reduce(op, axis, x, y) }
}

macro_rules! entry {
    ($name:literal, $doc:literal, $op:expr) => {
        KernelInfo {
            name: $name,
            doc: $doc,
            samples: || SHAPES.iter().map(|&(label, dims, axis)| sample(label, dims, axis)).collect(),
            bench: || vec![sample("d12.logits", &[128, 32_768], 1), sample("d12.hidden", &[4096, 768], 0)],
            run: |b, ins, outs, s| arg_reduce(b, $op, s[0] as usize, ins[0], outs[0].reborrow()),
            scales: &[1.0, 0.0], // 0: all are equal
            dtypes: &[DType::F32, DType::Bf16],
            layouts: Layouts::Any,
            tolerance: 0.0,
            roundings: 0.0,
            magnitude: None,
            cost: |s, bytes| {
                let n = s.numel("x");
                Cost { flops: n, bytes: bytes * n }
            },
        }
    };
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    entry!("arg_reduce_max", "y = index of the first largest x along an axis", ArgOp::Max),
    entry!("arg_reduce_min", "y = index of the first smallest x along an axis", ArgOp::Min),
];

const SHAPES: &[(&str, &[usize], usize)] = &[
    ("one element", &[1], 0),
    ("one row", &[1, 37], 1),
    ("odd, the last axis", &[3, 5, 7], 2),
    ("odd, the middle", &[3, 5, 7], 1),
    ("odd, the first", &[3, 5, 7], 0),
    ("empty", &[0, 8], 1),
    ("more than a block", &[2, 2500], 1),
    ("columns", &[130, 70], 0),
    ("d4.logits", &[3, 32_768], 1),
];

fn sample(label: &'static str, dims: &[usize], axis: usize) -> Sample {
    let mut kept = dims.to_vec();
    kept[axis] = 1;
    let y = Arg {
        name: "y",
        role: Role::Out,
        dims: kept,
        draw: Draw::Ids { lo: 0, hi: dims[axis] as i32 },
        any_shape: false,
    };
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), y]).with(&[axis as f64])
}
