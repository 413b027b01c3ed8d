//! Packing: copying a block of A or B into the order in which the innermost kernel reads it.
//!
//! The kernel wants, for each k, the numbers of a few lanes side by side (lanes: rows of A, columns of B). Whatever the
//! strides of the matrix, packing makes that of it, once per block, and everything after it reads memory in a straight
//! line. bf16 is widened to f32 on the way. The unit of work is a *strip*: as many lanes as a vector has.

use super::kernel::Micro;
use super::strided::Lanes;
use crate::{Bf16, DType, Float};
use std::ops::Range;

/// Packs one strip: for each k, `dst[k · dst_step + lane] = src[lane · lane_stride + k · k_stride]`.
///
/// Arguments: source, lane stride, k stride, lanes (1 to the vector's width W), k, destination, its step. Lanes from
/// `lanes` to W are written with anything finite or taken from the strip itself. Unsafe: the source must be good for these
/// strides, the destination for `(k − 1) · dst_step + W` writes, and the machine must have the instructions.
pub(super) type Strip<T> = unsafe fn(*const T, usize, usize, usize, usize, *mut f32, usize);

/// A strip of W lanes with any strides, in plain Rust.
///
/// # Safety
/// See [`Strip`].
pub(super) unsafe fn strip_any<T: Float, const W: usize>(
    src: *const T,
    lane: usize,
    step: usize,
    lanes: usize,
    k: usize,
    dst: *mut f32,
    dst_step: usize,
) {
    for k in 0..k {
        for i in 0..W {
            // SAFETY: the caller's promise.
            unsafe {
                let value = if i < lanes { (*src.add(i * lane + k * step)).to_f32() } else { 0.0 };
                *dst.add(k * dst_step + i) = value;
            }
        }
    }
}

/// k handled at a time when lanes are neighbours in memory: a few whole rows, so that all of a cache line is used while
/// it is there, and not so many that rows a power of two apart push each other out of the cache.
pub(super) const ROWS_AT_A_TIME: usize = 16;

/// Packs `strips` strips. `place(s)` gives the first lane, the number of lanes and the offset in `dst` of strip `s`.
fn strips(
    micro: &Micro,
    src: &Lanes<'_>,
    k: Range<usize>,
    strips: usize,
    place: impl Fn(usize) -> (usize, usize, usize),
    dst: &mut [f32],
    dst_step: usize,
) {
    let rows = if src.lane == 1 && src.step != 1 { ROWS_AT_A_TIME } else { k.len().max(1) };
    for first in k.clone().step_by(rows) {
        let count = rows.min(k.end - first);
        for s in 0..strips {
            let (lane, lanes, offset) = place(s);
            if lanes == 0 {
                continue;
            }
            // Lanes that are transposed come in whole vectors; those beyond the strip do no harm.
            let lanes = if src.step == 1 { micro.lanes.min(src.count - lane) } else { lanes };
            let dst = &mut dst[offset + (first - k.start) * dst_step..];
            assert!(lanes <= micro.lanes && lane + lanes <= src.count && first + count <= src.k);
            assert!(dst.len() >= (count - 1) * dst_step + micro.lanes, "matmul: packing buffer too small");
            let dst = dst.as_mut_ptr();
            // SAFETY: all lanes and k are within the operand, the destination was just measured, and `micro` is only
            // handed out on machines that have its instructions.
            unsafe {
                match src.dtype {
                    DType::Bf16 => {
                        let from = src.at::<Bf16>(lane, first);
                        (micro.strip_bf16)(from, src.lane, src.step, lanes, count, dst, dst_step)
                    }
                    _ => {
                        let from = src.at::<f32>(lane, first);
                        (micro.strip_f32)(from, src.lane, src.step, lanes, count, dst, dst_step)
                    }
                }
            }
        }
    }
}

/// `n` things in `parts` nearly equal parts: the longer ones first.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Number of parts.
    pub parts: usize,
    base: usize,
    longer: usize,
}

impl Cut {
    /// Cut `n` into `parts` (at least one).
    pub fn new(n: usize, parts: usize) -> Self {
        let parts = parts.max(1);
        Cut { parts, base: n / parts, longer: n % parts }
    }
    /// Part `i`.
    pub fn part(&self, i: usize) -> Range<usize> {
        let start = i * self.base + i.min(self.longer);
        start..start + self.base + usize::from(i < self.longer)
    }
}

/// Distance between strips of packed A, for `k` terms. The extra line keeps the same place in all strips from mapping to
/// the same set of the cache when k is a power of two.
pub(super) fn a_strip(lanes: usize, k: usize) -> usize {
    (k + 1) * lanes
}

/// Packs terms `k` of the strips `which` of A, one after the other, [`a_strip`] apart. Strip i has the rows
/// `first + cut.part(i)`, at most `micro.rows` of them.
pub(super) fn a_strips(
    micro: &Micro,
    a: &Lanes<'_>,
    first: usize,
    cut: &Cut,
    which: Range<usize>,
    k: Range<usize>,
    dst: &mut [f32],
) {
    let step = a_strip(micro.lanes, k.len());
    let place = |i: usize| {
        let rows = cut.part(which.start + i);
        (first + rows.start, rows.len(), i * step)
    };
    strips(micro, a, k, which.len(), place, dst, micro.lanes);
}

/// Packs columns `cols` and terms `k` of B into panels of `micro.cols`. Panel j is at `j · k.len() · micro.cols`.
pub(super) fn b_panels(micro: &Micro, b: &Lanes<'_>, cols: Range<usize>, k: Range<usize>, dst: &mut [f32]) {
    let per_panel = micro.cols / micro.lanes;
    let panel = k.len() * micro.cols;
    let place = |s: usize| {
        let first = s * micro.lanes;
        let lanes = micro.lanes.min(cols.len() - first);
        (cols.start + first, lanes, s / per_panel * panel + s % per_panel * micro.lanes)
    };
    strips(micro, b, k, cols.len().div_ceil(micro.lanes), place, dst, micro.cols);
}
