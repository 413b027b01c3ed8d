//! Blocking: cutting the product so that what the innermost kernel reads is packed and close by.
//!
//! The scheme is that of Goto & van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"), in the form of
//! BLIS (Van Zee & van de Geijn 2015):
//!
//! - a *panel* of B, K × (a few hundred to a few thousand columns), is packed once, by all threads, and read by all;
//! - a *task* is a block of rows times a chunk of those columns. For each block of k it packs its part of A (which then
//!   lives in the second-level cache) and runs the kernel over all tiles, B's narrow panels in the outer loop (one of
//!   them lives in the first-level cache), A's in the inner loop;
//! - sums over a block of k are formed in registers, and added to C in ascending order of blocks.
//!
//! Only the blocks of k influence the bits, and they depend on K alone. Everything else may be cut as is fastest.

use super::kernel::{Micro, Tile};
use super::pack::{a_panels, b_panels, cut};
use super::strided::{Lanes, Target};
use super::{pool, skinny};
use crate::par::{self, SharedPtr};
use std::ops::Range;

/// Longest block of k.
const K_BLOCK: usize = 256;
/// Rows of a task, at most.
const TASK_ROWS: usize = 140;
/// Columns of a task, at most.
const TASK_COLS: usize = 1024;
/// Floats in a packed panel of B: 8 MiB, unless K is so long that fewer than `MIN_PANEL` columns would fit.
const PANEL: usize = 2 << 20;
/// Columns in a panel of B, at least: each packed number of A is used that many times.
const MIN_PANEL: usize = 512;
/// Tasks to cut a product into, if there is enough to do for each.
const TASKS: usize = 16;
/// Multiply-adds worth a task of their own.
const TASK_WORK: usize = 1 << 21;
/// Multiply-adds below which threads are not worth waking.
const SERIAL_WORK: usize = 1 << 18;

/// `C = alpha · A·B + beta · C` for one pair of matrices.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    /// Rows of A.
    pub a: Lanes<'a>,
    /// Columns of B.
    pub b: Lanes<'a>,
    /// The result.
    pub c: Target<'a>,
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the old C; 0 means that C is not read.
    pub beta: f32,
}

/// The blocks in which sums over K are formed: nearly equal, whole multiples of 16 but for the last.
pub(super) fn k_blocks(k: usize) -> impl Iterator<Item = Range<usize>> {
    let block = k.div_ceil(k.div_ceil(K_BLOCK).max(1)).next_multiple_of(16).max(16);
    (0..k).step_by(block).map(move |first| first..(first + block).min(k))
}

/// Run `f(0)` … `f(tasks - 1)`, on all threads or here.
pub(super) fn each(parallel: bool, tasks: usize, f: impl Fn(usize) + Sync + Send) {
    if parallel { par::for_each_task(tasks, f) } else { (0..tasks).for_each(f) }
}

/// Compute the product, on all threads if `parallel` and worthwhile.
pub(super) fn run(mut p: Product<'_>, micro: &Micro, parallel: bool) {
    let (m, n) = p.c.size;
    if m == 0 || n == 0 {
        return;
    }
    if p.a.k == 0 {
        return scale(&p);
    }
    if p.c.row == 1 && m > 1 && (p.c.col != 1 || n == 1) {
        // C is the transpose of a row-major matrix, and Cᵀ = Bᵀ·Aᵀ.
        p = Product { a: p.b, b: p.a, c: p.c.t(), ..p };
    }
    let (m, n) = p.c.size;
    let parallel = parallel && m * n * p.a.k >= SERIAL_WORK;
    if m <= micro.rows {
        return skinny::run(&p, micro, parallel);
    }
    let width = (PANEL / p.a.k).max(MIN_PANEL) / micro.cols * micro.cols;
    let panels = n.div_ceil(width);
    for panel in 0..panels {
        let tiles = n.div_ceil(micro.cols);
        let cols = cut(tiles, panels, panel) * micro.cols..(cut(tiles, panels, panel + 1) * micro.cols).min(n);
        let packed = pack_b(&p, micro, cols.clone(), parallel);
        let (tall, wide) = grid(m, cols.len(), p.a.k, micro);
        let tiles = cols.len().div_ceil(micro.cols);
        each(parallel, tall * wide, |task| {
            let rows = cut(m, tall, task / wide)..cut(m, tall, task / wide + 1);
            let tiles = cut(tiles, wide, task % wide)..cut(tiles, wide, task % wide + 1);
            block(&p, micro, &packed, cols.clone(), rows, tiles);
        });
    }
}

