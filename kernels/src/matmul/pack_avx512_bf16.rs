//! Packing strips of 16 lanes of pairs of bf16.
//!
//! A pair is two neighbours in the sum. Where these are neighbours in memory, a pair is 32 bits that stay together, and packing
//! is the transposition of `pack_avx512.rs`. Where the lanes are neighbours, two rows are read and interleaved.

use super::pack::{ROWS_AT_A_TIME as AHEAD, strip_pairs_any};
use super::pack_avx512::transpose_units;
use crate::Bf16;
use std::arch::x86_64::*;

/// # Safety
/// See [`super::pack::Strip`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn strip_pairs(
    src: *const Bf16,
    lane: usize,
    step: usize,
    lanes: usize,
    k: usize,
    dst: *mut f32,
    dst_step: usize,
) {
    let mut done = 0;
    if lane == 1 {
        let mask = ((1u32 << lanes) - 1) as __mmask16;
        for k in (0..k / 2 * 2).step_by(2) {
            let (first, second) = (src.wrapping_add(k * step), src.wrapping_add((k + 1) * step));
            // The rows to come are in other pages, where the hardware does not look ahead.
            _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(AHEAD * step).cast());
            _mm_prefetch::<_MM_HINT_T0>(second.wrapping_add(AHEAD * step).cast());
            // SAFETY: the mask keeps the reads within the strip; the destination has room for 16.
            unsafe {
                let low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, first.cast()));
                let high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, second.cast()));
                let pairs = _mm512_or_si512(low, _mm512_slli_epi32::<16>(high));
                _mm512_storeu_ps(dst.add(k / 2 * dst_step), _mm512_castsi512_ps(pairs));
            }
        }
        done = k / 2 * 2;
    } else if step == 1 {
        // SAFETY: k/2 pairs exist in each lane; the destination has room for 16 at each.
        let pairs = unsafe {
            transpose_units(src.cast(), 2 * lane, lanes, k / 2, |unit, column| {
                _mm512_storeu_ps(dst.add(unit * dst_step), _mm512_castsi512_ps(column));
            })
        };
        done = 2 * pairs;
    }
    if done < k {
        let (src, dst) = (src.wrapping_add(done * step), dst.wrapping_add(done / 2 * dst_step));
        // SAFETY: the rest of the same strip.
        unsafe { strip_pairs_any::<16>(src, lane, step, lanes, k - done, dst, dst_step) };
    }
}
