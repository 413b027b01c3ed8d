//! Sorting along the last axis: `values[…, r] = x[…, indices[…, r]]`, ascending or descending.
//!
//! Stable in both directions: equal elements (−0 equals 0) keep the order of their indices, so the result is the same on
//! every device. NaN comes last in both directions, like something missing; [`crate::top_k`], which must not overlook a NaN
//! in logits, puts it first. Values are moved as they are stored.
//! `x`, `values`: (…, C), one float dtype; `indices`: (…, C), i32; unit last strides. No paper. Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Role, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Sorting.
pub trait Sort {
    /// See [`sort`].
    fn sort(&self, descending: bool, x: View, values: ViewMut, indices: ViewMut) -> Result<()>;
}

/// The elements of every row in ascending (or descending) order and where they were; stable, NaN last.
///
/// `x`, `values`: (…, C), one float dtype; `indices`: (…, C), i32; any leading strides.
pub fn sort(b: &dyn Backend, descending: bool, x: View, values: ViewMut, indices: ViewMut) -> Result<()> {
    const OP: &str = "sort";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dtype(OP, "values", values.dtype(), &[x.dtype()])?;
    check::dtype(OP, "indices", indices.dtype(), &[DType::I32])?;
    check::parameter(OP, !x.dims().is_empty(), || {
        "a scalar has no last axis to sort; reshape it to [1]".into()
    })?;
    let c = x.layout().rows().1;
    check::parameter(OP, c <= i32::MAX as usize, || format!("{c} elements do not fit 32-bit indices"))?;
    for (arg, dims) in [("values", values.dims()), ("indices", indices.dims())] {
        check::dims(OP, arg, dims, x.dims())?;
    }
    let layouts = [("x", x.layout()), ("values", values.layout()), ("indices", indices.layout())];
    layouts.iter().try_for_each(|(arg, layout)| check::unit_last_stride(OP, arg, layout))?;
    check::output(OP, "values", &values, &[("x", &x)])?;
    check::output(OP, "indices", &indices, &[("x", &x)])?;
    check::disjoint(OP, "indices", &values, &indices)?;
    let _timed = profile::call(OP, || Cost {
        flops: comparisons(x.dims()),
        bytes: x.traffic() + values.traffic() + indices.traffic(),
    });
    if x.numel() == 0 { Ok(()) } else { b.sort(descending, x, values, indices) }
}

/// `n log₂ C` of them.
fn comparisons(dims: &[usize]) -> f64 {
    let c = dims.last().map_or(2, |&c| c.max(2)) as f64;
    dims.iter().product::<usize>() as f64 * c.log2()
}

macro_rules! entry {
    ($name:literal, $doc:literal, $descending:literal) => {
        KernelInfo {
            name: $name,
            doc: $doc,
            samples: || SHAPES.iter().map(|&(label, dims)| sample(label, dims)).collect(),
            bench: || vec![sample("d12.logits", &[64, 32_768]), sample("d12.hidden", &[4096, 768])],
            run: |b, ins, outs, _| {
                let [values, indices] = outs else { unreachable!("two outputs") };
                sort(b, $descending, ins[0], values.reborrow(), indices.reborrow())
            },
            scales: &[1.0, 0.0], // 0: everything is a tie
            dtypes: &[DType::F32, DType::Bf16],
            layouts: Layouts::Rows,
            tolerance: 0.0,
            roundings: 0.0,
            magnitude: None,
            cost: |s, bytes| {
                let n = s.numel("x");
                Cost { flops: comparisons(s.dims("x")), bytes: (2.0 * bytes + 4.0) * n }
            },
        }
    };
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    entry!("sort_ascending", "the elements of each row from the smallest on, stable, NaN last", false),
    entry!("sort_descending", "the elements of each row from the largest on, stable, NaN last", true),
];

const SHAPES: &[(&str, &[usize])] = &[
    ("one element", &[1]),
    ("one row", &[1, 37]),
    ("odd", &[3, 5, 7]),
    ("no rows", &[0, 8]),
    ("rows of nothing", &[3, 0]),
    ("by digits", &[3, 1500]),
    ("d4.logits", &[2, 32_768]),
];

fn sample(label: &'static str, dims: &[usize]) -> Sample {
    let c = dims.last().map_or(1, |&c| c as i32);
    let ids = Draw::Ids { lo: 0, hi: c };
    let indices = Arg { name: "indices", role: Role::Out, dims: dims.to_vec(), draw: ids, any_shape: false };
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("values", dims), indices])
}