/// K = 0: `c = beta · c`.
fn scale(p: &Product<'_>) {
    let (m, n) = p.c.size;
    let mut zeros = pool::take(n);
    zeros.fill(0.0);
    // SAFETY: nobody else has the target.
    (0..m).for_each(|i| unsafe { p.c.put((i, 0), (1, n), &zeros, n, p.beta) });
}

/// How many tasks a panel is cut into: by rows, and by columns.
fn grid(m: usize, n: usize, k: usize, micro: &Micro) -> (usize, usize) {
    let mut rows = m.div_ceil(TASK_ROWS);
    let mut cols = n.div_ceil(TASK_COLS);
    let want = (m * n * k / TASK_WORK).clamp(1, TASKS);
    while rows * cols < want && n.div_ceil(cols) > 4 * micro.cols {
        cols += 1;
    }
    while rows * cols < want && m.div_ceil(rows) > 3 * micro.rows {
        rows += 1;
    }
    (rows, cols)
}

/// Columns `cols` of B, packed: blocks of k one after the other, in each the panels of the kernel's width.
fn pack_b(p: &Product<'_>, micro: &Micro, cols: Range<usize>, parallel: bool) -> pool::Buffer {
    let tiles = cols.len().div_ceil(micro.cols);
    let padded = tiles * micro.cols;
    let mut packed = pool::take(padded * p.b.k);
    let shared = SharedPtr::new(&mut packed);
    let blocks: Vec<_> = k_blocks(p.b.k).collect();
    let groups = tiles.div_ceil(4);
    each(parallel, blocks.len() * groups, |task| {
        let k = blocks[task / groups].clone();
        let (first, end) = (cut(tiles, groups, task % groups), cut(tiles, groups, task % groups + 1));
        let (at, len) = (k.start * padded + first * k.len() * micro.cols, (end - first) * k.len() * micro.cols);
        // SAFETY: each task has its own part of the buffer.
        let dst = unsafe { std::slice::from_raw_parts_mut(shared.get().add(at), len) };
        let part = cols.start + first * micro.cols..(cols.start + end * micro.cols).min(cols.end);
        b_panels(micro, &p.b, part, k, dst);
    });
    packed
}

/// One task: `rows` of C times the tiles `tiles` of the packed columns `cols`.
fn block(
    p: &Product<'_>,
    micro: &Micro,
    packed: &[f32],
    cols: Range<usize>,
    rows: Range<usize>,
    tiles: Range<usize>,
) {
    let padded = cols.len().next_multiple_of(micro.cols);
    let first = cols.start + tiles.start * micro.cols;
    let mine = first..(cols.start + tiles.end * micro.cols).min(cols.end);
    let panels = rows.len().div_ceil(micro.rows);
    let mut a = pool::take(panels * micro.lanes * p.a.k.min(K_BLOCK));
    // C that the kernel cannot write itself is collected here, and stored when all of K has been summed.
    let width = tiles.len() * micro.cols;
    let mut sums = (!p.c.is_direct()).then(|| pool::take(rows.len() * width));
    for k in k_blocks(p.a.k) {
        a_panels(micro, &p.a, rows.clone(), k.clone(), &mut a);
        let b = &packed[k.start * padded + tiles.start * k.len() * micro.cols..];
        let (c, c_row, beta) = match &mut sums {
            None => (p.c.at::<f32>(rows.start, mine.start), p.c.row, if k.start == 0 { p.beta } else { 1.0 }),
            Some(sums) => (sums.as_mut_ptr(), width, if k.start == 0 { 0.0 } else { 1.0 }),
        };
        for j in 0..tiles.len() {
            for i in 0..panels {
                let (top, end) = (cut(rows.len(), panels, i), cut(rows.len(), panels, i + 1));
                let tile = Tile {
                    rows: end - top,
                    cols: micro.cols.min(mine.len() - j * micro.cols),
                    k: k.len(),
                    a: a[i * k.len() * micro.lanes..].as_ptr(),
                    b: b[j * k.len() * micro.cols..].as_ptr(),
                    c: c.wrapping_add(top * c_row + j * micro.cols),
                    c_row,
                    alpha: p.alpha,
                    beta,
                };
                // SAFETY: packed panels have k.len() steps; the tile lies in this task's part of C, or in `sums`.
                unsafe { (micro.run)(&tile) };
            }
        }
    }
    if let Some(sums) = sums {
        // SAFETY: this part of C belongs to this task.
        unsafe { p.c.put((rows.start, mine.start), (rows.len(), mine.len()), &sums, width, p.beta) };
    }
}
