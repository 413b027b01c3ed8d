//! The innermost kernel for AVX2 with FMA: up to 6 × 16 elements of C in 12 of the 16 vector registers, leaving two for a
//! row of B and one for the number of A. The idea is that of the AVX-512 kernel next door.

use super::kernel::{self, Micro, Tile};
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
    terms: 1,
    run: dispatch,
    stream_rows: 0,
    stream_f32: None,
    stream_bf16: None,
    strip_f32: Some(pack::strip_f32),
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
    for _ in 0..t.units {
        let mut row = [_mm256_setzero_ps(); V];
        for v in 0..V {
            // SAFETY: packed B holds COLS units per step.
            row[v] = unsafe { _mm256_loadu_ps(b.add(v * LANES)) };
        }
        for r in 0..R {
            // SAFETY: packed A holds LANES units per step.
            let x = _mm256_set1_ps(unsafe { *a.add(r) });
            for v in 0..V {
                acc[r][v] = _mm256_fmadd_ps(x, row[v], acc[r][v]);
            }
        }
        a = a.wrapping_add(LANES);
        b = b.wrapping_add(COLS);
    }
    // SAFETY: passed on.
    unsafe { store(t, &acc) }
}

/// `new = alpha · acc + beta · old`.
///
/// # Safety
/// See [`Micro::run`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store<const R: usize, const V: usize>(t: &Tile, acc: &[[__m256; V]; R]) {
    let (alpha, beta) = (_mm256_set1_ps(t.alpha), _mm256_set1_ps(t.beta));
    for v in 0..V {
        let lanes = t.cols.saturating_sub(v * LANES).min(LANES);
        for r in 0..R {
            let (old, new) = (t.old.at(r, v * LANES), t.new.at(r, v * LANES));
            let sum = if t.beta == 0.0 {
                _mm256_mul_ps(alpha, acc[r][v])
            } else {
                // SAFETY: the tile has this row and so many columns from there on.
                let old = unsafe { kernel::load::<LANES>(old, t.old.is_narrow(), lanes) };
                // SAFETY: a vector long.
                let old = unsafe { _mm256_loadu_ps(old.as_ptr()) };
                _mm256_fmadd_ps(alpha, acc[r][v], _mm256_mul_ps(beta, old))
            };
            if lanes == LANES && !t.new.is_narrow() {
                // SAFETY: as above.
                unsafe { _mm256_storeu_ps(new.cast(), sum) };
                continue;
            }
            let mut sums = [0.0f32; LANES];
            // SAFETY: `sums` is a vector long; the tile has so many columns.
            unsafe {
                _mm256_storeu_ps(sums.as_mut_ptr(), sum);
                kernel::store(new, t.new.is_narrow(), lanes, sums);
            }
        }
    }
}
