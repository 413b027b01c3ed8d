//! Uniform random numbers: `y[i] = (w >> 8)·2⁻²⁴`, with `w` the 32-bit word `first + i` of a Philox stream; so `[0, 1)`.
//!
//! `y`: any dims, f32, contiguous. See [`crate::philox`] (Salmon et al. 2011): the numbers are a pure function of seed,
//! stream and index, so every backend makes the same bits in any order, and a sampler that is resumed continues where
//! it was. Where to read next: `cpu.rs`.

pub(crate) mod cpu;
mod reference;

use crate::check;
use crate::registry::{Arg, Cost, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, ViewMut, profile};

/// Random numbers.
pub trait Random {
    /// See [`uniform`].
    fn uniform(&self, seed: u64, stream: u64, first: u64, y: ViewMut) -> Result<()>;
}

/// `y[i] = unit(word(seed, stream, first + i))`, 24 random bits each, in `[0, 1)`. `y`: f32, contiguous.
pub fn uniform(b: &dyn Backend, seed: u64, stream: u64, first: u64, y: ViewMut) -> Result<()> {
    const OP: &str = "uniform";
    check::dtype(OP, "y", y.dtype(), &[DType::F32, DType::F64])?;
    check::contiguous(OP, "y", y.layout())?;
    check::output(OP, "y", &y, &[])?;
    let fits = first.checked_add(y.numel() as u64).is_some();
    check::parameter(OP, fits, || {
        format!("{} numbers from {first} on reach past the stream's end", y.numel())
    })?;
    let _timed = profile::call(OP, || Cost { flops: 20.0 * y.numel() as f64, bytes: y.traffic() });
    b.uniform(seed, stream, first, y)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "uniform",
    doc: "y[i] = number first + i of a Philox4x32-10 stream, in [0, 1)",
    samples: || SHAPES.iter().map(sample).collect(),
    bench: || vec![sample(&("d12.mlp_up", &[3072, 768], 0.0))],
    run: |b, _, outs, s| uniform(b, s[0] as u64, s[1] as u64, s[2] as u64, outs[0].reborrow()),
    scales: &[1.0],
    dtypes: &[DType::F32],
    layouts: Layouts::Contiguous,
    tolerance: 0.0,
    roundings: 0.0,
    magnitude: None,
    // Ten rounds make four numbers with two products and six other operations each, on integers, counted all the same.
    cost: |s, bytes| Cost { flops: 20.0 * s.elements(), bytes: s.moved(bytes) },
}];

fn sample(&(label, dims, first): &(&'static str, &[usize], f64)) -> Sample {
    Sample::new(label, vec![Arg::out_f32("y", dims)]).with(&[42.0, 3.0, first])
}

/// Label, shape, index of the first number.
const SHAPES: &[(&str, &[usize], f64)] = &[
    ("one number", &[1], 0.0),
    ("odd, in the middle of a block", &[3, 5, 7], 2.0),
    ("empty", &[0], 5.0),
    ("across 2^34, where the counter's second word begins", &[40], 17_179_869_180.0),
    ("one per token", &[256, 256], 3.0),
];
