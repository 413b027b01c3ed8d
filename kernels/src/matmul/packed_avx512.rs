//! Few rows times a packed weight on AVX-512: what `packed.rs` runs for drawing tokens.
//!
//! A row of a tile, 32 numbers, becomes two vectors of units in registers, and each row of x is multiplied into both. Two
//! loads, a multiply-add for each, and for narrow numbers some conversions: less than memory takes to deliver.

use super::kernel::{Micro, Tile};
use super::kernel_avx512::{self, LANES, store};
use super::kernel_avx512_bf16;
use super::packed::{COLS, Few};
use crate::DType;
use std::arch::x86_64::*;

/// Most rows.
pub(super) const ROWS: usize = 8;

/// The kernel for x of this dtype and weights of so many bytes.
pub(super) fn kernel(x: DType, micro: &Micro, bytes: usize) -> Option<Few> {
    let pairs = micro.terms == 2;
    if micro.lanes != LANES {
        return None;
    }
    match (x, bytes) {
        (DType::F32, 4) => Some(f32::few),
        (DType::F32, 1) => Some(int8::few),
        (DType::Bf16, 2) => Some(if pairs { pairs::few } else { widened::few }),
        (DType::Bf16, 1) => Some(if pairs { int8_pairs::few } else { int8_widened::few }),
        _ => None,
    }
}

/// A module with the kernel for one sort of numbers: the features it needs; the multiply-add; the way to store sums; the bytes
/// of a number; the terms of a unit; the function that broadcasts a unit of x; the one that makes two vectors of units of one
/// or two rows of W, and the one that brings their sums into the order of columns.
macro_rules! few {
    ($name:ident, $features:literal, $multiply_add:path, $store:path, $bytes:literal, $terms:literal, $x:path, $w:path, $order:path, $($rows:literal)*) => {
        pub(super) mod $name {
            use super::*;

            /// # Safety
            /// See [`Few`].
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn few(t: &Tile, x: *const u8, row: usize, w: *const u8, terms: usize) {
                match t.rows {
                    // SAFETY: the caller's promise, passed on.
                    $($rows => unsafe { rows::<$rows>(t, x, row, w, terms) },)*
                    _ => {}
                }
            }

            /// # Safety
            /// As above.
            #[target_feature(enable = $features)]
            unsafe fn rows<const R: usize>(t: &Tile, x: *const u8, row: usize, w: *const u8, terms: usize) {
                let mut acc = [[_mm512_setzero_ps(); 2]; R];
                let whole = terms / $terms;
                for unit in 0..whole {
                    let w = w.wrapping_add(unit * $terms * COLS * $bytes);
                    // SAFETY: these rows of W exist.
                    let columns = unsafe { $w(w, false) };
                    for r in 0..R {
                        // SAFETY: so does this unit of x.
                        let x = unsafe { $x(x.wrapping_add(r * row), unit, false) };
                        for v in 0..2 {
                            acc[r][v] = $multiply_add(acc[r][v], x, columns[v]);
                        }
                    }
                }
                if whole * $terms < terms {
                    // SAFETY: half of the unit exists, and no more is read.
                    let columns = unsafe { $w(w.wrapping_add(whole * $terms * COLS * $bytes), true) };
                    for r in 0..R {
                        // SAFETY: as above.
                        let x = unsafe { $x(x.wrapping_add(r * row), whole, true) };
                        for v in 0..2 {
                            acc[r][v] = $multiply_add(acc[r][v], x, columns[v]);
                        }
                    }
                }
                let mut sums = [[_mm512_setzero_ps(); 2]; R];
                for r in 0..R {
                    sums[r] = $order(acc[r]);
                }
                // SAFETY: passed on.
                unsafe { $store(t, &sums) };
            }
        }
    };
}

few!(f32, "avx512f,avx512bw,avx512vl", kernel_avx512::multiply_add, store, 4, 1, x_f32, w_f32, as_they_are, 8 7 6 5 4 3 2 1);
few!(widened, "avx512f,avx512bw,avx512vl", kernel_avx512::multiply_add, store, 2, 1, x_widened, w_widened, as_they_are, 8 7 6 5 4 3 2 1);
few!(pairs, "avx512f,avx512bw,avx512vl,avx512bf16", kernel_avx512_bf16::multiply_add, kernel_avx512_bf16::store_pairs, 2, 2, x_pair, w_pairs, lanes_in_turn, 8 7 6 5 4 3 2 1);
few!(int8, "avx512f,avx512bw,avx512vl", kernel_avx512::multiply_add, store, 1, 1, x_f32, w_int8, as_they_are, 8 7 6 5 4 3 2 1);
few!(int8_widened, "avx512f,avx512bw,avx512vl", kernel_avx512::multiply_add, store, 1, 1, x_widened, w_int8, as_they_are, 8 7 6 5 4 3 2 1);
few!(int8_pairs, "avx512f,avx512bw,avx512vl,avx512bf16", kernel_avx512_bf16::multiply_add, kernel_avx512_bf16::store_pairs, 1, 2, x_pair, w_int8_pairs, as_they_are, 8 7 6 5 4 3 2 1);

