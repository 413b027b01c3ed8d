//! Blocking: cutting the product so that what the innermost kernel reads is packed and close by.
//!
//! The scheme is that of Goto & van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"), in the form of
//! BLIS (Van Zee & van de Geijn 2015):
//!
//! - a *panel* of B, up to 1024 of K × a thousand columns or so, is packed once, by all threads, and read by all;
//! - a *task* is a block of rows times a chunk of those columns. For each block of k it runs the kernel over its tiles,
//!   row after row of tiles: a strip of A (at most 14 rows) stays in the first-level cache, the chunk of B streams from
//!   the second-level cache again and again, and C is written along its rows;
//! - a strip of A is packed just before it is used. Where the rows of A are neighbours in memory (a transposed operand), a
//!   strip alone would use a part of each cache line, and all strips are packed beforehand, together with B;
//! - sums over a block of k are formed in registers, and added to C in ascending order of blocks.
//!
//! Only the blocks of k influence the bits, and they depend on K alone. Everything else may be cut as is fastest.

use super::kernel::{Micro, Tile};
use super::pack::{Cut, a_strip, a_strips, b_panels};
use super::strided::{Lanes, Target};
use super::{pool, skinny};
use crate::par::{self, SharedPtr};
use crate::planted;
use std::ops::Range;

/// Longest block of k.
const K_BLOCK: usize = 256;
/// Blocks of k in a panel.
const PANEL_BLOCKS: usize = 4;
/// Floats in a packed panel: 4 MiB.
const PANEL: usize = 1 << 20;
/// Columns of B, or rows of A, in a panel, at least: each number of the other operand is used that many times.
const MIN_PANEL: usize = 512;
/// Rows of a task, at most.
const TASK_ROWS: usize = 140;
/// Columns of a task, at most: so many times a block of k fit the second-level cache.
const TASK_COLS: usize = 1024;
/// Tasks to cut a panel into, if there is enough to do for each.
const TASKS: usize = 8;
/// Multiply-adds worth a task of their own.
const TASK_WORK: usize = 1 << 21;
/// Multiply-adds below which threads are not worth waking.
const SERIAL_WORK: usize = 1 << 18;
/// Numbers that one task packs, about.
const PACK_WORK: usize = 1 << 17;

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
    /// C is known to be symmetric: tiles that lie below the diagonal may be left out.
    pub symmetric: bool,
}

