//! A weight as int8 numbers and one scale for each of its rows, packed for [`crate::packed_linear`].
//!
//! `scale[n] = max_k |W[n][k]| / 127`, rounded to f32, and `Q[n][k] = round(W[n][k] / scale[n])`, to the nearest, ties to even,
//! within −127…127. A row of zeros has scale 0 and stays zero. `W`: (N, K) f32; `Q`: int8, four in an i32, (ceil(N/32), K, 8):
//! the one of row 32t + 4g + b is byte b of `[t][k][g]`, lowest first, and 0 where W has no such row.
//!
//! Symmetric, so that zero stays zero and a product needs no second sum; one scale for a row, so that it can be applied
//! after the sum (as in Dettmers et al. 2022, arXiv:2208.07339, section 2). `|W − scale·Q| ≤ scale/2`, but for the rounding of the scale.
//! Quotients are formed in f64 and rounded once, so the numbers are exactly these. Done once per weight: nothing is tuned.
//!
//! Where to read next: [`crate::packed_linear`], which multiplies by it.

mod cpu;
mod reference;

use crate::check;
use crate::packed_linear::WIDTH;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Role, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// The quantisation.
pub trait QuantizeInt8 {
    /// See [`quantize_int8`].
    fn quantize_int8(&self, w: View, q: ViewMut, scale: ViewMut) -> Result<()>;
}

/// `scale[n] = max|W[n]|/127`, `Q = round(W/scale)`. `w`: f32 (N, K); `q`: i32 (ceil(N/32), K, 8); `scale`: f32 (N). All
/// contiguous.
pub fn quantize_int8(b: &dyn Backend, w: View, q: ViewMut, scale: ViewMut) -> Result<()> {
    const OP: &str = "quantize_int8";
    check::dtype(OP, "w", w.dtype(), &[DType::F32, DType::F64])?;
    check::dtype(OP, "q", q.dtype(), &[DType::I32])?;
    check::dtype(OP, "scale", scale.dtype(), &[w.dtype()])?;
    check::rank(OP, "w", w.dims(), 2, "(N, K)")?;
    let &[n, k] = w.dims() else { return Ok(()) };
    check::dims(OP, "q", q.dims(), &[n.div_ceil(WIDTH), k, WIDTH / 4])?;
    check::dims(OP, "scale", scale.dims(), &[n])?;
    check::contiguous(OP, "w", w.layout())?;
    check::contiguous(OP, "q", q.layout())?;
    check::contiguous(OP, "scale", scale.layout())?;
    check::output(OP, "q", &q, &[("w", &w)])?;
    check::output(OP, "scale", &scale, &[("w", &w)])?;
    check::disjoint(OP, "q", &q, &scale)?;
    let _timed = profile::call(OP, || Cost {
        flops: 3.0 * w.numel() as f64,
        bytes: w.traffic() + profile::written(&q, false) + profile::written(&scale, false),
    });
    b.quantize_int8(w, q, scale)
}

/// Registry entry.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "quantize_int8",
    doc: "scale = max|W|/127, Q = round(W/scale)",
    samples: || SHAPES.iter().map(sample).collect(),
    bench: || vec![sample(&("d12.mlp_up", 3072, 768))],
    run: |b, ins, outs, _| {
        let [q, scale] = outs else { return Ok(()) };
        quantize_int8(b, ins[0], q.reborrow(), scale.reborrow())
    },
    scales: &[1.0, 0.0, 1e20], // 0: rows of zeros
    dtypes: &[DType::F32],
    layouts: Layouts::Contiguous,
    tolerance: 0.0,
    roundings: 0.0,
    magnitude: None,
    cost: |s, bytes| Cost { flops: 3.0 * s.numel("w"), bytes: s.moved(bytes) },
}];

/// Label, N, K.
const SHAPES: &[(&str, usize, usize)] =
    &[("one element", 1, 1), ("odd", 45, 19), ("no rows", 0, 8), ("no columns", 3, 0), ("d4.qkv", 768, 256)];

fn sample(&(label, n, k): &(&'static str, usize, usize)) -> Sample {
    let numbers = Draw::Ids { lo: i32::MIN, hi: i32::MAX };
    let q = Arg {
        name: "q",
        role: Role::Out,
        dims: vec![n.div_ceil(WIDTH), k, WIDTH / 4],
        draw: numbers,
        any_shape: false,
    };
    Sample::new(label, vec![Arg::input("w", &[n, k], Draw::Normal), q, Arg::out_f32("scale", &[n])])
}
