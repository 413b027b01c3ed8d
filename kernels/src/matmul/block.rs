//! Blocking: cutting the product so that what the innermost kernel reads is packed and close by.
//!
//! The scheme goes back to Goto & van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"):
//!
//! - the operand with fewer lanes is *shared*: a panel of it, up to four megabytes, is packed once, by all threads, into
//!   the third-level cache, and read by all;
//! - the lanes of the other one are *private*: a task packs some of them just before it uses them, so many that they fill a
//!   part of its second-level cache. The panel then streams past them, tile after tile, and each tile that comes from afar
//!   meets all private ones. While one thread packs, waiting for memory, the other one may compute;
//! - a panel is up to four blocks of K deep. Sums over a block are formed in registers, and added to the blocks before in
//!   ascending order. Between the blocks of a panel they wait in the first-level cache; C is seen once per panel.
//!
//! Only the blocks of K influence the bits, and they depend on K alone. Everything else may be cut as is fastest.

use super::kernel::{Micro, Place, Tile};
use super::pack::{Cut, Side};
use super::strided::{Lanes, Target};
use super::{pool, skinny};
use crate::par::{self, SharedPtr};
use crate::planted;
use std::ops::Range;

/// Longest block of K, in units.
const K_BLOCK: usize = 256;
/// Blocks in a panel.
const PANEL_BLOCKS: usize = 4;
/// Units in a packed panel, about: 4 MiB.
const PANEL: usize = 1 << 20;
/// Units in what a task packs for itself, at most: 384 KiB.
const PRIVATE: usize = 96 << 10;
/// Tasks per thread to cut a panel into, if there is enough to do for each.
const TASKS: usize = 4;
/// Multiply-adds worth a task of their own.
const TASK_WORK: usize = 1 << 21;
/// Multiply-adds below which threads are not worth waking.
const SERIAL_WORK: usize = 1 << 18;
/// Units that one task packs of a panel, about.
const PACK_WORK: usize = 1 << 16;

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

