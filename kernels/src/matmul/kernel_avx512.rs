//! The innermost kernel for AVX-512: up to 14 × 32 elements of C in 28 of the 32 vector registers.
//!
//! Per k: two vectors of B are loaded, then for each row one number of A is broadcast and multiplied into both, 28 fused
//! multiply-adds for 16 loads. With two multiply-adds per cycle and a latency of four cycles, eight independent sums
//! would do to hide the latency; the rest of the registers saves loads. Any number of rows from 1 to 14 has its own copy
//! of the loop, so that a short tile costs what it should; columns beyond the tile are masked when C is written.

use super::kernel::{Micro, Tile};
use super::pack_avx512 as pack;
use crate::Bf16;
use std::arch::x86_64::*;

const ROWS: usize = 14;
const LANES: usize = 16;
const COLS: usize = 2 * LANES;

/// How many k ahead B is asked for: the hardware stops looking ahead at the end of a page.
const AHEAD: usize = 32;

/// The entry for machines with AVX-512.
pub(super) static MICRO: Micro = Micro {
    rows: ROWS,
    cols: COLS,
    lanes: LANES,
    stream_rows: 8,
    stream: Some(stream),
    run: dispatch,
    strip_f32: pack::strip_f32,
    strip_bf16: pack::strip_bf16,
};

/// # Safety
/// See [`Micro::run`].
#[target_feature(enable = "avx512f")]
unsafe fn dispatch(t: &Tile) {
    macro_rules! by_rows {
        ($($rows:literal)*) => {
            match (t.rows, t.cols > LANES) {
                // SAFETY: the caller's promise, passed on.
                $(($rows, true) => unsafe { tile::<$rows, 2>(t) },
                // SAFETY: as above.
                ($rows, false) => unsafe { tile::<$rows, 1>(t) },)*
                _ => {}
            }
        };
    }
    by_rows!(14 13 12 11 10 9 8 7 6 5 4 3 2 1);
}

/// R rows, V vectors of columns.
///
/// # Safety
/// See [`Micro::run`].
#[target_feature(enable = "avx512f")]
unsafe fn tile<const R: usize, const V: usize>(t: &Tile) {
    let mut acc = [[_mm512_setzero_ps(); V]; R];
    let (mut a, mut b) = (t.a, t.b);
    for r in 0..R {
        for v in 0..V {
            _mm_prefetch::<_MM_HINT_T0>(t.c.wrapping_add(r * t.c_row + v * LANES).cast());
        }
    }
    for _ in 0..t.k {
        let mut row = [_mm512_setzero_ps(); V];
        for v in 0..V {
            // SAFETY: packed B holds COLS numbers for each k.
            row[v] = unsafe { _mm512_loadu_ps(b.add(v * LANES)) };
            _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(v * LANES + AHEAD * COLS).cast());
        }
        for r in 0..R {
            // SAFETY: packed A holds LANES numbers for each k.
            let x = _mm512_set1_ps(unsafe { *a.add(r) });
            for v in 0..V {
                acc[r][v] = _mm512_fmadd_ps(x, row[v], acc[r][v]);
            }
        }
        a = a.wrapping_add(LANES);
        b = b.wrapping_add(COLS);
    }
    // SAFETY: passed on.
    unsafe { store(t, &acc) };
}

/// `c = alpha · acc + beta · c`.
///
/// # Safety
/// See [`Micro::run`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store<const R: usize, const V: usize>(t: &Tile, acc: &[[__m512; V]; R]) {
    let (alpha, beta) = (_mm512_set1_ps(t.alpha), _mm512_set1_ps(t.beta));
    for v in 0..V {
        let lanes = t.cols.saturating_sub(v * LANES).min(LANES);
        let mask = ((1u32 << lanes) - 1) as __mmask16;
        for r in 0..R {
            let c = t.c.wrapping_add(r * t.c_row + v * LANES);
            // SAFETY: the mask keeps reads and writes within the tile of C.
            unsafe {
                let new = if t.beta == 0.0 {
                    _mm512_mul_ps(alpha, acc[r][v])
                } else {
                    _mm512_fmadd_ps(alpha, acc[r][v], _mm512_mul_ps(beta, _mm512_maskz_loadu_ps(mask, c)))
                };
                _mm512_mask_storeu_ps(c, mask, new);
            }
        }
    }
}

/// Few rows on unpacked B: see [`Micro::stream`].
///
/// # Safety
/// See [`Micro::run`]; `b` must be good for `t.cols` columns of `t.k` numbers, `lane` apart.
#[target_feature(enable = "avx512f")]
unsafe fn stream(t: &Tile, b: *const u8, lane: usize, wide: bool) {
    macro_rules! by_rows {
        ($($rows:literal)*) => {
            match (t.rows, wide) {
                // SAFETY: the caller's promise, passed on.
                $(($rows, true) => unsafe { stream_f32::<$rows>(t, b.cast(), lane) },
                // SAFETY: as above.
                ($rows, false) => unsafe { stream_bf16::<$rows>(t, b.cast(), lane) },)*
                _ => {}
            }
        };
    }
    by_rows!(1 2 3 4 5 6 7 8);
}

