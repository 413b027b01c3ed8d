//! Packing strips of 8 lanes with AVX2: the idea is that of `pack_avx512.rs`, with two quarters instead of four.

use super::pack::{ROWS_AT_A_TIME as AHEAD, strip_any};
use crate::Bf16;
use std::arch::x86_64::*;

/// # Safety
/// See [`super::pack::Strip`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn strip_f32(
    src: *const f32,
    lane: usize,
    step: usize,
    lanes: usize,
    k: usize,
    dst: *mut f32,
    dst_step: usize,
) {
    if lane == 1 && lanes == 8 {
        for k in 0..k {
            let from = src.wrapping_add(k * step);
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD * step).cast());
            // SAFETY: eight lanes exist; the destination has room for eight.
            unsafe { _mm256_storeu_ps(dst.add(k * dst_step), _mm256_loadu_ps(from)) };
        }
    } else if step == 1 {
        let whole = k / 4 * 4;
        for k in (0..whole).step_by(4) {
            // SAFETY: four k from k on exist in each lane.
            let columns = unsafe { transpose(src.add(k).cast(), 4 * lane, lanes) };
            for (i, column) in columns.into_iter().enumerate() {
                // SAFETY: the destination has room for eight at each k.
                unsafe { _mm256_storeu_ps(dst.add((k + i) * dst_step), _mm256_castsi256_ps(column)) };
            }
        }
        // SAFETY: the rest of the same strip.
        unsafe {
            strip_any::<f32, 8>(
                src.add(whole),
                lane,
                1,
                lanes,
                k - whole,
                dst.add(whole * dst_step),
                dst_step,
            )
        };
    } else {
        // SAFETY: passed on.
        unsafe { strip_any::<f32, 8>(src, lane, step, lanes, k, dst, dst_step) };
    }
}

/// # Safety
/// See [`super::pack::Strip`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn strip_bf16(
    src: *const Bf16,
    lane: usize,
    step: usize,
    lanes: usize,
    k: usize,
    dst: *mut f32,
    dst_step: usize,
) {
    if lane == 1 && lanes == 8 {
        for k in 0..k {
            let from = src.wrapping_add(k * step);
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD * step).cast());
            // SAFETY: eight lanes exist; the destination has room for eight.
            unsafe {
                let wide = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())));
                _mm256_storeu_ps(dst.add(k * dst_step), _mm256_castsi256_ps(wide));
            }
        }
    } else if step == 1 {
        let whole = k / 8 * 8;
        let high = _mm256_set1_epi32(0xffff_0000u32 as i32);
        for k in (0..whole).step_by(8) {
            // SAFETY: eight k from k on exist in each lane.
            let pairs = unsafe { transpose(src.add(k).cast(), 2 * lane, lanes) };
            for (i, pair) in pairs.into_iter().enumerate() {
                let at = dst.wrapping_add((k + 2 * i) * dst_step);
                // SAFETY: the destination has room for eight at each k.
                unsafe {
                    _mm256_storeu_ps(at, _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pair)));
                    _mm256_storeu_ps(at.add(dst_step), _mm256_castsi256_ps(_mm256_and_si256(pair, high)));
                }
            }
        }
        // SAFETY: the rest of the same strip.
        unsafe {
            strip_any::<Bf16, 8>(
                src.add(whole),
                lane,
                1,
                lanes,
                k - whole,
                dst.add(whole * dst_step),
                dst_step,
            )
        };
    } else {
        // SAFETY: passed on.
        unsafe { strip_any::<Bf16, 8>(src, lane, step, lanes, k, dst, dst_step) };
    }
}

/// Four 32-bit units from each of 8 lanes `lane_bytes` apart; vector i has unit i of all lanes. Lanes from `lanes` on
/// repeat the last one.
///
/// # Safety
/// 16 bytes must be readable at the start of each lane.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose(src: *const u8, lane_bytes: usize, lanes: usize) -> [__m256i; 4] {
    // SAFETY: the caller's promise; lanes that do not exist are replaced by the last one.
    let load = |lane: usize| unsafe { _mm_loadu_si128(src.add(lane.min(lanes - 1) * lane_bytes).cast()) };
    let mut r = [_mm256_setzero_si256(); 4];
    for (i, r) in r.iter_mut().enumerate() {
        *r = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(load(i)), load(4 + i));
    }
    let (lo01, hi01) = (_mm256_unpacklo_epi32(r[0], r[1]), _mm256_unpackhi_epi32(r[0], r[1]));
    let (lo23, hi23) = (_mm256_unpacklo_epi32(r[2], r[3]), _mm256_unpackhi_epi32(r[2], r[3]));
    [
        _mm256_unpacklo_epi64(lo01, lo23),
        _mm256_unpackhi_epi64(lo01, lo23),
        _mm256_unpacklo_epi64(hi01, hi23),
        _mm256_unpackhi_epi64(hi01, hi23),
    ]
}
