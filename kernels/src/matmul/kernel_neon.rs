//! The innermost kernel for NEON, which every 64-bit ARM processor has: up to 6 × 16 elements of C in 24 of the 32 vector
//! registers. The multiply-add takes one of its factors from a lane of a register, so six numbers of A are two loads and no
//! broadcast: 24 multiply-adds for 6 loads.
//!
//! bf16 is widened when it is packed. The idea is that of the AVX-512 kernel next door.

use super::kernel::{self, Micro, Tile};
use super::pack;
use crate::Bf16;
use std::arch::aarch64::*;

const ROWS: usize = 6;
/// Numbers in a vector.
const VECTOR: usize = 4;
const COLS: usize = 4 * VECTOR;
/// Units from one step of packed A to the next: the rows, and two that are not used.
const LANES: usize = 8;

/// The entry for 64-bit ARM.
pub(super) static MICRO: Micro = Micro {
    rows: ROWS,
    cols: COLS,
    lanes: LANES,
    terms: 1,
    run: dispatch,
    stream_rows: 0,
    stream_f32: None,
    stream_bf16: None,
    strip_f32: Some(pack::strip_any::<f32, LANES>),
    strip_bf16: pack::strip_any::<Bf16, LANES>,
};

/// # Safety
/// See [`Micro::run`].
unsafe fn dispatch(t: &Tile) {
    macro_rules! by_rows {
        ($($rows:literal)*) => {
            match (t.rows, t.cols > COLS / 2) {
                // SAFETY: the caller's promise, passed on.
                $(($rows, true) => unsafe { tile::<$rows, 4>(t) },
                // SAFETY: as above.
                ($rows, false) => unsafe { tile::<$rows, 2>(t) },)*
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
#[inline(always)]
unsafe fn tile<const R: usize, const V: usize>(t: &Tile) {
    // SAFETY: packed A holds LANES units per step and packed B holds COLS; the tile of C has its rows and columns.
    unsafe {
        let mut acc = [[vdupq_n_f32(0.0); V]; R];
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.units {
            let mut row = [vdupq_n_f32(0.0); V];
            for v in 0..V {
                row[v] = vld1q_f32(b.add(v * VECTOR));
            }
            let (low, high) = (vld1q_f32(a), vld1q_f32(a.add(VECTOR)));
            for v in 0..V {
                // Which lane is part of the instruction, so there is one line for each row.
                macro_rules! rows {
                    ($($r:literal $half:ident $lane:literal)*) => {
                        $(if R > $r {
                            acc[$r % R][v] = vfmaq_laneq_f32::<$lane>(acc[$r % R][v], row[v], $half);
                        })*
                    };
                }
                rows!(0 low 0  1 low 1  2 low 2  3 low 3  4 high 0  5 high 1);
            }
            a = a.wrapping_add(LANES);
            b = b.wrapping_add(COLS);
        }
        store(t, &acc);
    }
}

/// `new = alpha · acc + beta · old`.
///
/// # Safety
/// See [`Micro::run`].
#[inline(always)]
unsafe fn store<const R: usize, const V: usize>(t: &Tile, acc: &[[float32x4_t; V]; R]) {
    for v in 0..V {
        let lanes = t.cols.saturating_sub(v * VECTOR).min(VECTOR);
        for r in 0..R {
            let (old, new) = (t.old.at(r, v * VECTOR), t.new.at(r, v * VECTOR));
            // SAFETY: the tile has this row and `lanes` columns from there on; the arrays are a vector long.
            unsafe {
                let mut sum = vmulq_n_f32(acc[r][v], t.alpha);
                if t.beta != 0.0 {
                    let old = kernel::load::<VECTOR>(old, t.old.is_narrow(), lanes);
                    sum = vfmaq_n_f32(sum, vld1q_f32(old.as_ptr()), t.beta);
                }
                if lanes == VECTOR && !t.new.is_narrow() {
                    vst1q_f32(new.cast(), sum);
                    continue;
                }
                let mut sums = [0.0f32; VECTOR];
                vst1q_f32(sums.as_mut_ptr(), sum);
                kernel::store(new, t.new.is_narrow(), lanes, sums);
            }
        }
    }
}
