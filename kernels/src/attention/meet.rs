//! Gradients of a tile of queries and a chunk of keys: weights are computed once more from `lse`; five products per pair of tiles.
//!
//! `s = k·qᵀ` and `dp = v·doᵀ` give `p = exp(scale·s − lse)` and `ds = scale·p·(dp − δ)`; then `dv += p·do`, `dk += ds·q`
//! and `dq += dsᵀ·k`. Scores are (keys, queries), as in the forward pass. In pairs of bf16 p and ds are rounded once, after
//! ds was computed from the p that was not, and written as each product reads them: neighbouring queries paired for dk and
//! dv, neighbouring keys for dq.

use super::AttentionParams;
use super::mask::{BLOCKS, Block, LANES, Mask};
use super::pack::{Head, TILE, padded, transpose_tile};
use super::units::{all_finite, halves_mut, pair, scale_pairs};
use crate::fast_math::exp_flushed_f32;
use crate::{Bf16, Float, planted, simd};
use std::ops::Range;

type Input<'a, T> = (&'a [T], Head);

/// The key tiles `tiles` of a head.
pub(super) struct Keys<'a, T> {
    pub k: Input<'a, T>,
    pub v: Input<'a, T>,
    pub p: AttentionParams,
    pub tiles: Range<usize>,
}

/// A query head; `do` is multiplied by `lift`, and with it all results are.
pub(super) struct Queries<'a, T> {
    pub q: Input<'a, T>,
    pub o: Input<'a, T>,
    pub d_o: Input<'a, T>,
    pub lse: &'a [f32],
    pub lift: f32,
}

/// A tile of units, packed for all products that it is an operand of.
struct Packed<'a> {
    /// (TILE, width / TERMS)
    rows: &'a mut [f32],
    /// (TILE / TERMS, width). Not there where it would be the same as `rows`.
    stacks: &'a mut [f32],
}

impl Packed<'_> {
    fn pack<T: Float, const TERMS: usize>(&mut self, (data, head): Input<T>, tile: usize) {
        head.pack_rows::<T, TERMS>(data, tile, self.rows);
        if TERMS > 1 {
            head.pack_stacks::<T, TERMS>(data, tile, self.stacks);
        }
    }
    fn stacks<const TERMS: usize>(&self) -> &[f32] {
        if TERMS > 1 { self.stacks } else { self.rows }
    }
}

/// Per-thread memory of one task.
pub(super) struct Scratch<'a> {
    /// Result: (TILE, width), f32.
    pub dq: &'a mut [f32],
    /// All key tiles, one after the other.
    k: Packed<'a>,
    v: &'a mut [f32],
    q: Packed<'a>,
    d_o: Packed<'a>,
    /// (D / TERMS, TILE)
    q_columns: &'a mut [f32],
    d_o_columns: &'a mut [f32],
    weights: Weights<'a>,
}

/// What becomes of the scores of a pair of tiles, (keys, queries).
struct Weights<'a> {
    /// s, then, if units are single numbers, p.
    p: &'a mut [f32],
    /// dp, then likewise ds.
    ds: &'a mut [f32],
    /// Pairs of neighbouring queries, (TILE, TILE / 2).
    p_rows: &'a mut [f32],
    ds_rows: &'a mut [f32],
    /// Pairs of neighbouring keys, (TILE / 2, TILE).
    ds_stacks: &'a mut [f32],
}

