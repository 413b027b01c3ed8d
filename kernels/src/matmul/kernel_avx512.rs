//! The innermost kernel for AVX-512: up to 14 × 32 elements of C in 28 of the 32 vector registers.
//!
//! Per unit of K: two vectors of B are loaded, then for each row one number of A is broadcast and multiplied into both, 28
//! multiply-adds for 16 loads. With at most two multiply-adds per cycle and a latency of four to six cycles, a dozen
//! independent sums would do to hide the latency; the rest of the registers saves loads. Any number of rows from 1 to 14
//! has its own copy of the loop, so that a short tile costs what it should; columns beyond the tile are masked when C is
//! written.
//!
//! The loop is the same for f32 and for pairs of bf16 but for one instruction, so it is a macro, which `kernel_avx512_bf16.rs`
//! uses again.

use super::kernel::{Micro, Place, Tile};
use super::{pack_avx512 as pack, stream_avx512 as stream};
use std::arch::x86_64::*;

pub(super) const ROWS: usize = 14;
pub(super) const LANES: usize = 16;
pub(super) const COLS: usize = 2 * LANES;

/// How many units ahead B is asked for: the hardware stops looking ahead at the end of a page.
pub(super) const AHEAD: usize = 32;

/// The entry for machines with AVX-512.
pub(super) static MICRO: Micro = Micro {
    rows: ROWS,
    cols: COLS,
    lanes: LANES,
    terms: 1,
    run: dispatch,
    stream_rows: stream::ROWS,
    stream_f32: Some(stream::f32::stream),
    stream_bf16: Some(stream::widened::stream),
    strip_f32: Some(pack::strip_f32),
    strip_bf16: pack::strip_bf16,
};

/// `sum + x · row`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn multiply_add(sum: __m512, x: __m512, row: __m512) -> __m512 {
    _mm512_fmadd_ps(x, row, sum)
}

/// The kernel, given the features it needs, the multiply-add, the way to store sums, and the numbers of rows.
macro_rules! kernel {
    ($features:literal, $multiply_add:path, $store:path, $($rows:literal)*) => {
        /// # Safety
        /// See [`Micro::run`].
        #[target_feature(enable = $features)]
        unsafe fn dispatch(t: &Tile) {
            match (t.rows, t.cols > LANES) {
                // SAFETY: the caller's promise, passed on.
                $(($rows, true) => unsafe { tile::<$rows, 2>(t) },
                // SAFETY: as above.
                ($rows, false) => unsafe { tile::<$rows, 1>(t) },)*
                _ => {}
            }
        }

        /// R rows, V vectors of columns.
        ///
        /// # Safety
        /// See [`Micro::run`].
        #[target_feature(enable = $features)]
        unsafe fn tile<const R: usize, const V: usize>(t: &Tile) {
            let mut acc = [[_mm512_setzero_ps(); V]; R];
            let (mut a, mut b) = (t.a, t.b);
            for r in 0..R {
                for v in 0..V {
                    _mm_prefetch::<_MM_HINT_T0>(t.new.at(r, v * LANES).cast());
                }
            }
            for _ in 0..t.units {
                let mut row = [_mm512_setzero_ps(); V];
                for v in 0..V {
                    // SAFETY: packed B holds COLS units per step.
                    row[v] = unsafe { _mm512_loadu_ps(b.add(v * LANES)) };
                    _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(v * LANES + AHEAD * COLS).cast());
                }
                for r in 0..R {
                    // SAFETY: packed A holds LANES units per step.
                    let x = _mm512_set1_ps(unsafe { *a.add(r) });
                    for v in 0..V {
                        acc[r][v] = $multiply_add(acc[r][v], x, row[v]);
                    }
                }
                a = a.wrapping_add(LANES);
                b = b.wrapping_add(COLS);
            }
            // Into memory only now: an array that is passed on by address from the start would stay there.
            let mut sums = [[_mm512_setzero_ps(); V]; R];
            for r in 0..R {
                for v in 0..V {
                    sums[r][v] = _mm512_mul_ps(acc[r][v], _mm512_set1_ps(t.alpha));
                }
            }
            // SAFETY: passed on.
            unsafe { $store(t, &sums) };
        }
    };
}
pub(super) use kernel;

kernel!("avx512f,avx512bw,avx512vl", multiply_add, store, 14 13 12 11 10 9 8 7 6 5 4 3 2 1);

/// `new = sums + beta · old`.
///
/// # Safety
/// See [`Micro::run`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn store<const V: usize>(t: &Tile, sums: &[[__m512; V]]) {
    let beta = _mm512_set1_ps(t.beta);
    let masks = [0, 1].map(|v| ((1u32 << t.cols.saturating_sub(v * LANES).min(LANES)) - 1) as __mmask16);
    for (r, sums) in sums.iter().enumerate() {
        for v in 0..V {
            let (mut sum, to) = (sums[v], t.new.at(r, v * LANES));
            // SAFETY: the mask keeps reads and writes within the tile.
            unsafe {
                if t.beta != 0.0 {
                    sum = _mm512_fmadd_ps(beta, load(t.old, r, v, masks[v]), sum);
                }
                if t.new.is_narrow() {
                    _mm256_mask_storeu_epi16(to.cast(), masks[v], narrow(sum));
                } else {
                    _mm512_mask_storeu_ps(to.cast(), masks[v], sum);
                }
            }
        }
    }
}

/// Some of 16 old sums.
///
/// # Safety
/// The place must have row `r` and the columns that `mask` selects from vector `v`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn load(old: Place, r: usize, v: usize, mask: __mmask16) -> __m512 {
    let from = old.at(r, v * LANES);
    // SAFETY: the caller's promise.
    unsafe {
        if old.is_narrow() {
            let narrow = _mm256_maskz_loadu_epi16(mask, from.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(narrow)))
        } else {
            _mm512_maskz_loadu_ps(mask, from.cast())
        }
    }
}

/// Sixteen [`crate::Bf16::from_f32`].
#[inline]
#[target_feature(enable = "avx512f")]
fn narrow(v: __m512) -> __m256i {
    let bits = _mm512_castps_si512(v);
    let high = _mm512_srli_epi32::<16>(bits);
    let even = _mm512_and_si512(high, _mm512_set1_epi32(1));
    let rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), even);
    let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
    let quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
    _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(_mm512_srli_epi32::<16>(rounded), nan, quiet))
}
