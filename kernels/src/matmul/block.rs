//! Blocking: cutting the product so that what the innermost kernel reads is packed and close by.
//!
//! C is cut into as many rectangles as there are threads, and each of them is computed by one thread that packs for itself
//! all it needs. Two threads thus pack the lanes of one operand twice. Sharing them would save a few percent where the
//! threads have a third-level cache in common; where they do not, packing into memory that the other one has just read
//! costs several times as much as packing twice.
//!
//! The scheme inside a rectangle goes back to Goto & van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"):
//!
//! - of the operand with fewer lanes a *panel* of up to four megabytes is packed, into the third-level cache;
//! - of the lanes of the other one, *near* ones are packed just before they are used, so many that they fill a part of the
//!   second-level cache. The panel then streams past them, tile after tile, and each tile that comes from afar meets all
//!   near ones;
//! - a panel is up to four blocks of K deep. Sums over a block are formed in registers, and added to the blocks before in
//!   ascending order. Between the blocks of a panel they wait in the first-level cache; C is seen once per panel.
//!
//! Only the blocks of K influence the bits, and they depend on K alone. Everything else may be cut as is fastest.

use super::kernel::{Micro, Place, Tile};
use super::pack::{Cut, Side};
use super::strided::{Lanes, Target};
use super::{pool, skinny};
use crate::par;
use crate::planted;
use std::cmp::Reverse;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Longest block of K, in units.
const K_BLOCK: usize = 256;
/// Blocks in a panel.
const PANEL_BLOCKS: usize = 4;
/// Units in a packed panel, about: 4 MiB.
const PANEL: usize = 1 << 20;
/// Units in what is packed of the near lanes, at most: 384 KiB.
const NEAR: usize = 96 << 10;
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
    /// C is a part of a symmetric matrix, the one that begins at this row and column: tiles below the diagonal may be left out.
    pub symmetric: Option<(usize, usize)>,
}

impl Product<'_> {
    /// Some rows and columns of it.
    fn part(&self, rows: Range<usize>, cols: Range<usize>) -> Self {
        let symmetric = self.symmetric.map(|(i, j)| (i + rows.start, j + cols.start));
        let (a, b) = (self.a.part(rows.clone()), self.b.part(cols.clone()));
        Product { a, b, c: self.c.part(rows, cols), symmetric, ..*self }
    }
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
    if p.c.row == 1 && m > 1 && p.symmetric.is_none() && (p.c.col != 1 || n == 1) {
        // C is the transpose of a row-major matrix, and Cᵀ = Bᵀ·Aᵀ.
        p = Product { a: p.b, b: p.a, c: p.c.t(), ..p };
    }
    let (m, n) = p.c.size;
    let parallel = parallel && m * n * p.a.k >= SERIAL_WORK;
    let blocks: Vec<_> = k_blocks(p.a.k, micro.terms).collect();
    if let (Some(stream), Some(c)) = (skinny::stream(&p, micro), p.c.place()) {
        return skinny::run(&p, (micro, stream), c, &blocks, parallel);
    }
    let tiles = (m.div_ceil(micro.rows), n.div_ceil(micro.cols));
    let threads = if parallel { par::threads() } else { 1 };
    let cols = |tiles: Range<usize>| tiles.start * micro.cols..(tiles.end * micro.cols).min(n);
    if p.symmetric.is_some() {
        // Columns of a triangle: as many elements for each.
        let edge = |i: usize| ((i as f64 / threads as f64).sqrt() * tiles.1 as f64).round() as usize;
        return each(parallel, threads, |task| {
            let cols = cols(edge(task)..edge(task + 1));
            part(&p.part(0..cols.end.min(m), cols), micro, &blocks);
        });
    }
    let (tall, wide) = grid(tiles, threads);
    let (tall, wide) = (Cut::new(m, tall), Cut::new(tiles.1, wide));
    each(parallel, tall.parts * wide.parts, |task| {
        let (rows, tiles) = (tall.part(task / wide.parts), wide.part(task % wide.parts));
        part(&p.part(rows, cols(tiles)), micro, &blocks);
    });
}

/// Rows and columns of rectangles to cut C into, which has so many tiles: one for each thread if there are enough tiles,
/// with the least to pack.
fn grid((tall, wide): (usize, usize), threads: usize) -> (usize, usize) {
    // A tile is about twice as wide as high.
    let packed = |&(rows, cols): &(usize, usize)| tall.div_ceil(rows) + 2 * wide.div_ceil(cols);
    let ways = (1..=threads).map(|rows| (rows.min(tall), (threads / rows).min(wide)));
    ways.max_by_key(|way| (way.0 * way.1, Reverse(packed(way)))).unwrap_or((1, 1))
}