/// # Safety
/// There must be such a term.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn x_f32(x: *const u8, unit: usize, _: bool) -> __m512 {
    // SAFETY: the caller's promise.
    _mm512_set1_ps(unsafe { *x.cast::<f32>().add(unit) })
}

/// # Safety
/// There must be such a term.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn x_widened(x: *const u8, unit: usize, _: bool) -> __m512 {
    // SAFETY: the caller's promise.
    _mm512_set1_ps(f32::from_bits((unsafe { *x.cast::<u16>().add(unit) } as u32) << 16))
}

/// # Safety
/// There must be such a pair, or its first half if `half`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn x_pair(x: *const u8, unit: usize, half: bool) -> __m512 {
    let at = x.wrapping_add(4 * unit);
    // SAFETY: the caller's promise.
    let bits = unsafe { if half { *at.cast::<u16>() as u32 } else { at.cast::<u32>().read_unaligned() } };
    _mm512_set1_ps(f32::from_bits(bits))
}

/// # Safety
/// 32 numbers must be there.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn w_f32(w: *const u8, _: bool) -> [__m512; 2] {
    // SAFETY: the caller's promise.
    unsafe { [_mm512_loadu_ps(w.cast()), _mm512_loadu_ps(w.add(64).cast())] }
}

/// # Safety
/// 32 numbers must be there.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn w_widened(w: *const u8, _: bool) -> [__m512; 2] {
    // SAFETY: the caller's promise.
    let half = |at: usize| unsafe { _mm256_loadu_si256(w.add(at).cast()) };
    [0, 32].map(|at| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half(at)))))
}

/// Two rows, interleaved within quarters: the first vector has columns 0–3, 8–11, 16–19, 24–27, the second one the others.
///
/// # Safety
/// 64 numbers must be there, or 32 if `half`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn w_pairs(w: *const u8, half: bool) -> [__m512; 2] {
    // SAFETY: the caller's promise.
    let first = unsafe { _mm512_loadu_si512(w.cast()) };
    // SAFETY: as above.
    let second = if half { _mm512_setzero_si512() } else { unsafe { _mm512_loadu_si512(w.add(64).cast()) } };
    [
        _mm512_castsi512_ps(_mm512_unpacklo_epi16(first, second)),
        _mm512_castsi512_ps(_mm512_unpackhi_epi16(first, second)),
    ]
}

/// 16 numbers, as f32.
///
/// # Safety
/// They must be there.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn sixteen(w: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(w.cast()) }))
}

/// # Safety
/// 32 numbers must be there.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn w_int8(w: *const u8, _: bool) -> [__m512; 2] {
    // SAFETY: the caller's promise.
    unsafe { [sixteen(w), sixteen(w.add(LANES))] }
}

/// Two rows as pairs of bf16: the upper halves of their f32, whose lower halves are zero.
///
/// # Safety
/// 64 numbers must be there, or 32 if `half`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn w_int8_pairs(w: *const u8, half: bool) -> [__m512; 2] {
    [0, LANES].map(|at| {
        // SAFETY: the caller's promise.
        let first = _mm512_srli_epi32::<16>(_mm512_castps_si512(unsafe { sixteen(w.add(at)) }));
        if half {
            return _mm512_castsi512_ps(first);
        }
        // SAFETY: as above.
        let second = _mm512_castps_si512(unsafe { sixteen(w.add(COLS + at)) });
        _mm512_castsi512_ps(_mm512_or_si512(first, second))
    })
}

/// Sums that are in order.
#[inline]
#[target_feature(enable = "avx512f")]
fn as_they_are(sums: [__m512; 2]) -> [__m512; 2] {
    sums
}

/// Sums of [`w_pairs`]: quarters of the first and of the second vector, in turn.
#[inline]
#[target_feature(enable = "avx512f")]
fn lanes_in_turn([first, second]: [__m512; 2]) -> [__m512; 2] {
    let left = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let right = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    let (first, second) = (_mm512_castps_pd(first), _mm512_castps_pd(second));
    [left, right].map(|order| _mm512_castpd_ps(_mm512_permutex2var_pd(first, order, second)))
}
