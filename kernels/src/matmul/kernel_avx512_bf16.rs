//! The innermost kernel for machines that multiply bf16 (AVX512-BF16, `vdpbf16ps`): the loop of `kernel_avx512.rs` on pairs.
//!
//! One instruction adds `x₀·y₀ + x₁·y₁` to each of 16 sums in f32, twice the terms of an f32 multiply-add in the same time.
//! The products are exact; how often the sum is rounded on the way is up to the processor, once or twice per pair. It
//! ignores the rounding mode, takes denormal inputs for zeros and replaces denormal sums by zeros: of terms that are all
//! below 2⁻¹²⁶ nothing is left, and results below that may become zero. Adding to an old C knows no such limits.

use super::kernel::{Micro, Tile};
use super::kernel_avx512::{AHEAD, COLS, LANES, ROWS, kernel, store};
use super::{pack_avx512_bf16 as pack, stream_avx512 as stream};
use std::arch::x86_64::*;

/// The entry for machines with AVX512-BF16.
pub(super) static MICRO: Micro = Micro {
    rows: ROWS,
    cols: COLS,
    lanes: LANES,
    terms: 2,
    run: dispatch,
    stream_rows: stream::ROWS,
    stream_f32: None,
    stream_bf16: Some(stream::pairs::stream),
    strip_f32: None,
    strip_bf16: pack::strip_pairs,
};

/// `sum + x₀·row₀ + x₁·row₁`, with pairs of bf16 in 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn multiply_add(sum: __m512, x: __m512, row: __m512) -> __m512 {
    // SAFETY: all bits of these types mean something.
    let pairs = |v: __m512| unsafe { std::mem::transmute::<__m512, __m512bh>(v) };
    _mm512_dpbf16_ps(sum, pairs(x), pairs(row))
}

/// As [`store`], with the processor's own rounding where a tile of bf16 is written for the first time.
///
/// # Safety
/// See [`Micro::run`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn store_pairs<const V: usize>(t: &Tile, sums: &[[__m512; V]]) {
    if t.beta != 0.0 || !t.new.is_narrow() {
        // SAFETY: passed on.
        return unsafe { store(t, sums) };
    }
    let mask = ((1u64 << t.cols) - 1) as __mmask32;
    for (r, sums) in sums.iter().enumerate() {
        let rounded = _mm512_cvtne2ps_pbh(sums[V - 1], sums[0]);
        // SAFETY: all bits of these types mean something; the mask keeps the write within the tile.
        unsafe {
            let rounded = std::mem::transmute::<__m512bh, __m512i>(rounded);
            _mm512_mask_storeu_epi16(t.new.at(r, 0).cast(), mask, rounded);
        }
    }
}

kernel!("avx512f,avx512bw,avx512vl,avx512bf16", multiply_add, store_pairs, 14 13 12 11 10 9 8 7 6 5 4 3 2 1);
