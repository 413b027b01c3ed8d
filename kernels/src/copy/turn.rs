//! The transposition of one square tile, in registers.
//!
//! Written element by element it is one load and one store each, and the stores of a column go to as many cache lines.
//! In registers, squares of 8 × 8 are turned by three rounds of shuffles: neighbours of two rows are interleaved, then
//! pairs of them, then fours. Elements are moved as they are stored, so only their size matters. Who wants to know how a whole
//! tensor is cut into tiles reads `cpu.rs`.

use super::cpu::TILE;
use crate::Element;
#[cfg(target_arch = "x86_64")]
use crate::simd::{self, Simd};

/// Some rows of a tile.
pub(super) type Tile<T> = [[T; TILE]; TILE];

/// `to[j·step + i] = from[i][j]`. Eight rows of the output are finished before the next eight are begun: where `step` is a
/// power of two, few of their cache lines find room beside each other.
///
/// # Safety
/// These elements may be written: nobody else has access to them.
pub(super) unsafe fn turn<T: Element>(from: &Tile<T>, to: *mut T, step: usize) {
    #[cfg(target_arch = "x86_64")]
    match size_of::<T>() {
        // SAFETY: elements of two bytes, which the shuffles only move; the rest is the caller's promise.
        2 => return unsafe { x86::words(from.as_ptr().cast(), to.cast(), step) },
        4 if simd::level() >= Simd::Avx2 => {
            // SAFETY: elements of four bytes; `level` never exceeds what the machine was found to have.
            return unsafe { x86::doubles(from.as_ptr().cast(), to.cast(), step) };
        }
        _ => {}
    }
    for j in 0..TILE {
        // SAFETY: the caller's promise.
        (0..TILE).for_each(|i| unsafe { *to.add(j * step + i) = from[i][j] });
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::TILE;
    use std::arch::x86_64::*;

    /// Side of the squares that are turned at once.
    const SIDE: usize = 8;

    /// Elements of two bytes, with instructions that every x86-64 has.
    ///
    /// # Safety
    /// As [`super::turn`]; `from` is the start of a tile.
    pub(super) unsafe fn words(from: *const u16, to: *mut u16, step: usize) {
        for (i, j) in squares() {
            // SAFETY: row i + r, columns j to j + 8, of a tile.
            let row = |r: usize| unsafe { _mm_loadu_si128(from.add((i + r) * TILE + j).cast()) };
            // SAFETY: these instructions are part of the baseline.
            let turned = unsafe {
                let pair =
                    |r| (_mm_unpacklo_epi16(row(r), row(r + 1)), _mm_unpackhi_epi16(row(r), row(r + 1)));
                let [(a0, a1), (b0, b1), (c0, c1), (d0, d1)] = [pair(0), pair(2), pair(4), pair(6)];
                let four = |a, b| (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
                let [(e0, e1), (e2, e3), (f0, f1), (f2, f3)] =
                    [four(a0, b0), four(a1, b1), four(c0, d0), four(c1, d1)];
                let all = |e, f| [_mm_unpacklo_epi64(e, f), _mm_unpackhi_epi64(e, f)];
                [all(e0, f0), all(e1, f1), all(e2, f2), all(e3, f3)]
            };
            for (c, v) in turned.as_flattened().iter().enumerate() {
                // SAFETY: row j + c, columns i to i + 8, of the output.
                unsafe { _mm_storeu_si128(to.add((j + c) * step + i).cast(), *v) }
            }
        }
    }

    /// Elements of four bytes.
    ///
    /// # Safety
    /// As [`super::turn`]; `from` is the start of a tile, and the machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn doubles(from: *const f32, to: *mut f32, step: usize) {
        for (i, j) in squares() {
            // Rows r and r + 4 share a register, four columns of each, so that no round crosses its halves.
            let row = |r: usize, column: usize| {
                // SAFETY: rows i + r and i + r + 4, four columns from j + `column` on, of a tile.
                unsafe {
                    let low = _mm_loadu_ps(from.add((i + r) * TILE + j + column));
                    let high = _mm_loadu_ps(from.add((i + r + 4) * TILE + j + column));
                    _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
                }
            };
            for column in [0, 4] {
                let [a, b, c, d] = std::array::from_fn(|r| row(r, column));
                let [ab, cd] =
                    [(a, b), (c, d)].map(|(a, b)| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)));
                let all = [
                    _mm256_shuffle_ps::<0x44>(ab.0, cd.0),
                    _mm256_shuffle_ps::<0xEE>(ab.0, cd.0),
                    _mm256_shuffle_ps::<0x44>(ab.1, cd.1),
                    _mm256_shuffle_ps::<0xEE>(ab.1, cd.1),
                ];
                for (c, v) in all.into_iter().enumerate() {
                    // SAFETY: row j + column + c, columns i to i + 8, of the output.
                    unsafe { _mm256_storeu_ps(to.add((j + column + c) * step + i), v) }
                }
            }
        }
    }

    /// The first row and column of every square of a tile, column by column.
    fn squares() -> impl Iterator<Item = (usize, usize)> {
        (0..TILE * TILE / SIDE / SIDE).map(|s| (s % (TILE / SIDE) * SIDE, s / (TILE / SIDE) * SIDE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bf16;

    fn every_element_goes_to_its_place<T: Element + PartialEq + std::fmt::Debug>(make: impl Fn(usize) -> T) {
        let mut from = [[T::default(); TILE]; TILE];
        (0..TILE * TILE).for_each(|at| from[at / TILE][at % TILE] = make(at));
        let mut to = [[T::default(); TILE]; TILE];
        // SAFETY: a tile of this test's own.
        unsafe { turn(&from, to.as_mut_ptr().cast(), TILE) };
        (0..TILE * TILE).for_each(|at| assert_eq!(to[at % TILE][at / TILE], make(at), "{at}"));
    }

    #[test]
    fn a_tile_is_turned_whatever_the_size_of_its_elements() {
        every_element_goes_to_its_place(|at| at as f64);
        every_element_goes_to_its_place(|at| at as f32);
        every_element_goes_to_its_place(|at| at as i32);
        every_element_goes_to_its_place(|at| Bf16(at as u16));
    }
}
