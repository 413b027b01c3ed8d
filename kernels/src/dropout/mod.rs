//! Dropout (Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15): every
//! element is dropped with probability p, and what is kept is scaled so that its expectation stays: `y = x·keep/(1 − p)`.
//!
//! `keep[i]` is 1 where number i of a [`crate::philox`] stream is at least p, i the element's index in row-major order. So the
//! mask is a pure function of seed, stream and place: it is never stored, backward is the same kernel applied to `dy`, and
//! neither threads nor memory layout change it. `x`, `y`: (…, C) in f32 or bf16, any leading strides; one product in f32,
//! rounded once. A dropped NaN is 0. Where to read next: `cpu.rs`, [`crate::random`].

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Which elements are dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutMask {
    /// Probability that an element is dropped, in [0, 1); 0 drops none.
    pub p: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Stream under the seed: another one for every layer and step.
    pub stream: u64,
}

/// Dropout, which is its own gradient.
pub trait Dropout {
    /// See [`dropout`].
    fn dropout(&self, x: View, mask: DropoutMask, y: ViewMut, accumulate: bool) -> Result<()>;
}

/// `y (+)= x·keep/(1 − p)`; added to what `y` holds if `accumulate`.
///
/// `x`, `y`: same dims and dtype, unit last stride; `keep[i]` from number i of the mask's stream.
pub fn dropout(b: &dyn Backend, x: View, mask: DropoutMask, y: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "dropout";
    check::parameter(OP, (0.0..1.0).contains(&mask.p), || {
        format!("a drop probability of {} is not in [0, 1); use 0 to switch dropout off", mask.p)
    })?;
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    check::unit_last_stride(OP, "x", x.layout())?;
    check::unit_last_stride(OP, "y", y.layout())?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 20.0 * x.numel() as f64,
        bytes: x.traffic() + profile::written(&y, accumulate),
    });
    b.dropout(x, mask, y, accumulate)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "dropout",
    doc: "y = x·keep/(1 − p), keep[i] = (number i of a Philox stream ≥ p)",
    samples: || SHAPES.iter().map(sample).collect(),
    bench: || vec![sample(&("d12.hidden", &[8, 512, 768], 0.1, 0.0))],
    run: |b, ins, outs, s| {
        let mask = DropoutMask { p: s[0], seed: s[2] as u64, stream: s[3] as u64 };
        dropout(b, ins[0], mask, outs[0].reborrow(), s[1] != 0.0)
    },
    scales: &[1.0, 1e-3],
    dtypes: &[DType::F32, DType::Bf16],
    layouts: Layouts::Rows,
    tolerance: 3.0, // the scale is rounded, the product, and the sum
    roundings: 0.0,
    magnitude: Some(|x, s| {
        let size = |(x, old): (&f64, &f64)| x.abs() / (1.0 - s.scalars[0]) + s.scalars[1] * old.abs();
        vec![x[0].iter().zip(&x[1]).map(size).collect()]
    }),
    cost: |s, bytes| {
        let n = s.numel("x");
        Cost { flops: 20.0 * n, bytes: bytes * 2.0 * n }
    },
}];

/// Label, shape, probability, accumulate.
type Shape = (&'static str, &'static [usize], f64, f64);
const SHAPES: &[Shape] = &[
    ("one element", &[1, 1], 0.5, 0.0),
    ("odd, blocks of four across rows", &[3, 5, 7], 0.5, 1.0),
    ("nothing dropped", &[7, 33], 0.0, 0.0),
    ("nearly everything dropped", &[7, 33], 0.97, 0.0),
    ("empty", &[0, 8], 0.1, 0.0),
    ("d4.hidden, several tasks", &[90, 256], 0.1, 0.0),
];

fn sample(&(label, dims, p, accumulate): &Shape) -> Sample {
    let args = vec![Arg::input("x", dims, Draw::Normal), Arg::inout("y", dims, Draw::Normal)];
    Sample::new(label, args).with(&[p, accumulate, 42.0, 3.0])
}
