//! The innermost kernel for AVX2 with FMA: up to 6 × 16 elements of C in 12 of the 16 vector registers, leaving two for a
//! row of B and one for the number of A. The idea is that of the AVX-512 kernel next door.

use super::kernel::{Micro, Tile};
use super::pack_avx2 as pack;
use std::arch::x86_64::*;

const ROWS: usize = 6;
const LANES: usize = 8;
const COLS: usize = 2 * LANES;

/// The entry for machines with AVX2 and FMA.
pub(super) static MICRO: Micro = Micro {
    rows: ROWS,
    cols: COLS,
    lanes: LANES,
    stream_rows: 0,
    stream: None,
    run: dispatch,
    strip_f32: pack::strip_f32,
    strip_bf16: pack::strip_bf16,
};

/// # Safety
/// See [`Micro::run`].
#[target_feature(enable = "avx2,fma")]
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
    by_rows!(6 5 4 3 2 1);
}

/// R rows, V vectors of columns.
///
/// # Safety
/// See [`Micro::run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const R: usize, const V: usize>(t: &Tile) {
    let mut acc = [[_mm256_setzero_ps(); V]; R];
    let (mut a, mut b) = (t.a, t.b);
    for _ in 0..t.k {
        let mut row = [_mm256_setzero_ps(); V];
        for v in 0..V {
            // SAFETY: packed B holds COLS numbers for each k.
            row[v] = unsafe { _mm256_loadu_ps(b.add(v * LANES)) };
        }
        for r in 0..R {
            // SAFETY: packed A holds LANES numbers for each k.
            let x = _mm256_set1_ps(unsafe { *a.add(r) });
            for v in 0..V {
                acc[r][v] = _mm256_fmadd_ps(x, row[v], acc[r][v]);
            }
        }
        a = a.wrapping_add(LANES);
        b = b.wrapping_add(COLS);
    }
    let (alpha, beta) = (_mm256_set1_ps(t.alpha), _mm256_set1_ps(t.beta));
    for v in 0..V {
        let lanes = t.cols.saturating_sub(v * LANES).min(LANES);
        let full = lanes == LANES;
        let mask =
            _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        for r in 0..R {
            let c = t.c.wrapping_add(r * t.c_row + v * LANES);
            // SAFETY: the mask keeps reads and writes within the tile of C.
            unsafe {
                let new = if t.beta == 0.0 {
                    _mm256_mul_ps(alpha, acc[r][v])
                } else {
                    let old = if full { _mm256_loadu_ps(c) } else { _mm256_maskload_ps(c, mask) };
                    _mm256_fmadd_ps(alpha, acc[r][v], _mm256_mul_ps(beta, old))
                };
                if full { _mm256_storeu_ps(c, new) } else { _mm256_maskstore_ps(c, mask, new) }
            }
        }
    }
}
