//! Tiles: 64 rows of one head as units (`units.rs`), padded with zeros and aligned, in per-thread memory that is reused.

use super::tile::GRAIN;
use super::units::{halves_mut, pair};
use crate::par::SharedPtr;
use crate::{Bf16, DType, Float, Layout, simd};
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
    /// Tile `tile` into `to`, (TILE, padded D / TERMS) units of neighbours in a row; rows past the end and columns past D
    /// become zero.
    pub fn pack_rows<T: Float, const TERMS: usize>(&self, data: &[T], tile: usize, to: &mut [f32]) {
        let width = padded(self.d);
        simd::vectorize(
            #[inline(always)]
            || {
                for (r, to) in to.chunks_exact_mut(width / TERMS).take(TILE).enumerate() {
                    let t = tile * TILE + r;
                    if t >= self.t {
                        to.fill(0.0);
                    } else if TERMS == 1 {
                        fill_row(to, self.of(data, t), T::to_f32);
                    } else {
                        copy_row(halves_mut(to), self.of(data, t));
                    }
                }
            },
        );
    }
    /// Tile `tile` into `to`, (TILE / TERMS, padded D) units of neighbours in a column; zero as above.
    pub fn pack_stacks<T: Float, const TERMS: usize>(&self, data: &[T], tile: usize, to: &mut [f32]) {
        if TERMS == 1 {
            return self.pack_rows::<T, 1>(data, tile, to);
        }
        simd::vectorize(
            #[inline(always)]
            || {
                for (r, to) in to.chunks_exact_mut(padded(self.d)).take(TILE / 2).enumerate() {
                    let t = tile * TILE + 2 * r;
                    let row = |t| if t < self.t { self.of(data, t) } else { &[] };
                    let (first, second) = (row(t), row(t + 1));
                    let (values, padding) = to.split_at_mut(first.len());
                    padding.fill(0.0);
                    if second.is_empty() {
                        for (to, first) in values.iter_mut().zip(first) {
                            *to = pair(narrow(*first), Bf16(0));
                        }
                        continue;
                    }
                    for (to, (first, second)) in values.iter_mut().zip(first.iter().zip(second)) {
                        *to = pair(narrow(*first), narrow(*second));
                    }
                }
            },
        );
    }
}

/// What is bf16 already.
#[inline(always)]
fn narrow<T: Float>(x: T) -> Bf16 {
    Bf16((x.to_f32().to_bits() >> 16) as u16)
}

/// A row of bf16, and zeros up to the end.
#[inline(always)]
fn copy_row<T: Float>(to: &mut [Bf16], from: &[T]) {
    debug_assert!(T::DTYPE == DType::Bf16);
    let (values, padding) = to.split_at_mut(from.len());
    // SAFETY: pairs are made of bf16 alone (`in_pairs`), so T is Bf16; where it is not, it is no shorter.
    values.copy_from_slice(unsafe { std::slice::from_raw_parts(from.as_ptr().cast(), from.len()) });
    padding.fill(Bf16(0));
}

/// `from`, converted, and zeros up to the end.
#[inline(always)]
fn fill_row<T: Copy, U: Default>(to: &mut [U], from: &[T], convert: impl Fn(T) -> U) {
    let (values, padding) = to.split_at_mut(from.len());
    for (to, from) in values.iter_mut().zip(from) {
        *to = convert(*from);
    }
    padding.iter_mut().for_each(|x| *x = U::default());
}

/// Rows of a square that is transposed in registers.
const SIDE: usize = 8;

/// The first `columns` columns of a packed tile `rows`, (TILE, width), into `to`, (columns, TILE).
pub(super) fn transpose_tile(rows: &[f32], width: usize, columns: usize, to: &mut [f32]) {
    simd::vectorize(
        #[inline(always)]
        || {
            for c in (0..TILE).step_by(SIDE) {
                let rows = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| &rows[(c + i) * width..][..columns]);
                transpose(&rows, &mut to[c..]);
            }
        },
    );
}

/// `to[j, i] = rows[i][j]`, with rows of `to` TILE apart.
#[inline(always)]
fn transpose(rows: &[&[f32]; SIDE], to: &mut [f32]) {
    let columns = rows[0].len();
    for first in (0..columns / SIDE * SIDE).step_by(SIDE) {
        let mut square = [[0.0; SIDE]; SIDE];
        for i in 0..SIDE {
            let row = &rows[i][first..first + SIDE];
            for j in 0..SIDE {
                square[j][i] = row[j];
            }
        }
        for j in 0..SIDE {
            to[(first + j) * TILE..][..SIDE].copy_from_slice(&square[j]);
        }
    }
    for j in columns / SIDE * SIDE..columns {
        for i in 0..SIDE {
            to[j * TILE + i] = rows[i][j];
        }
    }
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
    use crate::attention::units::part;

    #[test]
    fn rows_stacks_and_columns_have_every_number_in_its_place_and_padding_is_zero() {
        for (t, d) in [(1, 3), (64, 16), (70, 24), (130, 9)] {
            let data: Vec<Bf16> = (0..t * d).map(|i| Bf16(0x3f80 + i as u16)).collect();
            let head = Head::new(&Layout::contiguous(&[1, t, 1, d]).unwrap(), 0, 0);
            for tile in 0..t.div_ceil(TILE) {
                let want = |r: usize, c: usize| {
                    let at = tile * TILE + r;
                    if at < t && c < d { data[at * d + c].to_f32() } else { 0.0 }
                };
                check::<1>(&head, &data, tile, &want);
                check::<2>(&head, &data, tile, &want);
            }
        }
        fn check<const TERMS: usize>(
            head: &Head,
            data: &[Bf16],
            tile: usize,
            want: &impl Fn(usize, usize) -> f32,
        ) {
            let (width, columns) = (padded(head.d), head.d.div_ceil(TERMS));
            let mut rows = vec![f32::NAN; TILE * width / TERMS];
            let (mut stacks, mut turned) = (rows.clone(), vec![f32::NAN; columns * TILE]);
            head.pack_rows::<_, TERMS>(data, tile, &mut rows);
            head.pack_stacks::<_, TERMS>(data, tile, &mut stacks);
            transpose_tile(&rows, width / TERMS, columns, &mut turned);
            for r in 0..TILE {
                for c in 0..width {
                    assert_eq!(part::<TERMS>(rows[r * width / TERMS + c / TERMS], c), want(r, c));
                    assert_eq!(part::<TERMS>(stacks[r / TERMS * width + c], r), want(r, c));
                    if c < columns * TERMS {
                        assert_eq!(part::<TERMS>(turned[c / TERMS * TILE + r], c), want(r, c));
                    }
                }
            }
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