/// One multiply-add per row and vector: term `k` of B is `row`.
///
/// # Safety
/// Packed A must have more than `k` terms.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add<const R: usize>(acc: &mut [[__m512; 2]; R], t: &Tile, k: usize, row: [__m512; 2]) {
    for r in 0..R {
        // SAFETY: packed A holds LANES numbers for each k.
        let x = _mm512_set1_ps(unsafe { *t.a.add(k * LANES + r) });
        for v in 0..2 {
            acc[r][v] = _mm512_fmadd_ps(x, row[v], acc[r][v]);
        }
    }
}

/// Ask for a quarter of the 32 cache lines from `b` on, `lane` apart: so many streams are too many for the hardware to
/// look ahead in. Four steps use up one line of each.
#[inline]
fn ask<T>(b: *const T, lane: usize, step: usize) {
    for c in 0..COLS / 4 {
        // SAFETY: asking has no effect but on time, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add((step % 4 * COLS / 4 + c) * lane).cast()) };
    }
}

/// # Safety
/// See [`stream`].
#[target_feature(enable = "avx512f")]
unsafe fn stream_f32<const R: usize>(t: &Tile, b: *const f32, lane: usize) {
    let mut acc = [[_mm512_setzero_ps(); 2]; R];
    let columns = [b, b.wrapping_add(LANES.min(t.cols - 1) * lane)];
    let lanes = [t.cols.min(LANES), t.cols.saturating_sub(LANES).max(1)];
    let whole = t.k / 4 * 4;
    for k in (0..whole).step_by(4) {
        ask(b.wrapping_add(k + 4 * LANES), lane, k / 4);
        // SAFETY: four k from k on exist in each column.
        let left = unsafe { pack::transpose(columns[0].add(k).cast(), 4 * lane, lanes[0]) };
        // SAFETY: as above.
        let right = unsafe { pack::transpose(columns[1].add(k).cast(), 4 * lane, lanes[1]) };
        for i in 0..4 {
            // SAFETY: k + i < t.k.
            unsafe { add(&mut acc, t, k + i, [_mm512_castsi512_ps(left[i]), _mm512_castsi512_ps(right[i])]) };
        }
    }
    for k in whole..t.k {
        let mut row = [0.0f32; COLS];
        // SAFETY: term k of each column exists.
        (0..t.cols).for_each(|c| row[c] = unsafe { *b.add(c * lane + k) });
        // SAFETY: `row` has two vectors; k < t.k.
        unsafe {
            add(&mut acc, t, k, [_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row[LANES..].as_ptr())])
        };
    }
    // SAFETY: passed on.
    unsafe { store(t, &acc) };
}

/// # Safety
/// See [`stream`].
#[target_feature(enable = "avx512f")]
unsafe fn stream_bf16<const R: usize>(t: &Tile, b: *const Bf16, lane: usize) {
    let mut acc = [[_mm512_setzero_ps(); 2]; R];
    let columns = [b, b.wrapping_add(LANES.min(t.cols - 1) * lane)];
    let lanes = [t.cols.min(LANES), t.cols.saturating_sub(LANES).max(1)];
    let whole = t.k / 8 * 8;
    for k in (0..whole).step_by(8) {
        ask(b.wrapping_add(k + 8 * LANES), lane, k / 8);
        // SAFETY: eight k from k on exist in each column.
        let left = unsafe { pack::transpose(columns[0].add(k).cast(), 2 * lane, lanes[0]) };
        // SAFETY: as above.
        let right = unsafe { pack::transpose(columns[1].add(k).cast(), 2 * lane, lanes[1]) };
        for i in 0..4 {
            let ([l0, l1], [r0, r1]) = (pack::halves(left[i]), pack::halves(right[i]));
            // SAFETY: k + 2i + 1 < t.k.
            unsafe {
                add(&mut acc, t, k + 2 * i, [l0, r0]);
                add(&mut acc, t, k + 2 * i + 1, [l1, r1]);
            }
        }
    }
    for k in whole..t.k {
        let mut row = [0.0f32; COLS];
        // SAFETY: term k of each column exists.
        (0..t.cols).for_each(|c| row[c] = unsafe { *b.add(c * lane + k) }.to_f32());
        // SAFETY: `row` has two vectors; k < t.k.
        unsafe {
            add(&mut acc, t, k, [_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row[LANES..].as_ptr())])
        };
    }
    // SAFETY: passed on.
    unsafe { store(t, &acc) };
}
