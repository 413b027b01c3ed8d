//! Tiles: 64 rows of one head, widened to f32, padded with zeros and aligned, in per-thread memory that is reused.

use super::tile::GRAIN;
use crate::par::SharedPtr;
use crate::{Float, Layout, simd};
use std::cell::RefCell;
use std::ops::Range;

/// Queries, and keys, per tile.
pub(super) const TILE: usize = 64;

/// D rounded up to a whole number of vectors.
pub(super) fn padded(d: usize) -> usize {
    d.next_multiple_of(GRAIN)
}

/// Where the rows of one head of one batch row lie in a (B, T, H, D) buffer.
#[derive(Clone, Copy)]
pub(super) struct Head {
    first: usize,
    step: usize,
    /// Positions.
    pub t: usize,
    /// Elements per row.
    pub d: usize,
}

impl Head {
    pub fn new(layout: &Layout, b: usize, h: usize) -> Head {
        let (s, dims) = (layout.strides(), layout.dims());
        Head { first: layout.offset() + b * s[0] + h * s[2], step: s[1], t: dims[1], d: dims[3] }
    }
    #[inline(always)]
    fn row(&self, t: usize) -> Range<usize> {
        let at = self.first + t * self.step;
        at..at + self.d
    }
    /// Row `t` of `data`.
    #[inline(always)]
    pub fn of<'a, T>(&self, data: &'a [T], t: usize) -> &'a [T] {
        &data[self.row(t)]
    }
    /// Row `t` of an output.
    ///
    /// # Safety
    /// The layout must be the output's own, and no other task may use the row.
    #[inline(always)]
    pub unsafe fn of_output<'a, T>(&self, data: SharedPtr<T>, t: usize) -> &'a mut [T] {
        // SAFETY: promised by the caller.
        unsafe { std::slice::from_raw_parts_mut(data.get().add(self.first + t * self.step), self.d) }
    }
    /// Tile `tile` into `to`, (TILE, padded D); rows past the end and columns past D become zero.
    pub fn pack_rows<T: Float>(&self, data: &[T], tile: usize, to: &mut [f32]) {
        let width = padded(self.d);
        simd::vectorize(
            #[inline(always)]
            || {
                for (r, to) in to.chunks_exact_mut(width).enumerate() {
                    let t = tile * TILE + r;
                    if t >= self.t {
                        to.fill(0.0);
                        continue;
                    }
                    let (values, padding) = to.split_at_mut(self.d);
                    for (to, from) in values.iter_mut().zip(self.of(data, t)) {
                        *to = from.to_f32();
                    }
                    padding.fill(0.0);
                }
            },
        );
    }
    /// Tile `tile`, transposed, into `to`: (D, TILE); columns past the end become zero.
    pub fn pack_columns<T: Float>(&self, data: &[T], tile: usize, to: &mut [f32]) {
        for c in (0..TILE).step_by(SIDE) {
            let (t, to) = (tile * TILE + c, &mut to[c..]);
            if t + SIDE <= self.t {
                let rows = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| self.of(data, t + i));
                simd::vectorize(
                    #[inline(always)]
                    || transpose(&rows, to),
                );
                continue;
            }
            for d in 0..self.d {
                for i in 0..SIDE {
                    to[d * TILE + i] = if t + i < self.t { self.of(data, t + i)[d].to_f32() } else { 0.0 };
                }
            }
        }
    }
}

/// Rows of a square that is transposed in registers.
const SIDE: usize = 8;

/// `to[d, i] = rows[i][d]`, with rows of `to` TILE apart.
#[inline(always)]
fn transpose<T: Float>(rows: &[&[T]; SIDE], to: &mut [f32]) {
    let d = rows[0].len();
    for first in (0..d / SIDE * SIDE).step_by(SIDE) {
        let mut square = [[0.0; SIDE]; SIDE];
        for i in 0..SIDE {
            let row = &rows[i][first..first + SIDE];
            for j in 0..SIDE {
                square[j][i] = row[j].to_f32();
            }
        }
        for j in 0..SIDE {
            to[(first + j) * TILE..][..SIDE].copy_from_slice(&square[j]);
        }
    }
    for j in d / SIDE * SIDE..d {
        for i in 0..SIDE {
            to[j * TILE + i] = rows[i][j].to_f32();
        }
    }
}

/// No infinity and no NaN in `x`? (`0·x` is 0 for all other numbers.)
pub(super) fn all_finite(x: &[f32]) -> bool {
    let mut lanes = [0.0f32; GRAIN];
    simd::vectorize(
        #[inline(always)]
        || {
            for x in x.chunks_exact(GRAIN) {
                for (lane, x) in lanes.iter_mut().zip(x) {
                    *lane += 0.0 * x;
                }
            }
        },
    );
    lanes.iter().all(|&lane| lane == 0.0)
}

/// Lend out zero-initialised-once per-thread memory, cut into pieces of `sizes` (multiples of GRAIN) that start at cache
/// lines. What an earlier call left in it is still there.
pub(super) fn with_scratch<const N: usize, R>(sizes: [usize; N], f: impl FnOnce([&mut [f32]; N]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|memory| {
        let total: usize = sizes.iter().sum();
        if memory.len() < total + GRAIN {
            memory.resize(total + GRAIN, 0.0);
        }
        let start = memory.as_ptr().align_offset(GRAIN * size_of::<f32>()).min(GRAIN);
        let mut rest = &mut memory[start..];
        f(sizes.map(|size| rest.split_off_mut(..size).unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_rows_transposed_and_padding_is_zero() {
        for (t, d) in [(1, 3), (64, 16), (70, 24), (130, 9)] {
            let data: Vec<f32> = (1..=t * d).map(|i| i as f32).collect();
            let head = Head::new(&Layout::contiguous(&[1, t, 1, d]).unwrap(), 0, 0);
            let width = padded(d);
            let (mut rows, mut columns) = (vec![f32::NAN; TILE * width], vec![f32::NAN; d * TILE]);
            for tile in 0..t.div_ceil(TILE) {
                head.pack_rows(&data, tile, &mut rows);
                head.pack_columns(&data, tile, &mut columns);
                for r in 0..TILE {
                    for c in 0..width {
                        let at = tile * TILE + r;
                        let want = if at < t && c < d { data[at * d + c] } else { 0.0 };
                        assert_eq!(rows[r * width + c], want);
                        if c < d {
                            assert_eq!(columns[c * TILE + r], want);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_infinity_or_nan_is_found() {
        let mut x = vec![1e38f32; 64];
        assert!(all_finite(&x));
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            x[37] = bad;
            assert!(!all_finite(&x));
        }
    }

    #[test]
    fn scratch_pieces_start_at_cache_lines() {
        with_scratch([16, 64, 32], |pieces| {
            assert_eq!(pieces.each_ref().map(|p| p.len()), [16, 64, 32]);
            assert!(pieces.iter().all(|p| (p.as_ptr() as usize).is_multiple_of(64)));
        });
    }
}
