//! Copies that change layout and dtype: `y = x`, and `y = value`.
//!
//! `contiguous()`, `cast()`, uploads and zeroing of gradients are all this op. `x` and `y` have the same dims. Any
//! strides on either side (a stride of 0 on the input repeats an element), any pair of dtypes; every element is rounded
//! once, to nearest even. Conversions to i32 truncate towards zero and saturate. This is the one CPU op that also takes
//! f64, for host code that makes or reads numbers in it. Elementary; no paper. Where to read next: `cpu.rs`, which
//! copies rows where it can and tiles where axes are swapped.

mod cpu;
mod reference;
mod turn;

use crate::check;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample, transposed};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Copying and filling.
pub trait CopyCast {
    /// See [`copy`].
    fn copy(&self, x: View, y: ViewMut) -> Result<()>;
    /// See [`fill`].
    fn fill(&self, value: f64, y: ViewMut) -> Result<()>;
}

/// `y = x`, converted to `y`'s dtype. Same dims, any strides, any dtypes.
pub fn copy(b: &dyn Backend, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "copy";
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed = profile::call(OP, || Cost { flops: 0.0, bytes: x.traffic() + y.traffic() });
    b.copy(x, y)
}

/// `y = value`, converted to `y`'s dtype. Any strides.
pub fn fill(b: &dyn Backend, value: f64, y: ViewMut) -> Result<()> {
    const OP: &str = "fill";
    check::output(OP, "y", &y, &[])?;
    let _timed = profile::call(OP, || Cost { flops: 0.0, bytes: y.traffic() });
    b.fill(value, y)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "copy",
        doc: "y = x, in another layout or dtype",
        samples: copy_samples,
        bench: || {
            let (dims, swapped) = (&[8, 512, 768], &[8, 768, 512]);
            let sample = |label, x, y| Sample::new(label, vec![Arg::input("x", dims, x), y]);
            vec![
                sample("d12.hidden", Draw::Normal, Arg::out("y", dims)),
                sample("d12.hidden.transposed", Draw::Normal, Arg::out("y", swapped)).with(&[1.0]),
                sample("d12.hidden.to_f32", Draw::Normal, Arg::out_f32("y", dims)),
                sample("d12.hidden.from_f32", Draw::NormalF32, Arg::out("y", dims)),
            ]
        },
        run: |b, ins, outs, s| {
            let x = if s.is_empty() { ins[0] } else { transposed(&ins[0])? };
            copy(b, x, outs[0].reborrow())
        },
        scales: &[1.0, 1e-30, 1e30],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 0.0,
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| Cost { flops: 0.0, bytes: s.moved(bytes) },
    },
    KernelInfo {
        name: "fill",
        doc: "y = value",
        samples: || {
            let sample = |&(label, dims): &(&'static str, &[usize])| {
                Sample::new(label, vec![Arg::out("y", dims)]).with(&[0.3])
            };
            SHAPES.iter().map(sample).collect()
        },
        bench: || vec![Sample::new("d12.mlp", vec![Arg::out("y", &[8, 512, 3072])]).with(&[0.3])],
        run: |b, _, outs, s| fill(b, s[0], outs[0].reborrow()),
        scales: &[1.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 0.0,
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| Cost { flops: 0.0, bytes: s.moved(bytes) },
    },
];

const SHAPES: &[(&str, &[usize])] = &[
    ("a scalar", &[]),
    ("one element", &[1]),
    ("a vector", &[9]),
    ("odd", &[3, 5, 7]),
    ("empty", &[3, 0, 2]),
    ("five axes", &[2, 3, 1, 5, 4]),
    ("a plane with ragged tiles", &[67, 131]),
    ("d4 queries", &[2, 64, 2, 128]),
];

fn copy_samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for &(label, dims) in SHAPES {
        samples.push(Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)]));
        samples.push(Sample::new(label, vec![Arg::input("x", dims, Draw::NormalF32), Arg::out("y", dims)]));
        samples.push(Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out_f32("y", dims)]));
        let ids = Draw::Ids { lo: -1, hi: 70_000 };
        samples.push(Sample::new(label, vec![Arg::input("x", dims, ids), Arg::out("y", dims)]));
    }
    samples
}