/// The blocks in which sums over K are formed: nearly equal, whole multiples of 16 but for the last.
pub(super) fn k_blocks(k: usize) -> impl Iterator<Item = Range<usize>> {
    let longest = planted!("matmul.blocks_follow_the_threads", K_BLOCK => K_BLOCK / par::threads());
    let block = k.div_ceil(k.div_ceil(longest).max(1)).next_multiple_of(16).max(16);
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
    if p.c.row == 1 && m > 1 && !p.symmetric && (p.c.col != 1 || n == 1) {
        // C is the transpose of a row-major matrix, and Cᵀ = Bᵀ·Aᵀ.
        p = Product { a: p.b, b: p.a, c: p.c.t(), ..p };
    }
    let (m, n) = p.c.size;
    let parallel = parallel && m * n * p.a.k >= SERIAL_WORK;
    if m <= micro.rows {
        return skinny::run(&p, micro, parallel);
    }
    let blocks: Vec<_> = k_blocks(p.a.k).collect();
    // Sums that the kernel cannot leave in C must be complete when a task ends.
    let depth = if p.c.is_direct() { PANEL_BLOCKS } else { blocks.len() };
    let most = (PANEL / (depth * K_BLOCK).min(p.a.k)).max(MIN_PANEL);
    let a_is_packed = p.a.lane == 1 && p.a.step != 1;
    let columns = Cut::new(n.div_ceil(micro.cols), n.div_ceil(most));
    let rows = Cut::new(m, if a_is_packed { m.div_ceil(most) } else { 1 });
    for part in 0..columns.parts * rows.parts {
        let tiles = columns.part(part / rows.parts);
        let cols = tiles.start * micro.cols..(tiles.end * micro.cols).min(n);
        for blocks in blocks.chunks(depth) {
            Panel::new(&p, micro, rows.part(part % rows.parts), cols.clone(), blocks)
                .run(a_is_packed, parallel);
        }
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

/// Some rows times some columns, over some blocks of k: what is packed at one time.
struct Panel<'a> {
    p: &'a Product<'a>,
    micro: &'a Micro,
    rows: Range<usize>,
    cols: Range<usize>,
    blocks: &'a [Range<usize>],
    /// Cuts the rows into strips of at most `micro.rows`.
    strips: Cut,
    /// How the strips are shared out to tasks.
    tall: Cut,
    /// How the tiles of `micro.cols` columns are shared out.
    wide: Cut,
}

impl<'a> Panel<'a> {
    fn new(
        p: &'a Product<'a>,
        micro: &'a Micro,
        rows: Range<usize>,
        cols: Range<usize>,
        blocks: &'a [Range<usize>],
    ) -> Self {
        let (m, n) = (rows.len(), cols.len());
        let work: usize = blocks.iter().map(|k| k.len() * m * n).sum();
        let want = (work / TASK_WORK).clamp(1, TASKS);
        let (mut tall, mut wide) = (m.div_ceil(TASK_ROWS), n.div_ceil(TASK_COLS));
        while tall * wide < want && n.div_ceil(wide) > 4 * micro.cols {
            wide += 1;
        }
        while tall * wide < want && m.div_ceil(tall) > 4 * micro.rows {
            tall += 1;
        }
        let strips = tall * m.div_ceil(tall).div_ceil(micro.rows);
        let tiles = n.div_ceil(micro.cols);
        let strips_of = Cut::new(m, strips);
        Panel {
            p,
            micro,
            rows,
            cols,
            blocks,
            strips: strips_of,
            tall: Cut::new(strips, tall),
            wide: Cut::new(tiles, wide),
        }
    }

    fn run(&self, a_is_packed: bool, parallel: bool) {
        let lanes = self.micro.lanes;
        let a_len: usize = self.blocks.iter().map(|k| self.strips.parts * a_strip(lanes, k.len())).sum();
        let mut a = pool::take(if a_is_packed { a_len } else { 0 });
        let mut b = pool::take(self.k().len() * self.padded());
        self.pack(a_is_packed, &mut a, &mut b, parallel);
        let a = a_is_packed.then_some(&a[..]);
        each(parallel, self.tall.parts * self.wide.parts, |task| {
            self.task(a, &b, self.tall.part(task / self.wide.parts), self.wide.part(task % self.wide.parts));
        });
    }

    /// All terms.
    fn k(&self) -> Range<usize> {
        self.blocks[0].start..self.blocks[self.blocks.len() - 1].end
    }
    /// Columns of packed B, counting those that fill the last tile.
    fn padded(&self) -> usize {
        self.cols.len().next_multiple_of(self.micro.cols)
    }
    /// Where block `index` of packed A and of packed B begins.
    fn block_at(&self, index: usize) -> (usize, usize) {
        let before = self.blocks[index].start - self.blocks[0].start;
        ((before + index) * self.micro.lanes * self.strips.parts, before * self.padded())
    }

    /// Pack B, and A if asked to, in parallel: by blocks of k, and by groups of columns of B.
    fn pack(&self, a_is_packed: bool, a: &mut [f32], b: &mut [f32], parallel: bool) {
        let (micro, tiles) = (self.micro, self.padded() / self.micro.cols);
        let size = self.blocks[0].len() * self.padded();
        let groups = Cut::new(tiles, (size / PACK_WORK + 1).max(TASKS / self.blocks.len()).min(tiles));
        let (a, b) = (SharedPtr::new(a), SharedPtr::new(b));
        each(parallel, self.blocks.len() * (groups.parts + usize::from(a_is_packed)), |task| {
            let index = task % self.blocks.len();
            let k = self.blocks[index].clone();
            let (a_at, b_at) = self.block_at(index);
            let group = task / self.blocks.len();
            if group == groups.parts {
                let len = self.strips.parts * a_strip(micro.lanes, k.len());
                // SAFETY: each block of k has its own part of the buffer, and one task.
                let dst = unsafe { std::slice::from_raw_parts_mut(a.get().add(a_at), len) };
                a_strips(micro, &self.p.a, self.rows.start, &self.strips, 0..self.strips.parts, k, dst);
            } else {
                let group = groups.part(group);
                let (at, len) = (group.start * k.len() * micro.cols, group.len() * k.len() * micro.cols);
                // SAFETY: each group of columns of each block of k has its own part of the buffer, and one task.
                let dst = unsafe { std::slice::from_raw_parts_mut(b.get().add(b_at + at), len) };
                let first = self.cols.start + group.start * micro.cols;
                let end = (self.cols.start + group.end * micro.cols).min(self.cols.end);
                b_panels(micro, &self.p.b, first..end, k, dst);
            }
        });
    }

    /// One task: some strips of rows times some tiles of columns. `a` is packed A, if it has been packed.
    fn task(&self, a: Option<&[f32]>, b: &[f32], strips: Range<usize>, tiles: Range<usize>) {
        let (p, micro) = (self.p, self.micro);
        let first = (
            self.rows.start + self.strips.part(strips.start).start,
            self.cols.start + tiles.start * micro.cols,
        );
        let size = (
            self.rows.start + self.strips.part(strips.end - 1).end - first.0,
            (self.cols.start + tiles.end * micro.cols).min(self.cols.end) - first.1,
        );
        let mut own = pool::take(a_strip(micro.lanes, K_BLOCK));
        // C that the kernel cannot write itself is collected here, and stored at the end.
        let width = tiles.len() * micro.cols;
        let mut sums = (!p.c.is_direct()).then(|| pool::take(size.0 * width));
        for (index, k) in self.blocks.iter().enumerate() {
            let (a_at, b_at) = self.block_at(index);
            let b = &b[b_at + tiles.start * k.len() * micro.cols..];
            let (c, c_row, beta) = match &mut sums {
                None => (p.c.at::<f32>(first.0, first.1), p.c.row, if k.start == 0 { p.beta } else { 1.0 }),
                Some(sums) => (sums.as_mut_ptr(), width, if k.start == 0 { 0.0 } else { 1.0 }),
            };
            let beta = planted!("matmul.block_of_k_lost", beta => 0.0);
            for strip in strips.clone() {
                let a = match a {
                    Some(a) => &a[a_at + strip * a_strip(micro.lanes, k.len())..],
                    None => {
                        a_strips(
                            micro,
                            &p.a,
                            self.rows.start,
                            &self.strips,
                            strip..strip + 1,
                            k.clone(),
                            &mut own,
                        );
                        &own[..]
                    }
                };
                let rows = self.strips.part(strip);
                for j in 0..tiles.len() {
                    if p.symmetric && self.rows.start + rows.start >= first.1 + (j + 1) * micro.cols {
                        continue;
                    }
                    let tile = Tile {
                        rows: rows.len(),
                        cols: micro.cols.min(size.1 - j * micro.cols),
                        k: k.len(),
                        a: a.as_ptr(),
                        b: b[j * k.len() * micro.cols..].as_ptr(),
                        c: c.wrapping_add((self.rows.start + rows.start - first.0) * c_row + j * micro.cols),
                        c_row,
                        alpha: p.alpha,
                        beta,
                    };
                    // SAFETY: what is packed has k.len() steps; the tile lies in this task's part of C, or in `sums`.
                    unsafe { (micro.run)(&tile) };
                }
            }
        }
        if let Some(sums) = sums {
            // SAFETY: this part of C belongs to this task.
            unsafe { p.c.put(first, size, &sums, width, p.beta) };
        }
    }
}
