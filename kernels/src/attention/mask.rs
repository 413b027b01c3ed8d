//! Which pairs of a tile may meet: the causal diagonal and the edge of the window.

use super::AttentionParams;
use super::pack::TILE;
use super::tile::{GRAIN, Product};
use super::units::part;
use crate::planted;
use std::ops::Range;

/// Queries that vector code works on at once; also the step in which products follow the diagonal.
pub(super) const LANES: usize = GRAIN;
/// How many times that is a tile.
pub(super) const BLOCKS: usize = TILE / LANES;
/// A number per query of a block. Scores are (keys, queries): block `b` of key `c` is number `c·BLOCKS + b`.
pub(super) type Block = [f32; LANES];
/// For every query: the first key it sees, and one past the last.
pub(super) type KeyBounds = ([u32; TILE], [u32; TILE]);

/// The pairs (query `first_query + r`, key `first_key + c`) of a tile that are visible.
#[derive(Clone, Copy)]
pub(super) struct Mask {
    /// `first_query − first_key`.
    offset: usize,
    window: usize,
}

impl Mask {
    /// For query tile `i` and key tile `j ≤ i`.
    pub fn new(p: AttentionParams, i: usize, j: usize) -> Mask {
        Mask { offset: (i - j) * TILE, window: p.window.unwrap_or(usize::MAX) }
    }
    /// The query tiles that see anything of key tile `j`, of `tiles` in all.
    pub fn query_tiles(p: AttentionParams, j: usize, tiles: usize) -> Range<usize> {
        let last = (j * TILE + TILE - 1).saturating_add(p.window.unwrap_or(usize::MAX)) / TILE;
        j..tiles.min(last.saturating_add(1))
    }
    /// Does every query see every key?
    pub fn is_full(&self) -> bool {
        self.offset >= TILE && self.offset + TILE - 1 <= self.window
    }
    fn is_diagonal(&self) -> bool {
        self.offset == 0
    }
    /// The keys that query `r` sees.
    fn keys(&self, r: usize) -> Range<usize> {
        let diagonal = self.offset + r;
        let window = planted!("attention.window_off_by_one", self.window => self.window.saturating_sub(1));
        let end = planted!("attention.causal_off_by_one", diagonal + 1 => diagonal + 2);
        diagonal.saturating_sub(window).min(TILE)..end.min(TILE)
    }
    /// The queries that see key `c`.
    fn queries(&self, c: usize) -> Range<usize> {
        let end = c.saturating_add(self.window).saturating_add(1).saturating_sub(self.offset).min(TILE);
        c.saturating_sub(self.offset).min(end)..end
    }

    /// The keys of every query, as vector code compares them.
    pub fn key_bounds(&self) -> KeyBounds {
        let (mut first, mut end) = ([0; TILE], [0; TILE]);
        for r in 0..TILE {
            let keys = self.keys(r);
            (first[r], end[r]) = (keys.start as u32, keys.end as u32);
        }
        (first, end)
    }
    /// How many keys, from the first, the queries of block `block` need weights for: no product reads more.
    pub fn keys_of_block(&self, block: usize) -> usize {
        if self.is_diagonal() { (block + 1) * LANES } else { TILE }
    }
    /// The blocks of queries that key `c` needs weights for: no product reads more.
    #[inline(always)]
    pub fn blocks_of_key(&self, c: usize) -> Range<usize> {
        if self.is_diagonal() { c / LANES..BLOCKS } else { 0..BLOCKS }
    }

