//! Elementwise functions of two tensors: `y = f(a, b)`.
//!
//! `a` and `b` already have `y`'s dims; a repeated axis has stride 0, which is all that broadcasting is down here.
//! Computed in f32, rounded once. Elementary; no paper. A NaN on either side gives NaN, for `Max` and `Min` too.
//! Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Layout, Result, View, ViewMut, profile};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `a + b`
    Add,
    /// `a − b`
    Sub,
    /// `a · b`
    Mul,
    /// `a / b`
    Div,
    /// The larger of the two; NaN if either is.
    Max,
    /// The smaller of the two; NaN if either is.
    Min,
}

/// Elementwise functions of two arguments.
pub trait Binary {
    /// See [`binary`].
    fn binary(&self, op: BinaryOp, a: View, b: View, y: ViewMut) -> Result<()>;
}

/// `y = f(a, b)`. One dtype and one shape for all three, any strides.
pub fn binary(backend: &dyn Backend, op: BinaryOp, a: View, b: View, y: ViewMut) -> Result<()> {
    const OP: &str = "binary";
    check::dtype(OP, "y", y.dtype(), FLOATS)?;
    for (arg, view) in [("a", &a), ("b", &b)] {
        check::dims(OP, arg, view.dims(), y.dims())?;
        check::dtype(OP, arg, view.dtype(), &[y.dtype()])?;
    }
    check::output(OP, "y", &y, &[("a", &a), ("b", &b)])?;
    let _timed = profile::call(OP, || Cost {
        flops: y.numel() as f64,
        bytes: a.traffic() + b.traffic() + y.traffic(),
    });
    backend.binary(op, a, b, y)
}

macro_rules! entry {
    ($name:literal, $doc:literal, $op:expr, $scales:expr) => {
        KernelInfo {
            name: $name,
            doc: $doc,
            samples: || samples(SHAPES),
            bench: || samples(REAL),
            run: |backend, ins, outs, _| {
                let (a, b) = (expand(&ins[0], outs[0].dims())?, expand(&ins[1], outs[0].dims())?);
                binary(backend, $op, a, b, outs[0].reborrow())
            },
            scales: $scales,
            dtypes: &[DType::F32, DType::Bf16],
            layouts: Layouts::Any,
            tolerance: 1.0, // one correctly rounded operation; 1 is room for the second rounding into bf16
            roundings: 0.0,
            magnitude: None,
            cost: |s, bytes| Cost { flops: s.numel("y"), bytes: s.moved(bytes) },
        }
    };
}

/// Registry entries, one per function.
pub const KERNELS: &[KernelInfo] = &[
    entry!("binary_add", "y = a + b", BinaryOp::Add, &[1.0, 0.0]),
    entry!("binary_sub", "y = a − b", BinaryOp::Sub, &[1.0, 0.0]),
    entry!("binary_mul", "y = a·b", BinaryOp::Mul, &[1.0, 1e-6]),
    entry!("binary_div", "y = a/b", BinaryOp::Div, &[1.0, 1e-6]),
    entry!("binary_max", "y = max(a, b)", BinaryOp::Max, &[1.0, 0.0]),
    entry!("binary_min", "y = min(a, b)", BinaryOp::Min, &[1.0, 0.0]),
];

type Shapes = (&'static str, &'static [usize], &'static [usize], &'static [usize]);
const SHAPES: &[Shapes] = &[
    ("a scalar", &[], &[], &[]),
    ("one row", &[1, 5], &[1, 5], &[1, 5]),
    ("odd", &[3, 5, 7], &[3, 5, 7], &[3, 5, 7]),
    ("empty", &[3, 0], &[3, 0], &[3, 0]),
    ("b repeated per row", &[9, 33], &[9, 1], &[9, 33]),
    ("b repeated down the rows", &[9, 33], &[1, 33], &[9, 33]),
    ("an outer product", &[67, 1], &[1, 65], &[67, 65]),
    ("d4.hidden times one scalar", &[2, 64, 256], &[1, 1, 1], &[2, 64, 256]),
    ("d4.hidden", &[2, 64, 256], &[2, 64, 256], &[2, 64, 256]),
];

const REAL: &[Shapes] = &[
    ("d12.hidden", &[8, 512, 768], &[8, 512, 768], &[8, 512, 768]),
    ("d12.hidden.row", &[8, 512, 768], &[1, 1, 768], &[8, 512, 768]),
];

fn samples(shapes: &[Shapes]) -> Vec<Sample> {
    let sample = |&(label, a, b, y): &Shapes| {
        let args = vec![Arg::input("a", a, Draw::Normal), Arg::input("b", b, Draw::Normal), Arg::out("y", y)];
        Sample::new(label, args)
    };
    shapes.iter().map(sample).collect()
}

/// The same memory with axes of size 1 repeated to `dims`.
fn expand<'a>(v: &View<'a>, dims: &[usize]) -> Result<View<'a>> {
    let repeat = |axis: usize| v.dims()[axis] == 1 && dims[axis] != 1;
    let strides: Vec<usize> = (0..dims.len()).map(|a| if repeat(a) { 0 } else { v.strides()[a] }).collect();
    v.with_layout(Layout::strided(dims, &strides, v.layout().offset())?)
}
