//! Packing: copying a block of A or B into the order in which the innermost kernel reads it.
//!
//! The kernel wants, for each unit of K, the units of a few lanes side by side (lanes: rows of A, columns of B). Whatever the
//! strides of the matrix, packing makes that of it, once per block, and everything after it reads memory in a straight
//! line. Units are f32, to which bf16 is widened on the way, or pairs of bf16, of which an odd last one is filled up with
//! zero. The unit of work is a *strip*: as many lanes as a vector has.

use super::kernel::Micro;
use super::strided::Lanes;
use crate::{Bf16, DType, Float};
use std::ops::Range;

/// Packs one strip: for each unit k, `dst[k · dst_step + lane] = src[lane · lane_stride + k · k_stride]`; where units are pairs,
/// terms 2k and 2k + 1 of the source.
///
/// Arguments: source, lane stride, k stride, lanes (1 to the vector's width W), terms, destination, its step. Lanes from
/// `lanes` to W are written with anything finite or taken from the strip itself. Unsafe: the source must be good for these
/// strides, the destination for `(units − 1) · dst_step + W` writes, and the machine must have the instructions.
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

/// A strip of W lanes of pairs with any strides, in plain Rust.
///
/// # Safety
/// See [`Strip`].
#[cfg(target_arch = "x86_64")] // nothing else multiplies pairs here
pub(super) unsafe fn strip_pairs_any<const W: usize>(
    src: *const Bf16,
    lane: usize,
    step: usize,
    lanes: usize,
    k: usize,
    dst: *mut f32,
    dst_step: usize,
) {
    // SAFETY: only lanes and terms that exist are read.
    let term = |i: usize, k_at: usize| unsafe {
        if i < lanes && k_at < k { (*src.add(i * lane + k_at * step)).0 as u32 } else { 0 }
    };
    for unit in 0..k.div_ceil(2) {
        for i in 0..W {
            let second = crate::planted!("matmul.odd_term_lost", term(i, 2 * unit + 1) => 0);
            // SAFETY: the caller's promise.
            unsafe { *dst.add(unit * dst_step + i).cast::<u32>() = term(i, 2 * unit) | second << 16 };
        }
    }
}

/// Terms handled at a time when lanes are neighbours in memory: a few whole rows, so that all of a cache line is used while
/// it is there, and not so many that rows a power of two apart push each other out of the cache.
pub(super) const ROWS_AT_A_TIME: usize = 16;

/// One operand as tiles: `width` lanes each, of which the packed form has `step` units side by side.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// The operand.
    pub lanes: Lanes<'a>,
    /// Lanes of a tile, at most.
    pub width: usize,
    /// Are tiles nearly equal, or all full but the last?
    pub even: bool,
    /// Units from one step of the sum to the next in a packed tile.
    pub step: usize,
}

impl<'a> Side<'a> {
    /// A, cut into rows of tiles.
    pub fn rows(lanes: Lanes<'a>, micro: &Micro) -> Self {
        Side { lanes, width: micro.rows, step: micro.lanes, even: true }
    }
    /// B, cut into columns of tiles.
    pub fn cols(lanes: Lanes<'a>, micro: &Micro) -> Self {
        Side { lanes, width: micro.cols, step: micro.cols, even: false }
    }
    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.lanes.count.div_ceil(self.width)
    }
    /// The lanes of some tiles.
    pub fn of_tiles(&self, tiles: &Range<usize>) -> Range<usize> {
        let count = self.lanes.count;
        let edge = |tile: usize| {
            if self.even { tile * count / self.tiles() } else { (tile * self.width).min(count) }
        };
        edge(tiles.start)..edge(tiles.end)
    }
    /// Distance between packed tiles of so many units. The extra line keeps the same place in all tiles from mapping to the
    /// same set of the cache when the number of units is a power of two.
    pub fn distance(&self, units: usize) -> usize {
        units * self.step + 16
    }

    /// Pack terms `k` of some tiles, [`Self::distance`] apart.
    pub fn pack(&self, micro: &Micro, tiles: Range<usize>, k: Range<usize>, dst: &mut [f32]) {
        let src = &self.lanes;
        let per_tile = self.step / micro.lanes;
        let distance = self.distance(k.len().div_ceil(micro.terms));
        let rows = if src.lane == 1 && src.step != 1 { ROWS_AT_A_TIME * micro.terms } else { k.len().max(1) };
        for first in k.clone().step_by(rows) {
            let count = rows.min(k.end - first);
            for s in 0..tiles.len() * per_tile {
                let (tile, part) = (s / per_tile, s % per_tile * micro.lanes);
                let whole = self.of_tiles(&(tiles.start + tile..tiles.start + tile + 1));
                let lane = whole.start + part;
                if lane >= whole.end {
                    continue;
                }
                // Lanes that are transposed come in whole vectors; those beyond the tile do no harm.
                let end = if src.step == 1 { src.count } else { whole.end };
                let lanes = micro.lanes.min(end - lane);
                let at = tile * distance + part + (first - k.start) / micro.terms * self.step;
                strip(micro, src, (lane, lanes), (first, count), &mut dst[at..], self.step);
            }
        }
    }
}

/// One strip: lanes and terms as first and count.
fn strip(
    micro: &Micro,
    src: &Lanes<'_>,
    (lane, lanes): (usize, usize),
    (first, count): (usize, usize),
    dst: &mut [f32],
    step: usize,
) {
    assert!(lanes <= micro.lanes && lane + lanes <= src.count && first + count <= src.k);
    let room = (count.div_ceil(micro.terms) - 1) * step + micro.lanes;
    assert!(dst.len() >= room, "matmul: packing buffer too small");
    let dst = dst.as_mut_ptr();
    // SAFETY: all lanes and terms are within the operand, the destination was just measured, and `micro` is only handed out
    // on machines that have its instructions.
    unsafe {
        match (src.dtype, micro.strip_f32) {
            (DType::F32, Some(pack)) => {
                pack(src.at::<f32>(lane, first), src.lane, src.step, lanes, count, dst, step)
            }
            _ => {
                let from = src.at::<Bf16>(lane, first);
                (micro.strip_bf16)(from, src.lane, src.step, lanes, count, dst, step)
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
