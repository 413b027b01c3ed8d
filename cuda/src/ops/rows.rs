//! Launches with a warp per row: as many warps to a block as have their rows in 48 KiB of shared memory.

use crate::call::{Operand, suffix};

/// Shared memory that every GPU gives a block without being asked.
const SHARED: u32 = 48 << 10;

/// Blocks, threads and shared bytes for rows that keep `arrays` copies of themselves; and whether they do.
pub fn shape(rows: u32, c: u32, arrays: u32) -> ((u32, u32, u32), u32) {
    let row = u64::from(c) * u64::from(arrays) * 4;
    let fit = u64::from(SHARED) / row.max(1);
    let warps = fit.clamp(1, 8) as u32;
    let keep = u32::from(fit > 0);
    // below the limit whenever it is kept
    let shared = if keep == 1 { warps * row as u32 } else { 0 };
    ((rows.div_ceil(warps), 32 * warps, shared), keep)
}

/// The kernel for these operands: with packs of 16 bytes where every row allows it.
pub fn kernel(name: &str, rows: &[Operand]) -> String {
    let form = if rows.iter().all(|o| o.has_packed_rows()) { "packs" } else { "single" };
    format!("{name}_{}_{form}", rows.first().map_or("f32", |o| suffix(o.dtype)))
}