    /// `scores = x·y`, (keys, queries), for a tile of rows `x` (TILE, width / TERMS) and one of columns `y` (d / TERMS, TILE). Of a tile on
    /// the diagonal only what the diagonal leaves, and a little beyond; the rest keeps its old values.
    pub fn scores<const TERMS: usize>(
        &self,
        x: &[f32],
        y: &[f32],
        width: usize,
        d: usize,
        scores: &mut [f32],
    ) {
        for keys in self.strips() {
            let first = if self.is_diagonal() { keys.start } else { 0 };
            let (m, n, k, a_step) = (keys.len(), TILE - first, d.div_ceil(TERMS), (width / TERMS, 1));
            let (a, b, c) =
                (&x[keys.start * width / TERMS..], &y[first..], &mut scores[keys.start * TILE + first..]);
            Product { m, n, k, a, a_step, b, b_row: TILE, c, c_row: TILE, add: false }.run::<TERMS>();
        }
    }
    /// `sum += weightsᵀ·y`: for every query, over the keys. `weights` is (keys / TERMS, queries), zero where invisible, `y` is
    /// (TILE / TERMS, width).
    pub fn add_over_keys<const TERMS: usize>(
        &self,
        weights: &[f32],
        y: &[f32],
        width: usize,
        finite: bool,
        sum: &mut [f32],
    ) {
        if !finite && !self.is_full() {
            return careful::<TERMS>(weights, (1, TILE), |r| self.keys(r), y, width, sum);
        }
        for queries in self.strips() {
            let k = if self.is_diagonal() { queries.end } else { TILE } / TERMS;
            let (m, n, a_step) = (queries.len(), width, (1, TILE));
            let (a, c) = (&weights[queries.start..], &mut sum[queries.start * width..]);
            Product { m, n, k, a, a_step, b: y, b_row: width, c, c_row: width, add: true }.run::<TERMS>();
        }
    }
    /// `sum += weights·y`: for every key, over the queries. `weights` is (keys, queries / TERMS), zero where invisible, `y` as
    /// above.
    pub fn add_over_queries<const TERMS: usize>(
        &self,
        weights: &[f32],
        y: &[f32],
        width: usize,
        finite: bool,
        sum: &mut [f32],
    ) {
        if !finite && !self.is_full() {
            return careful::<TERMS>(weights, (TILE / TERMS, 1), |c| self.queries(c), y, width, sum);
        }
        for keys in self.strips() {
            let first = if self.is_diagonal() { keys.start } else { 0 };
            let (m, n, k, a_step) = (keys.len(), width, (TILE - first) / TERMS, (TILE / TERMS, 1));
            let (a, b) = (&weights[(keys.start * TILE + first) / TERMS..], &y[first / TERMS * width..]);
            let c = &mut sum[keys.start * width..];
            Product { m, n, k, a, a_step, b, b_row: width, c, c_row: width, add: true }.run::<TERMS>();
        }
    }
    /// A tile on the diagonal is cut into strips, each computed only as far as the diagonal reaches.
    fn strips(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let step = if self.is_diagonal() { LANES } else { TILE };
        (0..TILE).step_by(step).map(move |first| first..first + step)
    }
}

/// `sum[i] += Σ weights[i, p]·y[p]` over the visible p alone. In a product over all p an invisible pair adds 0·y, which is
/// NaN if y is infinite or NaN: this slow loop keeps such a row away from those that must not see it.
fn careful<const TERMS: usize>(
    weights: &[f32],
    step: (usize, usize),
    visible: impl Fn(usize) -> Range<usize>,
    y: &[f32],
    width: usize,
    sum: &mut [f32],
) {
    for (i, sum) in sum.chunks_exact_mut(width).take(TILE).enumerate() {
        for p in visible(i) {
            let unit = p / TERMS;
            let weight = part::<TERMS>(weights[i * step.0 + unit * step.1], p);
            for (s, y) in sum.iter_mut().zip(&y[unit * width..]) {
                *s += weight * part::<TERMS>(*y, p);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_agree_with_the_definition_pair_by_pair() {
        for window in [None, Some(0), Some(1), Some(63), Some(64), Some(65), Some(100), Some(300)] {
            let p = AttentionParams { scale: 1.0, window };
            for j in 0..4 {
                let tiles = Mask::query_tiles(p, j, 4);
                for i in j..4 {
                    let mask = Mask::new(p, i, j);
                    let visible = |r: usize, c: usize| p.visible(i * TILE + r).contains(&(j * TILE + c));
                    let pairs = || (0..TILE).flat_map(|r| (0..TILE).map(move |c| (r, c)));
                    assert!(pairs().all(|(r, c)| mask.keys(r).contains(&c) == visible(r, c)));
                    assert!(pairs().all(|(r, c)| mask.queries(c).contains(&r) == visible(r, c)));
                    let (first, end) = mask.key_bounds();
                    assert!((0..TILE).all(|r| (first[r] as usize..end[r] as usize) == mask.keys(r)));
                    assert_eq!(mask.is_full(), pairs().all(|(r, c)| visible(r, c)));
                    assert_eq!(tiles.contains(&i), pairs().any(|(r, c)| visible(r, c)), "{window:?} {i} {j}");
                }
            }
        }
    }
}
