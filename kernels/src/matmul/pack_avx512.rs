//! Packing strips of 16 lanes with AVX-512.
//!
//! Lanes that are neighbours in memory are copied. Lanes whose k are neighbours must be transposed, 16 lanes × 16 k at a
//! time: two rounds of interleaving inside the quarters of the vectors, and two rounds of moving quarters. What is left in
//! the end goes 4 k at a time: quarter q of vector r takes four k from lane 4q + r, and the first two rounds do. For bf16 the
//! same is done with *pairs* of neighbours as the 32-bit units, and each resulting vector is split into its low and high
//! halves: a bf16 is the upper half of an f32.

use super::pack::{ROWS_AT_A_TIME as AHEAD, strip_any};
use crate::Bf16;
use std::arch::x86_64::*;

/// # Safety
/// See [`super::pack::Strip`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn strip_f32(
    src: *const f32,
    lane: usize,
    step: usize,
    lanes: usize,
    k: usize,
    dst: *mut f32,
    dst_step: usize,
) {
    if lane == 1 {
        let mask = ((1u32 << lanes) - 1) as __mmask16;
        for k in 0..k {
            let from = src.wrapping_add(k * step);
            // The rows to come are in other pages, where the hardware does not look ahead.
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD * step).cast());
            // SAFETY: the mask keeps the read within the strip; the destination has room for 16.
            unsafe { _mm512_storeu_ps(dst.add(k * dst_step), _mm512_maskz_loadu_ps(mask, from)) };
        }
    } else if step == 1 {
        // SAFETY: k units exist in each lane; the destination has room for 16 at each.
        let whole = unsafe {
            transpose_units(src.cast(), 4 * lane, lanes, k, |k, column| {
                _mm512_storeu_ps(dst.add(k * dst_step), _mm512_castsi512_ps(column));
            })
        };
        // SAFETY: the rest of the same strip.
        unsafe {
            strip_any::<f32, 16>(
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
        unsafe { strip_any::<f32, 16>(src, lane, step, lanes, k, dst, dst_step) };
    }
}

/// # Safety
/// See [`super::pack::Strip`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn strip_bf16(
    src: *const Bf16,
    lane: usize,
    step: usize,
    lanes: usize,
    k: usize,
    dst: *mut f32,
    dst_step: usize,
) {
    if lane == 1 {
        let mask = ((1u32 << lanes) - 1) as __mmask16;
        for k in 0..k {
            let from = src.wrapping_add(k * step);
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD * step).cast());
            // SAFETY: the mask keeps the read within the strip; the destination has room for 16.
            unsafe {
                let narrow = _mm256_maskz_loadu_epi16(mask, from.cast());
                let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(narrow));
                _mm512_storeu_ps(dst.add(k * dst_step), _mm512_castsi512_ps(wide));
            }
        }
    } else if step == 1 {
        // SAFETY: k/2 pairs exist in each lane; the destination has room for 16 at each k.
        let pairs = unsafe {
            transpose_units(src.cast(), 2 * lane, lanes, k / 2, |unit, pair| {
                let (at, [first, second]) = (dst.wrapping_add(2 * unit * dst_step), halves(pair));
                _mm512_storeu_ps(at, first);
                _mm512_storeu_ps(at.add(dst_step), second);
            })
        };
        let whole = 2 * pairs;
        // SAFETY: the rest of the same strip.
        unsafe {
            strip_any::<Bf16, 16>(
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
        unsafe { strip_any::<Bf16, 16>(src, lane, step, lanes, k, dst, dst_step) };
    }
}

/// Four 32-bit units from each of 16 lanes `lane_bytes` apart; vector i has unit i of all lanes. Lanes from `lanes` on
/// repeat the last one.
///
/// # Safety
/// 16 bytes must be readable at the start of each lane.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose(src: *const u8, lane_bytes: usize, lanes: usize) -> [__m512i; 4] {
    let mut r = [_mm512_setzero_si512(); 4];
    if lanes >= 16 {
        // Sixteen multiples of the distance are too many for the registers. Known to be the same in every round of the
        // caller's loop, they would be kept in memory; so they are made to look new, and added up each time.
        let lane_bytes = std::hint::black_box(lane_bytes);
        for (i, r) in r.iter_mut().enumerate() {
            let first = src.wrapping_add(i * lane_bytes);
            let load = |quarter: usize| first.wrapping_add(4 * quarter * lane_bytes).cast();
            // SAFETY: the caller's promise.
            *r = unsafe { gather(load(0), load(1), load(2), load(3)) };
        }
    } else {
        for (i, r) in r.iter_mut().enumerate() {
            let load = |lane: usize| src.wrapping_add(lane.min(lanes - 1) * lane_bytes).cast();
            // SAFETY: the caller's promise; lanes that do not exist are replaced by the last one.
            *r = unsafe { gather(load(i), load(4 + i), load(8 + i), load(12 + i)) };
        }
    }
    let (lo01, hi01) = (_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[0], r[1]));
    let (lo23, hi23) = (_mm512_unpacklo_epi32(r[2], r[3]), _mm512_unpackhi_epi32(r[2], r[3]));
    [
        _mm512_unpacklo_epi64(lo01, lo23),
        _mm512_unpackhi_epi64(lo01, lo23),
        _mm512_unpacklo_epi64(hi01, hi23),
        _mm512_unpackhi_epi64(hi01, hi23),
    ]
}