impl<'a> Scratch<'a> {
    /// Lengths of its pieces, for head dimension `d` and so many key tiles.
    fn sizes<const TERMS: usize>(d: usize, keys: usize) -> [usize; 14] {
        let (tile, scores) = (TILE * padded(d), TILE * TILE);
        let (packed, columns) = (tile / TERMS, d.div_ceil(TERMS) * TILE);
        let (stacks, pairs) = if TERMS > 1 { (packed, scores / 2) } else { (0, 0) };
        let (k, k_stacks) = (keys * packed, keys * stacks);
        [
            tile,
            k,
            k_stacks,
            k,
            packed,
            stacks,
            packed,
            stacks,
            columns,
            columns,
            scores,
            scores,
            pairs,
            2 * pairs,
        ]
    }
    /// Floats of all of it.
    pub fn size<const TERMS: usize>(d: usize, keys: usize) -> usize {
        Self::sizes::<TERMS>(d, keys).iter().sum()
    }
    /// Cut `memory` into pieces.
    pub fn new<const TERMS: usize>(memory: &'a mut [f32], d: usize, keys: usize) -> Scratch<'a> {
        let mut rest = memory;
        let pieces = Self::sizes::<TERMS>(d, keys).map(|size| rest.split_off_mut(..size).unwrap_or_default());
        let [dq, k, k_stacks, v, q, q_stacks, d_o, d_o_stacks, q_columns, d_o_columns, p, ds, p_rows, pairs] =
            pieces;
        let (ds_rows, ds_stacks) = pairs.split_at_mut(pairs.len() / 2);
        Scratch {
            dq,
            k: Packed { rows: k, stacks: k_stacks },
            v,
            q: Packed { rows: q, stacks: q_stacks },
            d_o: Packed { rows: d_o, stacks: d_o_stacks },
            q_columns,
            d_o_columns,
            weights: Weights { p, ds, p_rows, ds_rows, ds_stacks },
        }
    }
}

impl<T: Float> Keys<'_, T> {
    /// Pack all tiles.
    pub fn pack<const TERMS: usize>(&self, s: &mut Scratch) {
        let packed = TILE * padded(self.k.1.d) / TERMS;
        for (at, j) in self.tiles.clone().enumerate() {
            let (part, stacks) = (at * packed, if TERMS > 1 { at * packed } else { 0 });
            let (rows, stacks) = (&mut s.k.rows[part..][..packed], &mut s.k.stacks[stacks..]);
            let stacks_len = packed.min(stacks.len());
            Packed { rows, stacks: &mut stacks[..stacks_len] }.pack::<T, TERMS>(self.k, j);
            self.v.1.pack_rows::<T, TERMS>(self.v.0, j, &mut s.v[part..][..packed]);
        }
    }

    /// Query tile `i`: its part of dq from these keys, and its part of dk and dv, (tiles·TILE, padded D), added.
    pub fn meet<const TERMS: usize>(
        &self,
        queries: &Queries<T>,
        i: usize,
        s: &mut Scratch,
        dk: &mut [f32],
        dv: &mut [f32],
    ) {
        let (d, width) = (self.k.1.d, padded(self.k.1.d));
        let (tile, units) = (TILE * width, d.div_ceil(TERMS));
        s.q.pack::<T, TERMS>(queries.q, i);
        s.d_o.pack::<T, TERMS>(queries.d_o, i);
        for x in [&mut *s.d_o.rows, &mut *s.d_o.stacks] {
            scale_pairs(x, queries.lift);
        }
        transpose_tile(s.q.rows, width / TERMS, units, s.q_columns);
        transpose_tile(s.d_o.rows, width / TERMS, units, s.d_o_columns);
        let statistics = queries.statistics(i);
        let finite = all_finite::<TERMS>(s.q.rows) && all_finite::<TERMS>(s.d_o.rows);
        let [k_stacks, q, d_o] = [&s.k, &s.q, &s.d_o].map(|x| x.stacks::<TERMS>());
        s.dq.fill(0.0);
        let first = (self.p.visible(i * TILE).start() / TILE).max(self.tiles.start);
        for j in first..self.tiles.end.min(i + 1) {
            let at = j - self.tiles.start;
            let mask = Mask::new(self.p, i, j);
            let packed = at * tile / TERMS..(at + 1) * tile / TERMS;
            let finite = mask.is_full() || finite && all_finite::<TERMS>(&s.k.rows[packed.clone()]);
            mask.scores::<TERMS>(&s.k.rows[packed.clone()], s.q_columns, width, d, s.weights.p);
            mask.scores::<TERMS>(&s.v[packed.clone()], s.d_o_columns, width, d, s.weights.ds);
            s.weights.make::<TERMS>(&mask, self.p.scale, &statistics);
            let w = &s.weights;
            let [p, ds, ds_over_keys] =
                if TERMS > 1 { [&*w.p_rows, &*w.ds_rows, &*w.ds_stacks] } else { [&*w.p, &*w.ds, &*w.ds] };
            let sums = at * tile..(at + 1) * tile;
            mask.add_over_queries::<TERMS>(p, d_o, width, finite, &mut dv[sums.clone()]);
            mask.add_over_queries::<TERMS>(ds, q, width, finite, &mut dk[sums]);
            mask.add_over_keys::<TERMS>(ds_over_keys, &k_stacks[packed], width, finite, s.dq);
        }
    }
}

