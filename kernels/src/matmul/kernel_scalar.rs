//! The innermost kernel in plain Rust: the definition of what the others do, and the fallback for other processors.
//!
//! The loops have constant bounds, so the compiler keeps the 4 × 8 sums in registers and uses whatever vectors the target
//! has. Products and sums are rounded separately: without hardware for it, a fused multiply-add is a slow library call.

use super::kernel::{Micro, Place, Tile};
use super::pack;
use crate::Bf16;

const ROWS: usize = 4;
const COLS: usize = 8;

/// The entry for every machine.
pub(super) static MICRO: Micro = Micro {
    rows: ROWS,
    cols: COLS,
    lanes: COLS,
    terms: 1,
    run: tile,
    stream_rows: 0,
    stream_f32: None,
    stream_bf16: None,
    strip_f32: Some(pack::strip_any::<f32, COLS>),
    strip_bf16: pack::strip_any::<Bf16, COLS>,
};

/// # Safety
/// See [`Micro::run`].
unsafe fn tile(t: &Tile) {
    let mut acc = [[0.0f32; COLS]; ROWS];
    for k in 0..t.units {
        // SAFETY: packed A and B hold COLS units per step. Rows beyond t.rows are finite leftovers and not used.
        let (a, b) =
            unsafe { (&*t.a.add(k * COLS).cast::<[f32; ROWS]>(), &*t.b.add(k * COLS).cast::<[f32; COLS]>()) };
        for r in 0..ROWS {
            for c in 0..COLS {
                acc[r][c] += a[r] * b[c];
            }
        }
    }
    for (r, acc) in acc.iter().enumerate().take(t.rows) {
        for (c, acc) in acc.iter().enumerate().take(t.cols) {
            // SAFETY: within the tile of C.
            unsafe {
                let old = if t.beta == 0.0 { 0.0 } else { t.beta * load(t.old, r, c) };
                store(t.new, r, c, t.alpha * acc + old);
            }
        }
    }
}

/// # Safety
/// There must be such an element.
unsafe fn load(from: Place, r: usize, c: usize) -> f32 {
    let at = from.at(r, c);
    // SAFETY: the caller's promise; an element's type is what the place says.
    unsafe { if from.is_narrow() { (*at.cast::<Bf16>()).to_f32() } else { *at.cast() } }
}

/// # Safety
/// As above.
unsafe fn store(to: Place, r: usize, c: usize, sum: f32) {
    let at = to.at(r, c);
    // SAFETY: as above.
    unsafe { if to.is_narrow() { *at.cast() = Bf16::from_f32(sum) } else { *at.cast() = sum } }
}
