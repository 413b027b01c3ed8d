//! The innermost kernel in plain Rust: the definition of what the others do, and the fallback for other processors.
//!
//! The loops have constant bounds, so the compiler keeps the 4 × 8 sums in registers and uses whatever vectors the target
//! has. Products and sums are rounded separately: without hardware for it, a fused multiply-add is a slow library call.

use super::kernel::{Micro, Tile};
use super::pack;

const ROWS: usize = 4;
const COLS: usize = 8;

/// The entry for every machine.
pub(super) static MICRO: Micro = Micro {
    rows: ROWS,
    cols: COLS,
    lanes: COLS,
    stream_rows: 0,
    stream: None,
    run: tile,
    strip_f32: pack::strip_any::<f32, COLS>,
    strip_bf16: pack::strip_any::<crate::Bf16, COLS>,
};

/// # Safety
/// See [`Micro::run`].
unsafe fn tile(t: &Tile) {
    let mut acc = [[0.0f32; COLS]; ROWS];
    for k in 0..t.k {
        // SAFETY: packed A and B hold COLS numbers for each k. Rows beyond t.rows are finite leftovers and not used.
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
            let c = unsafe { &mut *t.c.add(r * t.c_row + c) };
            *c = if t.beta == 0.0 { t.alpha * acc } else { t.alpha * acc + t.beta * *c };
        }
    }
}
