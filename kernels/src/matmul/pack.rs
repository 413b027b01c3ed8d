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
const ROWS_AT_A_TIME: usize = 8;

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

/// Where part `i` of `parts` nearly equal parts of `n` begins.
pub(super) fn cut(n: usize, parts: usize, i: usize) -> usize {
    n * i / parts
}

/// Packs rows `rows` and terms `k` of A into panels of nearly equal height, at most `micro.rows`.
/// Panel i is at `i · k.len() · micro.lanes` and holds rows `cut(rows, panels, i)..cut(rows, panels, i + 1)`.
pub(super) fn a_panels(micro: &Micro, a: &Lanes<'_>, rows: Range<usize>, k: Range<usize>, dst: &mut [f32]) {
    let panels = rows.len().div_ceil(micro.rows);
    let place = |i: usize| {
        let (first, end) = (cut(rows.len(), panels, i), cut(rows.len(), panels, i + 1));
        (rows.start + first, end - first, i * k.len() * micro.lanes)
    };
    strips(micro, a, k.clone(), panels, place, dst, micro.lanes);
}

/// Packs columns `cols` and terms `k` of B into panels of `micro.cols`. Panel j is at `j · k.len() · micro.cols`.
pub(super) fn b_panels(micro: &Micro, b: &Lanes<'_>, cols: Range<usize>, k: Range<usize>, dst: &mut [f32]) {
    let per_panel = micro.cols / micro.lanes;
    let place = |s: usize| {
        let first = s * micro.lanes;
        let offset = s / per_panel * k.len() * micro.cols + s % per_panel * micro.lanes;
        (cols.start + first, micro.lanes.min(cols.len() - first), offset)
    };
    strips(micro, b, k.clone(), cols.len().div_ceil(micro.lanes), place, dst, micro.cols);
}