/// The blocks in which sums over K are formed: nearly equal, whole multiples of 16 units but for the last.
pub(super) fn k_blocks(k: usize, terms: usize) -> impl Iterator<Item = Range<usize>> {
    let longest = planted!("matmul.blocks_follow_the_threads", K_BLOCK => K_BLOCK / par::threads()) * terms;
    let block = k.div_ceil(k.div_ceil(longest).max(1)).next_multiple_of(16 * terms).max(16 * terms);
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
    let blocks: Vec<_> = k_blocks(p.a.k, micro.terms).collect();
    let panels = blocks.len().div_ceil(PANEL_BLOCKS);
    let Some(c) = p.c.place() else {
        // The kernel cannot write there.
        let mut sums = pool::take(m * n);
        // SAFETY: nobody else knows the buffer.
        let c = unsafe { Target::from_raw(sums.as_mut_ptr(), m * n, (m, n), n, 1) };
        run(Product { c, beta: 0.0, ..p }, micro, parallel);
        // SAFETY: nobody else has the target.
        return unsafe { p.c.put((0, 0), (m, n), &sums, n, p.beta) };
    };
    if let Some(stream) = skinny::stream(&p, micro) {
        return skinny::run(&p, (micro, stream), c, &blocks, parallel);
    }
    // Sums that wait for the next panel do so in f32.
    let mut waiting = pool::take(if c.is_narrow() && panels > 1 { m * n } else { 0 });
    let waiting =
        if c.is_narrow() { Place { address: waiting.as_mut_ptr().cast(), row: n, bytes: 4 } } else { c };
    let (rows, cols) = (Side::rows(p.a, micro), Side::cols(p.b, micro));
    let rows_are_shared = m < n;
    let shared = if rows_are_shared { rows } else { cols };
    let units = p.a.k.div_ceil(micro.terms).min(PANEL_BLOCKS * K_BLOCK);
    let parts = Cut::new(shared.tiles(), (shared.tiles() * shared.distance(units)).div_ceil(PANEL));
    for part in 0..parts.parts {
        for (index, blocks) in blocks.chunks(PANEL_BLOCKS).enumerate() {
            let old = if index == 0 { (c, p.beta) } else { (waiting, 1.0) };
            let new = if index + 1 == panels { c } else { waiting };
            let shared = parts.part(part);
            Panel { p: &p, micro, rows, cols, rows_are_shared, shared, blocks, old, new }.run(parallel);
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

/// Sums between two blocks of K.
#[repr(C, align(64))]
struct Waiting([f32; 512]);

/// One tile over several blocks of K, given by their units: `new = alpha · sum + beta · old`. `run` is called for each block.
pub(super) fn chain(
    micro: &Micro,
    mut tile: Tile,
    blocks: impl ExactSizeIterator<Item = usize>,
    mut run: impl FnMut(&Tile, usize),
) {
    let mut waiting = std::mem::MaybeUninit::<Waiting>::uninit();
    let waiting = Place { address: waiting.as_mut_ptr().cast(), row: 32, bytes: 4 };
    assert!(tile.rows <= 16 && tile.cols <= waiting.row);
    let (last, new, beta) = (blocks.len() - 1, tile.new, tile.beta);
    for (index, units) in blocks.enumerate() {
        tile.units = units;
        tile.new = if index == last { new } else { waiting };
        run(&tile, index);
        tile.a = tile.a.wrapping_add(units * micro.lanes);
        tile.b = tile.b.wrapping_add(units * micro.cols);
        tile.old = waiting;
        tile.beta =
            planted!("matmul.block_of_k_lost", planted!("matmul.beta_at_every_block", 1.0 => beta) => 0.0);
    }
}

/// Some lanes of the shared operand over some blocks of K, times all lanes of the other one: what is packed at one time.
struct Panel<'a> {
    p: &'a Product<'a>,
    micro: &'a Micro,
    rows: Side<'a>,
    cols: Side<'a>,
    rows_are_shared: bool,
    /// Tiles of the shared side.
    shared: Range<usize>,
    blocks: &'a [Range<usize>],
    /// All of C before, and its factor.
    old: (Place, f32),
    /// All of C after.
    new: Place,
}

impl Panel<'_> {
    fn run(&self, parallel: bool) {
        let k = self.blocks[0].start..self.blocks[self.blocks.len() - 1].end;
        let units = k.len().div_ceil(self.micro.terms);
        let (shared, private) = match self.rows_are_shared {
            true => (&self.rows, &self.cols),
            false => (&self.cols, &self.rows),
        };
        let mut packed = pool::take(self.shared.len() * shared.distance(units));
        let groups = Cut::new(self.shared.len(), (packed.len() / PACK_WORK).clamp(1, self.shared.len()));
        let all = SharedPtr::new(&mut packed);
        each(parallel, groups.parts, |task| {
            let group = groups.part(task);
            let (at, len) = (group.start * shared.distance(units), group.len() * shared.distance(units));
            // SAFETY: each group of tiles has its own part of the buffer, and one task.
            let dst = unsafe { std::slice::from_raw_parts_mut(all.get().add(at), len) };
            let tiles = self.shared.start + group.start..self.shared.start + group.end;
            shared.pack(self.micro, tiles, k.clone(), dst);
        });
        let chunks = Cut::new(private.tiles(), self.tasks(private, units, parallel));
        each(parallel, chunks.parts, |task| {
            let pair = |i: usize| if i.is_multiple_of(2) { i / 2 } else { chunks.parts - 1 - i / 2 };
            // Of a symmetric product the first tasks are the longest.
            let chunk = chunks.part(if self.p.symmetric { pair(task) } else { task });
            let mut own = pool::take(chunk.len() * private.distance(units));
            private.pack(self.micro, chunk.clone(), k.clone(), &mut own);
            self.tiles(&packed, &own, chunk, units);
        });
    }

    /// How many tasks to make of the private side.
    fn tasks(&self, private: &Side<'_>, units: usize, parallel: bool) -> usize {
        let tiles = private.tiles();
        let fit = tiles.div_ceil((PRIVATE / private.distance(units)).max(1));
        if !parallel {
            return fit;
        }
        let threads = par::threads();
        let lanes = self.shared.len() * if self.rows_are_shared { self.rows.width } else { self.cols.width };
        let work = lanes * private.lanes.count * units;
        // As many for each thread, so that all are done at the same time.
        fit.max((work / TASK_WORK).min(TASKS * threads)).max(1).next_multiple_of(threads).min(tiles)
    }

    /// The tiles where packed panel and packed private lanes meet.
    fn tiles(&self, shared: &[f32], private: &[f32], chunk: Range<usize>, units: usize) {
        let (rows, cols) = (&self.rows, &self.cols);
        for s in 0..self.shared.len() {
            for t in 0..chunk.len() {
                let (i, j, a, b) = match self.rows_are_shared {
                    true => (
                        self.shared.start + s,
                        chunk.start + t,
                        &shared[s * rows.distance(units)..],
                        &private[t * cols.distance(units)..],
                    ),
                    false => (
                        chunk.start + t,
                        self.shared.start + s,
                        &private[t * rows.distance(units)..],
                        &shared[s * cols.distance(units)..],
                    ),
                };
                let (r, c) = (rows.of_tiles(&(i..i + 1)), cols.of_tiles(&(j..j + 1)));
                if self.p.symmetric && r.start >= c.end {
                    continue;
                }
                let tile = Tile {
                    rows: r.len(),
                    cols: c.len(),
                    units: 0,
                    a: a.as_ptr(),
                    b: b.as_ptr(),
                    old: self.old.0.from(r.start, c.start),
                    new: self.new.from(r.start, c.start),
                    alpha: self.p.alpha,
                    beta: self.old.1,
                };
                let blocks = self.blocks.iter().map(|k| k.len().div_ceil(self.micro.terms));
                // SAFETY: what is packed has so many units; this part of C belongs to this task.
                chain(self.micro, tile, blocks, |tile, _| unsafe { (self.micro.run)(tile) });
            }
        }
    }
}
