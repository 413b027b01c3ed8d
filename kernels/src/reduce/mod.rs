//! Reductions over any set of axes: `y = Σ x`, `y = max x`, `y = min x`, `y = Σ x²`.
//!
//! `x`: any dims and strides. `y` has `x`'s rank, and size 1 along every axis that is reduced. Sums in f32 or wider,
//! rounded once. The order of summation (pairwise, Higham 1993) depends only on how many elements one result has, so
//! neither the layout, the other results nor the threads change a bit. An empty sum is 0, an empty maximum −∞ and an
//! empty minimum ∞; NaN in gives NaN out. Where to read next: `order.rs` for the order of summation, `cpu.rs` for the loops.

mod cpu;
pub(crate) mod order;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, KernelError, Result, View, ViewMut, profile};

/// Which reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    /// `Σ x`
    Sum,
    /// `max x`
    Max,
    /// `min x`
    Min,
    /// `Σ x²`
    SumSquares,
}

/// Reductions.
pub trait Reduce {
    /// See [`reduce`].
    fn reduce(&self, op: ReduceOp, x: View, y: ViewMut) -> Result<()>;
}

/// `y = Σ x`, `max x`, `min x` or `Σ x²` over the axes where `y` has size 1 and `x` has not.
///
/// Any strides. `y` has `x`'s dtype or the accumulator's (f32; f64 for f64). Sums of squares are accumulated in f64.
pub fn reduce(b: &dyn Backend, op: ReduceOp, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "reduce";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype(), check::accumulator(x.dtype())])?;
    let fits =
        x.dims().len() == y.dims().len() && x.dims().iter().zip(y.dims()).all(|(x, y)| y == x || *y == 1);
    if !fits {
        let want = format!("{:?} with 1 for every reduced axis", x.dims());
        return Err(KernelError::Shape { op: OP, arg: "y", got: y.dims().to_vec(), want });
    }
    check::output(OP, "y", &y, &[("x", &x)])?;
    let per_element = if op == ReduceOp::SumSquares { 2.0 } else { 1.0 };
    let _timed = profile::call(OP, || Cost {
        flops: per_element * x.numel() as f64,
        bytes: x.traffic() + y.traffic(),
    });
    b.reduce(op, x, y)
}

macro_rules! entry {
    ($name:literal, $doc:literal, $op:expr, $flops:literal, $tolerance:expr, $magnitude:expr) => {
        KernelInfo {
            name: $name,
            doc: $doc,
            samples,
            bench: || REAL.iter().map(sample).collect(),
            run: |b, ins, outs, _| reduce(b, $op, ins[0], outs[0].reborrow()),
            scales: &[1.0, 1e-4],
            dtypes: &[DType::F32, DType::Bf16],
            layouts: Layouts::Any,
            tolerance: $tolerance,
            roundings: 0.0,
            magnitude: $magnitude,
            cost: |s, bytes| Cost { flops: $flops * s.numel("x"), bytes: s.moved(bytes) },
        }
    };
}

/// Registry entries, one per reduction.
pub const KERNELS: &[KernelInfo] = &[
    entry!(
        "reduce_sum",
        "y = Σ x over the axes where y has size 1",
        ReduceOp::Sum,
        1.0,
        8.0,
        Some(sum_of_sizes)
    ),
    entry!("reduce_max", "y = max x over the axes where y has size 1", ReduceOp::Max, 1.0, 0.0, None),
    entry!("reduce_min", "y = min x over the axes where y has size 1", ReduceOp::Min, 1.0, 0.0, None),
    entry!(
        "reduce_sum_squares",
        "y = Σ x² over the axes where y has size 1",
        ReduceOp::SumSquares,
        2.0,
        1.0,
        None
    ),
];

type Shape = (&'static str, &'static [usize], &'static [usize]);
const SHAPES: &[Shape] = &[
    ("a scalar", &[], &[]),
    ("nothing to reduce", &[3, 5], &[3, 5]),
    ("one row", &[1, 9], &[1, 1]),
    ("odd, all", &[3, 5, 7], &[1, 1, 1]),
    ("odd, the middle", &[3, 5, 7], &[3, 1, 7]),
    ("odd, both ends", &[3, 5, 7], &[1, 5, 1]),
    ("empty sums", &[4, 0], &[4, 1]),
    ("no results", &[0, 4], &[0, 1]),
    ("rows", &[37, 300], &[37, 1]),
    ("columns", &[300, 37], &[1, 37]),
    ("long columns", &[9000, 3], &[1, 3]),
    ("d4 bias gradient", &[2, 64, 256], &[1, 1, 256]),
    ("d4 gradient norm", &[256, 1024], &[1, 1]),
];

const REAL: &[Shape] = &[
    ("d12.gradient_norm", &[3072, 768], &[1, 1]),
    ("d12.hidden.rows", &[8, 512, 768], &[8, 512, 1]),
    ("d12.hidden.columns", &[8, 512, 768], &[1, 1, 768]),
];

fn sample(&(label, x, y): &Shape) -> Sample {
    Sample::new(label, vec![Arg::input("x", x, Draw::Normal), Arg::out("y", y)])
}

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for shape @ &(label, x, y) in SHAPES {
        samples.push(sample(shape));
        samples.push(Sample::new(label, vec![Arg::input("x", x, Draw::Normal), Arg::out_f32("y", y)]));
    }
    samples
}

/// `Σ|x|` for every result.
fn sum_of_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let mut out = vec![0.0; s.dims("y").iter().product()];
    for (i, v) in x[0].iter().enumerate() {
        out[result_of(s.dims("x"), s.dims("y"), i)] += v.abs();
    }
    vec![out]
}

/// Which result element `index` of `x` belongs to.
fn result_of(x: &[usize], y: &[usize], mut index: usize) -> usize {
    let (mut at, mut step) = (0, 1);
    for axis in (0..x.len()).rev() {
        if y[axis] == x[axis] {
            at += index % x[axis] * step;
        }
        step *= y[axis];
        index /= x[axis];
    }
    at
}