/// Calls `put(i, units i of all lanes)` for as many of the `units` 32-bit units of each lane as come in fours, in order, and
/// returns how many. Lanes from `lanes` on repeat the last one.
///
/// # Safety
/// So many units must be readable in each of `lanes` lanes `lane_bytes` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn transpose_units(
    src: *const u8,
    lane_bytes: usize,
    lanes: usize,
    units: usize,
    mut put: impl FnMut(usize, __m512i),
) -> usize {
    let (lines, whole) = (units / 16 * 16, units / 4 * 4);
    for first in (0..lines).step_by(16) {
        // SAFETY: sixteen units from `first` on exist in each lane.
        let columns = unsafe { transpose_lines(src.add(4 * first), lane_bytes, lanes) };
        columns.into_iter().enumerate().for_each(|(i, column)| put(first + i, column));
    }
    for first in (lines..whole).step_by(4) {
        // SAFETY: four units from `first` on exist in each lane.
        let columns = unsafe { transpose(src.add(4 * first), lane_bytes, lanes) };
        columns.into_iter().enumerate().for_each(|(i, column)| put(first + i, column));
    }
    whole
}

/// Sixteen 32-bit units from each of `lanes` lanes `lane_bytes` apart; vector i has unit i of all lanes. Lanes from `lanes` on
/// repeat the last one. Whole cache lines are read, where lanes are aligned, and each of them once: sixteen lanes a power of
/// two apart are sixteen lines of one set of the cache, which holds eight.
///
/// # Safety
/// 64 bytes must be readable at the start of each lane.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn transpose_lines(src: *const u8, lane_bytes: usize, lanes: usize) -> [__m512i; 16] {
    let mut r = [_mm512_setzero_si512(); 16];
    // See `transpose`.
    let lane_bytes = std::hint::black_box(lane_bytes);
    let mut from = src;
    for (i, r) in r.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *r = unsafe { _mm512_loadu_si512(from.cast()) };
        from = from.wrapping_add(if i + 1 < lanes { lane_bytes } else { 0 });
    }
    // Within quarters: four lanes, four units.
    let mut t = [_mm512_setzero_si512(); 16];
    for g in (0..16).step_by(4) {
        let (lo01, hi01) = (_mm512_unpacklo_epi32(r[g], r[g + 1]), _mm512_unpackhi_epi32(r[g], r[g + 1]));
        let (lo23, hi23) =
            (_mm512_unpacklo_epi32(r[g + 2], r[g + 3]), _mm512_unpackhi_epi32(r[g + 2], r[g + 3]));
        t[g] = _mm512_unpacklo_epi64(lo01, lo23);
        t[g + 1] = _mm512_unpackhi_epi64(lo01, lo23);
        t[g + 2] = _mm512_unpacklo_epi64(hi01, hi23);
        t[g + 3] = _mm512_unpackhi_epi64(hi01, hi23);
    }
    // The quarters themselves.
    for j in 0..4 {
        let (even01, odd01) =
            (_mm512_shuffle_i32x4::<0x88>(t[j], t[4 + j]), _mm512_shuffle_i32x4::<0xdd>(t[j], t[4 + j]));
        let (even23, odd23) = (
            _mm512_shuffle_i32x4::<0x88>(t[8 + j], t[12 + j]),
            _mm512_shuffle_i32x4::<0xdd>(t[8 + j], t[12 + j]),
        );
        r[j] = _mm512_shuffle_i32x4::<0x88>(even01, even23);
        r[8 + j] = _mm512_shuffle_i32x4::<0xdd>(even01, even23);
        r[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd01, odd23);
        r[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd01, odd23);
    }
    r
}

/// Four quarters of a vector.
///
/// # Safety
/// 16 bytes must be readable at each address.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn gather(a: *const __m128i, b: *const __m128i, c: *const __m128i, d: *const __m128i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let r = _mm512_castsi128_si512(_mm_loadu_si128(a));
        let r = _mm512_inserti32x4::<1>(r, _mm_loadu_si128(b));
        let r = _mm512_inserti32x4::<2>(r, _mm_loadu_si128(c));
        _mm512_inserti32x4::<3>(r, _mm_loadu_si128(d))
    }
}

/// Pairs of neighbouring bf16, widened: the first ones, and the second ones.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn halves(pairs: __m512i) -> [__m512; 2] {
    let high = _mm512_set1_epi32(0xffff_0000u32 as i32);
    [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)), _mm512_castsi512_ps(_mm512_and_si512(pairs, high))]
}
