//! Few rows: decoding, where M is the number of sequences.
//!
//! Every number of B is used only M times, so the product is bound by reading B, and packing all of it before use would
//! read and write it once more. Instead a task takes a few columns, packs one narrow panel after the other into a buffer
//! that stays in the first-level cache, and runs the usual kernel on it: same sums, same order, same bits.

use super::block::{Product, each, k_blocks};
use super::kernel::{Micro, Tile};
use super::pack::{Cut, a_strips, b_panels};
use super::pool;

/// Numbers of B worth a task of their own.
const TASK_WORK: usize = 1 << 16;

/// The product when C has at most `micro.rows` rows.
pub(super) fn run(p: &Product<'_>, micro: &Micro, parallel: bool) {
    let ((m, n), k) = (p.c.size, p.a.k);
    let mut a = pool::take((k + k_blocks(k).count()) * micro.lanes);
    for block in k_blocks(k) {
        let at = block.start * micro.lanes;
        a_strips(micro, &p.a, 0, &Cut::new(m, 1), 0..1, block, &mut a[at..]);
    }
    let a = &a[..];
    let tiles = n.div_ceil(micro.cols);
    let per_task = (TASK_WORK / (k * micro.cols)).max(1);
    each(parallel, tiles.div_ceil(per_task), |task| {
        for tile in task * per_task..((task + 1) * per_task).min(tiles) {
            columns(p, micro, a, tile * micro.cols..((tile + 1) * micro.cols).min(n));
        }
    });
}

/// One narrow panel: at most `micro.cols` columns, all of K.
fn columns(p: &Product<'_>, micro: &Micro, a: &[f32], cols: std::ops::Range<usize>) {
    let m = p.c.size.0;
    let longest = k_blocks(p.a.k).next().map_or(0, |block| block.len());
    let mut b = pool::take(longest * micro.cols);
    let mut sums = (!p.c.is_direct()).then(|| pool::take(m * micro.cols));
    for k in k_blocks(p.a.k) {
        b_panels(micro, &p.b, cols.clone(), k.clone(), &mut b);
        let (c, c_row, beta) = match &mut sums {
            None => (p.c.at::<f32>(0, cols.start), p.c.row, if k.start == 0 { p.beta } else { 1.0 }),
            Some(sums) => (sums.as_mut_ptr(), micro.cols, if k.start == 0 { 0.0 } else { 1.0 }),
        };
        let tile = Tile {
            rows: m,
            cols: cols.len(),
            k: k.len(),
            a: a[k.start * micro.lanes..].as_ptr(),
            b: b.as_ptr(),
            c,
            c_row,
            alpha: p.alpha,
            beta,
        };
        // SAFETY: packed panels have k.len() steps; the tile is this task's part of C, or `sums`.
        unsafe { (micro.run)(&tile) };
    }
    if let Some(sums) = sums {
        // SAFETY: these columns of C belong to this task.
        unsafe { p.c.put((0, cols.start), (m, cols.len()), &sums, micro.cols, p.beta) };
    }
}
