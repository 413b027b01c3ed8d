//! Few rows times columns whose terms are adjacent in memory, unpacked: what `skinny.rs` runs on AVX-512.
//!
//! Sixteen columns by four units at a time are transposed in registers, and used at once: a vector then holds the same unit
//! of 16 columns, as if B had been packed. There are three sorts of columns: f32, bf16 that are widened, and pairs of bf16.

use super::kernel::Tile;
use super::kernel_avx512::{self, COLS, LANES, store};
use super::kernel_avx512_bf16;
use super::pack_avx512::{halves, transpose};
use std::arch::x86_64::*;

/// Most rows.
pub(super) const ROWS: usize = 8;

/// How many bytes ahead columns are asked for.
const AHEAD: usize = 256;

/// Ask for a quarter of the 32 cache lines from `b` on, `lane` bytes apart: so many streams are too many for the hardware to
/// look ahead in. Four steps use up one line of each.
#[inline(always)]
fn ask(b: *const u8, lane: usize, step: usize) {
    for c in 0..COLS / 4 {
        // SAFETY: asking has no effect but on time, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add((step % 4 * COLS / 4 + c) * lane).cast()) };
    }
}

/// A module with the kernel for one sort of columns: the features it needs; the multiply-add; the way to store sums; the bytes of a term; the units
/// in four transposed vectors; the function that finds one of them; one that reads a single unit, given the address of a
/// column, the unit's number and the terms of the sum.
macro_rules! stream {
    ($name:ident, $features:literal, $multiply_add:path, $store:path, $bytes:literal, $units:literal, $unit:path, $single:path, $($rows:literal)*) => {
        pub(super) mod $name {
            use super::*;

            /// # Safety
            /// See [`super::super::kernel::Stream`].
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn stream(t: &Tile, b: *const u8, lane: usize, terms: usize) {
                match t.rows {
                    // SAFETY: the caller's promise, passed on.
                    $($rows => unsafe { rows::<$rows>(t, b, lane, terms) },)*
                    _ => {}
                }
            }

            /// # Safety
            /// As above.
            #[target_feature(enable = $features)]
            unsafe fn rows<const R: usize>(t: &Tile, b: *const u8, lane: usize, terms: usize) {
                let mut acc = [[_mm512_setzero_ps(); 2]; R];
                let columns = [b, b.wrapping_add(LANES.min(t.cols - 1) * lane)];
                let lanes = [t.cols.min(LANES), t.cols.saturating_sub(LANES).max(1)];
                // Sixteen bytes of each column at a time.
                let steps = terms * $bytes / 16;
                for step in 0..steps {
                    ask(b.wrapping_add(16 * step + AHEAD), lane, step);
                    // SAFETY: 16 bytes from there on exist in each column.
                    let left = unsafe { transpose(columns[0].add(16 * step), lane, lanes[0]) };
                    // SAFETY: as above.
                    let right = unsafe { transpose(columns[1].add(16 * step), lane, lanes[1]) };
                    for i in 0..$units {
                        let row = [$unit(left, i), $unit(right, i)];
                        for r in 0..R {
                            // SAFETY: packed A holds LANES units per step.
                            let x = _mm512_set1_ps(unsafe { *t.a.add((step * $units + i) * LANES + r) });
                            for v in 0..2 {
                                acc[r][v] = $multiply_add(acc[r][v], x, row[v]);
                            }
                        }
                    }
                }
                for unit in steps * $units..t.units {
                    let mut row = [0u32; COLS];
                    for c in 0..t.cols {
                        // SAFETY: the unit exists in each column.
                        row[c] = unsafe { $single(b.add(c * lane), unit, terms) };
                    }
                    // SAFETY: `row` is two vectors long.
                    let row = unsafe {
                        [_mm512_loadu_ps(row.as_ptr().cast()), _mm512_loadu_ps(row[LANES..].as_ptr().cast())]
                    };
                    for r in 0..R {
                        // SAFETY: packed A holds LANES units per step.
                        let x = _mm512_set1_ps(unsafe { *t.a.add(unit * LANES + r) });
                        for v in 0..2 {
                            acc[r][v] = $multiply_add(acc[r][v], x, row[v]);
                        }
                    }
                }
                // Into memory only now, as in the kernel.
                let mut sums = [[_mm512_setzero_ps(); 2]; R];
                for r in 0..R {
                    for v in 0..2 {
                        sums[r][v] = _mm512_mul_ps(acc[r][v], _mm512_set1_ps(t.alpha));
                    }
                }
                // SAFETY: passed on.
                unsafe { $store(t, &sums) };
            }
        }
    };
}

stream!(f32, "avx512f,avx512bw,avx512vl", kernel_avx512::multiply_add, store, 4, 4, whole, f32_at, 8 7 6 5 4 3 2 1);
stream!(widened, "avx512f,avx512bw,avx512vl", kernel_avx512::multiply_add, store, 2, 8, half, widened_at, 8 7 6 5 4 3 2 1);
stream!(pairs, "avx512f,avx512bw,avx512vl,avx512bf16", kernel_avx512_bf16::multiply_add, kernel_avx512_bf16::store_pairs, 2, 4, whole, pair_at, 8 7 6 5 4 3 2 1);

/// The unit is a whole vector.
#[inline]
#[target_feature(enable = "avx512f")]
fn whole(vectors: [__m512i; 4], i: usize) -> __m512 {
    _mm512_castsi512_ps(vectors[i])
}

/// The unit is half of the 32 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn half(vectors: [__m512i; 4], i: usize) -> __m512 {
    halves(vectors[i / 2])[i % 2]
}

/// # Safety
/// There must be such a unit in this column.
#[inline(always)]
unsafe fn f32_at(column: *const u8, unit: usize, _: usize) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { *column.cast::<u32>().add(unit) }
}

/// # Safety
/// As above.
#[inline(always)]
unsafe fn widened_at(column: *const u8, unit: usize, _: usize) -> u32 {
    // SAFETY: the caller's promise.
    (unsafe { *column.cast::<u16>().add(unit) } as u32) << 16
}

/// # Safety
/// As above.
#[inline(always)]
unsafe fn pair_at(column: *const u8, unit: usize, terms: usize) -> u32 {
    // SAFETY: the caller's promise; the second of an odd number's last pair is not read.
    let term = |i: usize| if i < terms { unsafe { *column.cast::<u16>().add(i) as u32 } } else { 0 };
    term(2 * unit) | term(2 * unit + 1) << 16
}
