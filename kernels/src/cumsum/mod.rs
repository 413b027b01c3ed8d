//! Cumulative sums along one axis: `y[…, i, …] = Σ_{j ≤ i} x[…, j, …]`, or `Σ_{j ≥ i}` in reverse.
//!
//! `x`, `y`: one float dtype, one shape, any strides. A line is summed in f64, one element after the other, and each prefix
//! is rounded once. The k-th prefix thus differs from the exact sum by at most `(k−1)·2⁻⁵³·Σ|x|` before that rounding
//! (Higham 1993): below a thousandth of an f32 rounding of `Σ|x|` up to lines of 500,000 elements. So there is nothing to
//! gain from another order, and a prefix does not depend on what follows it. An infinity or NaN stays in all later prefixes.
//! Gradient: the cumulative sum of `dy` the other way round. Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Cumulative sums.
pub trait CumSum {
    /// See [`cumsum`].
    fn cumsum(&self, axis: usize, reverse: bool, x: View, y: ViewMut) -> Result<()>;
}

/// `y[i] = Σ_{j ≤ i} x[j]` along `axis`, or `Σ_{j ≥ i}` if `reverse`. One shape and dtype, any strides.
pub fn cumsum(b: &dyn Backend, axis: usize, reverse: bool, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "cumsum";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    let rank = x.dims().len();
    check::parameter(OP, axis < rank, || format!("axis {axis} of {rank} dimensions; use one below {rank}"))?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    let _timed = profile::call(OP, || Cost { flops: x.numel() as f64, bytes: x.traffic() + y.traffic() });
    if y.numel() == 0 { Ok(()) } else { b.cumsum(axis, reverse, x, y) }
}

macro_rules! entry {
    ($name:literal, $doc:literal, $reverse:literal) => {
        KernelInfo {
            name: $name,
            doc: $doc,
            samples: || SHAPES.iter().map(|&(label, dims, axis)| sample(label, dims, axis)).collect(),
            bench: || vec![sample("d12.hidden", &[8, 512, 768], 1), sample("d12.logits", &[64, 32_768], 1)],
            run: |b, ins, outs, s| cumsum(b, s[0] as usize, $reverse, ins[0], outs[0].reborrow()),
            scales: &[1.0, 1e-4],
            dtypes: &[DType::F32, DType::Bf16],
            layouts: Layouts::Any,
            tolerance: 0.01, // see the header
            roundings: 0.0,
            magnitude: Some(|x, s| {
                let dims = &s.dims("x")[s.scalars[0] as usize..];
                let (n, inner) = (dims[0], dims[1..].iter().product::<usize>());
                let mut out: Vec<f64> = x[0].iter().map(|v| v.abs()).collect();
                for line in out.chunks_mut((n * inner).max(1)) {
                    // Each element and the one before it in the order of summation.
                    for i in inner..line.len() {
                        let last = line.len() - 1;
                        let (at, before) =
                            if $reverse { (last - i, last - i + inner) } else { (i, i - inner) };
                        line[at] += line[before];
                    }
                }
                vec![out]
            }),
            cost: |s, bytes| {
                let n = s.numel("x");
                Cost { flops: n, bytes: 2.0 * bytes * n }
            },
        }
    };
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    entry!("cumsum", "y[i] = Σ x[j] over j ≤ i along an axis", false),
    entry!("cumsum_reverse", "y[i] = Σ x[j] over j ≥ i along an axis", true),
];

const SHAPES: &[(&str, &[usize], usize)] = &[
    ("one element", &[1], 0),
    ("one row", &[1, 37], 1),
    ("odd, the last axis", &[3, 5, 7], 2),
    ("odd, the middle", &[3, 5, 7], 1),
    ("odd, the first", &[3, 5, 7], 0),
    ("empty", &[0, 8], 1),
    ("lines of nothing", &[3, 0, 2], 1),
    ("columns", &[130, 70], 0),
    ("long rows", &[11, 3000], 1),
    ("d4.hidden", &[2, 64, 256], 1),
];

fn sample(label: &'static str, dims: &[usize], axis: usize) -> Sample {
    Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)]).with(&[axis as f64])
}
