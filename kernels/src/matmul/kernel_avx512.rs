//! The innermost kernel for AVX-512: up to 14 × 32 elements of C in 28 of the 32 vector registers.
//!
//! Per k: two vectors of B are loaded, then for each row one number of A is broadcast and multiplied into both, 28 fused
//! multiply-adds for 16 loads. With two multiply-adds per cycle and a latency of four cycles, eight independent sums
//! would do to hide the latency; the rest of the registers saves loads. Any number of rows from 1 to 14 has its own copy
//! of the loop, so that a short tile costs what it should; columns beyond the tile are masked when C is written.

use super::kernel::{Micro, Tile};
use super::pack_avx512 as pack;
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
