//! Launches with a warp per row: as many warps to a block as have their rows in 48 KiB of shared memory.

use crate::call::{Operand, suffix};

/// Shared memory that every GPU gives a block without being asked.
const SHARED: u32 = 48 << 10;

/// Blocks, threads and shared bytes for rows that keep `arrays` copies of themselves; and whether they do.
pub fn shape(rows: u32, c: u32, arrays: u32) -> ((u32, u32, u32), u32) {
    shape_with_tables(rows, c, arrays, 0)
}

/// The same for a block that also keeps so many tables of a row's length, which serve all its rows.
pub fn shape_with_tables(rows: u32, c: u32, arrays: u32, tables: u32) -> ((u32, u32, u32), u32) {
    let bytes = |arrays: u32| u64::from(c) * u64::from(arrays) * 4;
    let fit = u64::from(SHARED).saturating_sub(bytes(tables)) / bytes(arrays).max(1);
    let keep = u32::from(fit > 0);
    // rows that are not kept need nothing
    let warps = if keep == 1 { fit.min(8) as u32 } else { 8 };
    // below the limit whenever it is kept
    let shared = if keep == 1 { bytes(tables + warps * arrays) as u32 } else { 0 };
    ((rows.div_ceil(warps), 32 * warps, shared), keep)
}

/// With packs of 16 bytes where every row of these operands allows it, or number by number.
pub fn form(rows: &[Operand]) -> &'static str {
    if rows.iter().all(Operand::has_packed_rows) { "packs" } else { "single" }
}

/// The kernel for these operands, by the first's dtype.
pub fn kernel(name: &str, rows: &[Operand]) -> String {
    format!("{name}_{}_{}", rows.first().map_or("f32", |o| suffix(o.dtype)), form(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_as_have_room_beside_the_tables() {
        assert_eq!(shape(9, 768, 1), ((2, 256, 8 * 3072), 1));
        assert_eq!(shape_with_tables(9, 1024, 2, 1), ((2, 160, (1 + 2 * 5) * 4096), 1));
        assert_eq!(shape_with_tables(9, 4096, 1, 2), ((9, 32, SHARED), 1));
        assert_eq!(shape_with_tables(9, 4097, 1, 2), ((2, 256, 0), 0), "no room: rows are read again");
        assert_eq!(shape(9, 1 << 30, 4), ((2, 256, 0), 0));
        assert_eq!(shape(9, 0, 1), ((2, 256, 0), 1));
    }
}
