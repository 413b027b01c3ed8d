//! Few rows: decoding, where M is the number of sequences.
//!
//! Every number of B is used only M times, so the product is bound by reading B, and packing all of it before use would
//! read and write it once more. Instead a task takes a few columns. Where B is a transposed matrix (K adjacent: the
//! weights of a linear layer) and the instruction set has a kernel for it, B is transposed in registers and used at once;
//! otherwise narrow panels are packed into a buffer that stays in the cache, and the usual kernel runs on them. Same sums
//! in the same order, so the bits are those of the general path.

use super::block::{Product, each, k_blocks};
use super::kernel::{Micro, Tile};
use super::pack::{Cut, a_strip, a_strips, b_panels};
use super::pool;
use crate::{Bf16, DType, planted};
use std::ops::Range;

/// Numbers of B worth a task of their own.
const TASK_WORK: usize = 1 << 16;
/// Tiles packed together when columns are neighbours in memory: long pieces of B's rows.
const TOGETHER: usize = 8;

/// The product when C has at most `micro.rows` rows.
pub(super) fn run(p: &Product<'_>, micro: &Micro, parallel: bool) {
    let ((m, n), k) = (p.c.size, p.a.k);
    let blocks = k_blocks(k).count();
    let mut a = pool::take((k + blocks) * micro.lanes);
    for block in k_blocks(k) {
        let at = block.start * micro.lanes;
        a_strips(
            micro,
            &p.a,
            0,
            &Cut::new(m, 1),
            0..1,
            block.clone(),
            &mut a[at..at + a_strip(micro.lanes, block.len())],
        );
    }
    let a = &a[..];
    let together = if p.b.lane == 1 && p.b.step != 1 { TOGETHER } else { 1 };
    let tiles = n.div_ceil(micro.cols).div_ceil(together);
    let width = together * micro.cols;
    let per_task = (TASK_WORK / (k * width)).max(1);
    each(parallel, tiles.div_ceil(per_task), |task| {
        for tile in task * per_task..((task + 1) * per_task).min(tiles) {
            columns(p, micro, a, tile * width..((tile + 1) * width).min(n));
        }
    });
}

/// Some columns, all of K. `a` is packed A.
fn columns(p: &Product<'_>, micro: &Micro, a: &[f32], cols: Range<usize>) {
    let m = p.c.size.0;
    let width = cols.len().next_multiple_of(micro.cols);
    let longest = k_blocks(p.a.k).next().map_or(0, |block| block.len());
    let stream = if p.b.step == 1 && m <= micro.stream_rows { micro.stream } else { None };
    let mut b = pool::take(if stream.is_some() { 0 } else { longest * width });
    let mut sums = (!p.c.is_direct()).then(|| pool::take(m * width));
    for k in k_blocks(p.a.k) {
        if stream.is_none() {
            b_panels(micro, &p.b, cols.clone(), k.clone(), &mut b);
        }
        let later = planted!("matmul.beta_at_every_block", 1.0 => p.beta);
        let (c, c_row, beta) = match &mut sums {
            None => (p.c.at::<f32>(0, cols.start), p.c.row, if k.start == 0 { p.beta } else { later }),
            Some(sums) => (sums.as_mut_ptr(), width, if k.start == 0 { 0.0 } else { 1.0 }),
        };
        for first in (0..cols.len()).step_by(micro.cols) {
            let mut tile = Tile {
                rows: m,
                cols: micro.cols.min(cols.len() - first),
                k: k.len(),
                a: a[k.start * micro.lanes..].as_ptr(),
                b: std::ptr::null(),
                c: c.wrapping_add(first),
                c_row,
                alpha: p.alpha,
                beta,
            };
            let Some(stream) = stream else {
                tile.b = b[first * k.len()..].as_ptr();
                // SAFETY: what is packed has k.len() steps; the tile is this task's part of C, or in `sums`.
                unsafe { (micro.run)(&tile) };
                continue;
            };
            let wide = p.b.dtype != DType::Bf16;
            let at = (cols.start + first, k.start);
            let b = if wide { p.b.at::<f32>(at.0, at.1).cast() } else { p.b.at::<Bf16>(at.0, at.1).cast() };
            // SAFETY: as above, and B has these columns and terms.
            unsafe { stream(&tile, b, p.b.lane, wide) };
        }
    }
    if let Some(sums) = sums {
        // SAFETY: these columns of C belong to this task.
        unsafe { p.c.put((0, cols.start), (m, cols.len()), &sums, width, p.beta) };
    }
}