/// A part of the product, by one thread.
fn part(p: &Product<'_>, micro: &Micro, blocks: &[Range<usize>]) {
    let (m, n) = p.c.size;
    if m == 0 || n == 0 {
        return;
    }
    let panels = blocks.len().div_ceil(PANEL_BLOCKS);
    let direct = p.c.place();
    // Sums that wait for the next panel do so in f32 and side by side.
    let waits_in_c = direct.is_some_and(|c| !c.is_narrow());
    let mut sums = pool::take(if waits_in_c || panels == 1 { 0 } else { m * n });
    let sums = Place { address: sums.as_mut_ptr().cast(), row: n, bytes: 4 };
    let waiting = direct.filter(|_| waits_in_c).unwrap_or(sums);
    let (rows, cols) = (Side::rows(p.a, micro), Side::cols(p.b, micro));
    let far_rows = m < n;
    let far = if far_rows { rows } else { cols };
    let units = p.a.k.div_ceil(micro.terms).min(PANEL_BLOCKS * K_BLOCK);
    let parts = Cut::new(far.tiles(), (far.tiles() * far.distance(units)).div_ceil(PANEL));
    for far in (0..parts.parts).map(|i| parts.part(i)) {
        for (index, blocks) in blocks.chunks(PANEL_BLOCKS).enumerate() {
            let old = match (index, direct) {
                (0, Some(c)) => (c, p.beta),
                (0, None) => (waiting, 0.0),
                _ => (waiting, 1.0),
            };
            let new = if index + 1 == panels { direct } else { Some(waiting) };
            Panel { p, micro, rows, cols, far_rows, far: far.clone(), blocks, old, new }.run();
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

/// The sums of a tile.
#[repr(C, align(64))]
pub(super) struct Sums(pub [f32; 16 * Sums::ROW]);

impl Sums {
    /// Elements from row to row.
    pub const ROW: usize = 32;
    /// All zero.
    pub fn zeros() -> Sums {
        Sums([0.0; 16 * Sums::ROW])
    }
    /// Where they are.
    pub fn place(&mut self) -> Place {
        Place { address: self.0.as_mut_ptr().cast(), row: Self::ROW, bytes: 4 }
    }
}

/// One tile over several blocks of K, given by their units: `new = alpha · sum + beta · old`. `run` is called for each block.
pub(super) fn chain(
    micro: &Micro,
    mut tile: Tile,
    blocks: impl ExactSizeIterator<Item = usize>,
    mut run: impl FnMut(&Tile, usize),
) {
    let mut waiting = MaybeUninit::<Sums>::uninit();
    let waiting = Place { address: waiting.as_mut_ptr().cast(), row: Sums::ROW, bytes: 4 };
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

/// Some lanes of the far operand over some blocks of K, times all lanes of the other one.
struct Panel<'a> {
    p: &'a Product<'a>,
    micro: &'a Micro,
    rows: Side<'a>,
    cols: Side<'a>,
    /// Are the far lanes rows of A, or columns of B?
    far_rows: bool,
    /// Their tiles.
    far: Range<usize>,
    blocks: &'a [Range<usize>],
    /// All of C before, and its factor.
    old: (Place, f32),
    /// All of C after; nothing if only [`Target::put`] can write there.
    new: Option<Place>,
}

impl Panel<'_> {
    fn run(&self) {
        let k = self.blocks[0].start..self.blocks[self.blocks.len() - 1].end;
        let units = k.len().div_ceil(self.micro.terms);
        let (far, near) = if self.far_rows { (&self.rows, &self.cols) } else { (&self.cols, &self.rows) };
        let mut packed = pool::take(self.far.len() * far.distance(units));
        far.pack(self.micro, self.far.clone(), k.clone(), &mut packed);
        let most = (NEAR / near.distance(units)).max(1);
        let chunks = Cut::new(near.tiles(), near.tiles().div_ceil(most));
        let mut own = pool::take(most * near.distance(units));
        for chunk in (0..chunks.parts).map(|i| chunks.part(i)) {
            near.pack(self.micro, chunk.clone(), k.clone(), &mut own);
            self.tiles(&packed, &own, chunk, units);
        }
    }

    /// The tiles where the packed panel and packed near lanes meet.
    fn tiles(&self, far: &[f32], near: &[f32], chunk: Range<usize>, units: usize) {
        let (rows, cols) = (&self.rows, &self.cols);
        for s in 0..self.far.len() {
            for t in 0..chunk.len() {
                let (f, n) = (self.far.start + s, chunk.start + t);
                let (i, j, a, b) = match self.far_rows {
                    true => (f, n, &far[s * rows.distance(units)..], &near[t * cols.distance(units)..]),
                    false => (n, f, &near[t * rows.distance(units)..], &far[s * cols.distance(units)..]),
                };
                self.tile(rows.of_tiles(&(i..i + 1)), cols.of_tiles(&(j..j + 1)), a, b);
            }
        }
    }

    /// One tile, given its lanes.
    fn tile(&self, rows: Range<usize>, cols: Range<usize>, a: &[f32], b: &[f32]) {
        if self.p.symmetric.is_some_and(|(i, j)| i + rows.start >= j + cols.end) {
            return;
        }
        let mut scratch = None;
        let here = |place: Place| place.from(rows.start, cols.start);
        let tile = Tile {
            rows: rows.len(),
            cols: cols.len(),
            units: 0,
            a: a.as_ptr(),
            b: b.as_ptr(),
            old: here(self.old.0),
            new: match self.new {
                Some(new) => here(new),
                None => scratch.insert(Sums::zeros()).place(),
            },
            alpha: self.p.alpha,
            beta: self.old.1,
        };
        let blocks = self.blocks.iter().map(|k| k.len().div_ceil(self.micro.terms));
        // SAFETY: what is packed has so many units; this part of C belongs to this thread.
        chain(self.micro, tile, blocks, |tile, _| unsafe { (self.micro.run)(tile) });
        if let Some(Sums(sums)) = &scratch {
            let (at, size) = ((rows.start, cols.start), (rows.len(), cols.len()));
            // SAFETY: as above.
            unsafe { self.p.c.put(at, size, sums, Sums::ROW, self.p.beta) };
        }
    }
}
