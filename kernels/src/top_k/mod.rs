//! The `k` largest elements of each row, in descending order: `values[n, j] = x[n, indices[n, j]]`.
//!
//! `x`: (N, V); `values`, `indices`: (N, k). No arithmetic, so no rounding; no paper. Exact, and the same everywhere:
//! equal values come in order of their index, −0 equals 0, NaN counts as larger than everything. Where to read next:
//! `cpu.rs`, one pass that keeps a short list of candidates.

mod cpu;
mod reference;

pub(crate) use cpu::select;
pub(crate) use reference::descending;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Role, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Selection of the largest.
pub trait TopK {
    /// See [`top_k`].
    fn top_k(&self, x: View, values: ViewMut, indices: ViewMut) -> Result<()>;
}

/// `values[n] = x[n, indices[n]]`, the `k` largest of row `n`, largest first, ties by lowest index.
///
/// `x`: (N, V); `values`: (N, k) in `x`'s dtype; `indices`: (N, k) i32; unit last strides, `k ≤ V`.
pub fn top_k(b: &dyn Backend, x: View, values: ViewMut, indices: ViewMut) -> Result<()> {
    const OP: &str = "top_k";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dtype(OP, "values", values.dtype(), &[x.dtype()])?;
    check::dtype(OP, "indices", indices.dtype(), &[DType::I32])?;
    check::rank(OP, "x", x.dims(), 2, "(N, V)")?;
    check::rank(OP, "values", values.dims(), 2, "(N, k)")?;
    check::dims(OP, "indices", indices.dims(), values.dims())?;
    let (rows, v, k) = (x.dims()[0], x.dims()[1], values.dims()[1]);
    check::dims(OP, "values", values.dims(), &[rows, k])?;
    check::parameter(OP, k <= v, || format!("k = {k} is more than the {v} elements of a row"))?;
    check::parameter(OP, v <= i32::MAX as usize, || format!("{v} elements do not fit 32-bit indices"))?;
    check::unit_last_stride(OP, "x", x.layout())?;
    check::unit_last_stride(OP, "values", values.layout())?;
    check::unit_last_stride(OP, "indices", indices.layout())?;
    check::output(OP, "values", &values, &[("x", &x)])?;
    check::output(OP, "indices", &indices, &[("x", &x)])?;
    check::disjoint(OP, "indices", &values, &indices)?;
    let _timed = profile::call(OP, || Cost {
        flops: x.numel() as f64,
        bytes: x.traffic() + values.traffic() + indices.traffic(),
    });
    b.top_k(x, values, indices)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "top_k",
    doc: "the k largest elements of each row and their indices, in descending order",
    samples: || SHAPES.iter().map(sample).collect(),
    bench: || vec![sample(&("d12.logits", 64, 32_768, 50))],
    run: |b, ins, outs, _| {
        let [values, indices] = outs else { unreachable!("two outputs") };
        top_k(b, ins[0], values.reborrow(), indices.reborrow())
    },
    scales: &[1.0, 0.0], // 0: everything is a tie
    dtypes: &[DType::F32, DType::Bf16],
    layouts: Layouts::Rows,
    tolerance: 0.0,
    roundings: 0.0,
    magnitude: None,
    cost: |s, bytes| {
        let n = s.numel("x");
        Cost { flops: n, bytes: s.moved(bytes) }
    },
}];

/// Label, N, V, k.
const SHAPES: &[(&str, usize, usize, usize)] = &[
    ("one element", 1, 1, 1),
    ("odd", 5, 37, 7),
    ("everything, sorted", 3, 33, 33),
    ("no rows", 0, 8, 2),
    ("none wanted", 3, 8, 0),
    ("more than one list of candidates", 2, 5000, 1500),
    ("d4 logits", 2, 32_768, 50),
];

fn sample(&(label, n, v, k): &(&'static str, usize, usize, usize)) -> Sample {
    let ids = Draw::Ids { lo: 0, hi: v as i32 };
    let indices = Arg { name: "indices", role: Role::Out, dims: vec![n, k], draw: ids, any_shape: false };
    Sample::new(label, vec![Arg::input("x", &[n, v], Draw::Normal), Arg::out("values", &[n, k]), indices])
}