/// `lse` and `δ = do·o` of the queries of a tile.
struct Statistics {
    lse: [Block; BLOCKS],
    delta: [Block; BLOCKS],
}

impl<T: Float> Queries<'_, T> {
    /// Queries past the end get an infinite lse, which makes their weights zero.
    fn statistics(&self, tile: usize) -> Statistics {
        let mut s = Statistics { lse: [[f32::INFINITY; LANES]; BLOCKS], delta: [[0.0; LANES]; BLOCKS] };
        for (r, t) in (tile * TILE..self.lse.len()).take(TILE).enumerate() {
            s.lse[r / LANES][r % LANES] = self.lse[t];
            let delta = dot(self.d_o.1.of(self.d_o.0, t), self.o.1.of(self.o.0, t), self.lift);
            s.delta[r / LANES][r % LANES] = planted!("attention.delta_forgotten", delta => 0.0);
        }
        s
    }
}

impl Weights<'_> {
    /// From q·k and do·v: `p = exp(scale·q·k − lse)` and `ds = scale·p·(do·v − δ)`, zero for pairs that do not see each
    /// other.
    fn make<const TERMS: usize>(&mut self, mask: &Mask, scale: f32, s: &Statistics) {
        let (p, _) = self.p.as_chunks_mut::<LANES>();
        let (ds, _) = self.ds.as_chunks_mut::<LANES>();
        let (p_rows, _) = halves_mut(self.p_rows).as_chunks_mut::<LANES>();
        let (ds_rows, _) = halves_mut(self.ds_rows).as_chunks_mut::<LANES>();
        let (ds_stacks, _) = self.ds_stacks.as_chunks_mut::<LANES>();
        let (first, end) = mask.key_bounds();
        let (first, end) = (first.as_chunks::<LANES>().0, end.as_chunks::<LANES>().0);
        simd::vectorize(
            #[inline(always)]
            || {
                for c in 0..TILE {
                    for block in mask.blocks_of_key(c) {
                        let (at, key) = (c * BLOCKS + block, c as u32);
                        let (first, end) = (&first[block], &end[block]);
                        // Copies: what is read and what is written must not look as if they could overlap.
                        let (scores, d_weights) = (p[at], ds[at]);
                        let (lse, delta) = (s.lse[block], s.delta[block]);
                        let (mut w, mut d_scores) = ([0.0; LANES], [0.0; LANES]);
                        for i in 0..LANES {
                            let visible = (key >= first[i]) & (key < end[i]);
                            let weight = exp_flushed_f32(scale * scores[i] - lse[i]);
                            w[i] = if visible { weight } else { 0.0 };
                            let d_score = (weight * (d_weights[i] - delta[i])) * scale;
                            d_scores[i] = if visible { d_score } else { 0.0 };
                        }
                        if TERMS == 1 {
                            (p[at], ds[at]) = (w, d_scores);
                            continue;
                        }
                        p_rows[at] = w.map(Bf16::from_f32);
                        let halves = d_scores.map(Bf16::from_f32);
                        ds_rows[at] = halves;
                        let stack = &mut ds_stacks[c / 2 * BLOCKS + block];
                        for i in 0..LANES {
                            let below = Bf16(stack[i].to_bits() as u16);
                            stack[i] =
                                if c % 2 == 0 { pair(halves[i], Bf16(0)) } else { pair(below, halves[i]) };
                        }
                    }
                }
            },
        );
    }
}

/// `(factor·x)·y` in sixteen interleaved partial sums.
fn dot<T: Float>(x: &[T], y: &[T], factor: f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    simd::vectorize(
        #[inline(always)]
        || {
            for (x, y) in x.chunks(16).zip(y.chunks(16)) {
                for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
                    *lane += x.to_f32() * factor * y.to_f32();
                }
            }
        },
    );
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}
