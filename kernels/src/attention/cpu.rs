//! Attention on the CPU: tiles of 64 queries × 64 keys and an online softmax (Milakov & Gimelshein 2018,
//! arXiv:1805.02867).
//!
//! A task takes one head and up to eight query tiles. Key tiles pass from left to right, each packed once for all of the
//! task's queries; tiles beyond the diagonal or outside the window are skipped. Per query three things are carried along:
//! the largest score so far, and Σ exp and Σ exp·v relative to it. When a larger score comes, both sums shrink by the
//! difference. Only tiles that the diagonal or the window's edge cuts are masked. Memory: O(64·8·D) per thread.
//!
//! Scores are kept as (keys, queries): a query is then a vector lane, and the maximum and the sum over its keys are plain
//! element-by-element loops, with nothing to reduce inside a vector.
//!
//! bf16 is widened to f32, or multiplied in pairs where the machine can (`units.rs`). Then Σ exp·v has its weights rounded to
//! bf16 (they are at most 1, so by 2⁻⁹ of themselves); Σ exp, and with it lse, has them as they are.
//! Read next: `mask.rs` for what is skipped, `tile.rs` for the products, `backward.rs`.

use super::mask::{BLOCKS, Block, LANES, Mask};
use super::pack::{Head, TILE, padded, transpose_tile, with_scratch};
use super::units::{all_finite, in_pairs, lift, pair, scale_pairs};
use super::{Attention, AttentionParams, Shape, backward};
use crate::check::host;
use crate::fast_math::exp_flushed_f32;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, portable, simd};
use std::ops::Range;

impl Attention for Cpu {
    fn attention_fwd(
        &self,
        q: View,
        k: View,
        v: View,
        p: AttentionParams,
        mut o: ViewMut,
        mut lse: ViewMut,
    ) -> Result<()> {
        match q.dtype() {
            DType::Bf16 if in_pairs::<Bf16>() => forward::<Bf16, 2>(&q, &k, &v, p, &mut o, &mut lse),
            DType::Bf16 => forward::<Bf16, 1>(&q, &k, &v, p, &mut o, &mut lse),
            _ => forward::<f32, 1>(&q, &k, &v, p, &mut o, &mut lse),
        }
    }
    fn attention_bwd(
        &self,
        inputs: [View; 6],
        p: AttentionParams,
        mut outputs: [ViewMut; 3],
        accumulate: bool,
    ) -> Result<()> {
        match inputs[0].dtype() {
            DType::Bf16 if in_pairs::<Bf16>() => {
                backward::backward::<Bf16, 2>(&inputs, p, &mut outputs, accumulate)
            }
            DType::Bf16 => backward::backward::<Bf16, 1>(&inputs, p, &mut outputs, accumulate),
            _ => backward::backward::<f32, 1>(&inputs, p, &mut outputs, accumulate),
        }
    }
}

/// Query tiles per task.
const CHUNK: usize = 8;

fn forward<T: Float, const TERMS: usize>(
    q: &View,
    k: &View,
    v: &View,
    p: AttentionParams,
    o: &mut ViewMut,
    lse: &mut ViewMut,
) -> Result<()> {
    const OP: &str = "attention_fwd";
    let s = Shape::new(q.dims(), k.dims());
    if o.numel() == 0 {
        lse_of_nothing(&s, host(OP, "lse", lse.as_mut_slice::<f32>())?, p);
        return Ok(());
    }
    let (q_layout, k_layout, v_layout, o_layout) = (*q.layout(), *k.layout(), *v.layout(), *o.layout());
    let q = host(OP, "q", q.base::<T>())?;
    let (k, v) = (host(OP, "k", k.base::<T>())?, host(OP, "v", v.base::<T>())?);
    let o = par::SharedPtr::new(host(OP, "o", o.base_mut::<T>())?);
    let lse = par::SharedPtr::new(host(OP, "lse", lse.as_mut_slice::<f32>())?);
    let tiles = s.t.div_ceil(TILE);
    let chunks = tiles.div_ceil(CHUNK);
    par::for_each_task(s.b * s.h * chunks, |task| {
        // Later chunks see more keys: the long tasks come first.
        let (chunk, head) = (chunks - 1 - task / (s.b * s.h), task % (s.b * s.h));
        let (b, h) = (head / s.h, head % s.h);
        let kv_head = planted!("attention.groups_interleaved", h / (s.h / s.kv_heads) => h % s.kv_heads);
        let chunk = Chunk {
            q: (q, Head::new(&q_layout, b, h)),
            k: (k, Head::new(&k_layout, b, kv_head)),
            v: (v, Head::new(&v_layout, b, kv_head)),
            tiles: chunk * CHUNK..((chunk + 1) * CHUNK).min(tiles),
            p,
        };
        let o_head = Head::new(&o_layout, b, h);
        chunk.run::<TERMS>(|t, sum, max, total| {
            // SAFETY: query (b, t, h) belongs to this task alone.
            let (o, lse) = unsafe { (o_head.of_output(o, t), &mut *lse.get().add(head * s.t + t)) };
            simd::vectorize(
                #[inline(always)]
                || {
                    for (o, s) in o.iter_mut().zip(sum) {
                        *o = T::from_f32(s / total);
                    }
                },
            );
            // No key with a finite score: the softmax is undefined.
            let defined = total > 0.0 && total.is_finite();
            let max = planted!("attention.lse_without_the_maximum", max => 0.0);
            *lse = if defined { max + portable::ln(total.into()) as f32 } else { f32::NAN };
        });
    });
    Ok(())
}

/// With D = 0 every score is an empty sum.
fn lse_of_nothing(s: &Shape, lse: &mut [f32], p: AttentionParams) {
    for (row, lse) in lse.iter_mut().enumerate() {
        *lse = portable::ln(p.visible(row % s.t.max(1)).count() as f64) as f32;
    }
}

/// One task: the query tiles `tiles` of one head.
struct Chunk<'a, T> {
    q: (&'a [T], Head),
    k: (&'a [T], Head),
    v: (&'a [T], Head),
    tiles: Range<usize>,
    p: AttentionParams,
}

impl<T: Float> Chunk<'_, T> {
    /// Calls `finish(t, Σ exp·v, largest score, Σ exp)` for every query.
    fn run<const TERMS: usize>(&self, finish: impl Fn(usize, &[f32], f32, f32)) {
        let (d, width) = (self.q.1.d, padded(self.q.1.d));
        let (rows, tile) = (self.tiles.len() * TILE, TILE * width);
        let (columns, packed) = (d.div_ceil(TERMS) * TILE, tile / TERMS);
        let lift = lift::<T, TERMS>((0..self.v.1.t).map(|t| self.v.1.of(self.v.0, t)));
        let sizes = [self.tiles.len() * columns, rows * width, rows, rows, packed, packed, TILE * TILE];
        with_scratch(sizes, |[q, sums, max, total, k, v, scores]| {
            for (q, i) in q.chunks_exact_mut(columns).zip(self.tiles.clone()) {
                self.q.1.pack_rows::<T, TERMS>(self.q.0, i, k);
                transpose_tile(k, width / TERMS, d.div_ceil(TERMS), q);
            }
            sums.fill(0.0);
            max.fill(f32::NEG_INFINITY);
            total.fill(0.0);
            let seen = *self.p.visible(self.tiles.start * TILE).start();
            let first =
                planted!("attention.tile_at_the_windows_edge_skipped", seen / TILE => seen.div_ceil(TILE));
            for j in first..self.tiles.end {
                self.k.1.pack_rows::<T, TERMS>(self.k.0, j, k);
                self.v.1.pack_stacks::<T, TERMS>(self.v.0, j, v);
                scale_pairs(v, lift);
                let finite = planted!("attention.invisible_nan_leaks", all_finite::<TERMS>(v) => true);
                for i in Mask::query_tiles(self.p, j, self.tiles.end) {
                    let Some(at) = i.checked_sub(self.tiles.start) else { continue };
                    let mask = Mask::new(self.p, i, j);
                    let sums = &mut sums[at * tile..][..tile];
                    let (max, total) = (&mut max[at * TILE..][..TILE], &mut total[at * TILE..][..TILE]);
                    mask.scores::<TERMS>(k, &q[at * columns..], width, d, scores);
                    online_softmax::<TERMS>(&mask, self.p.scale, scores, max, total, sums);
                    mask.add_over_keys::<TERMS>(scores, v, width, finite, sums);
                }
            }
            for t in self.tiles.start * TILE..(self.tiles.end * TILE).min(self.q.1.t) {
                let at = t - self.tiles.start * TILE;
                if lift != 1.0 {
                    sums[at * width..][..d].iter_mut().for_each(|s| *s /= lift);
                }
                finish(t, &sums[at * width..][..d], max[at], total[at]);
            }
        });
    }
}

/// Turn a tile of products q·k into weights `exp(scale·q·k − max)`, as units that are (keys / TERMS, queries), and bring the sums so far to the new maximum.
fn online_softmax<const TERMS: usize>(
    mask: &Mask,
    scale: f32,
    scores: &mut [f32],
    max: &mut [f32],
    total: &mut [f32],
    sums: &mut [f32],
) {
    scale_and_mask(mask, scale, scores);
    let (scores, _) = scores.as_chunks_mut::<LANES>();
    let (max, _) = max.as_chunks_mut::<LANES>();
    let (total, _) = total.as_chunks_mut::<LANES>();
    let width = sums.len() / TILE;
    simd::vectorize(
        #[inline(always)]
        || {
            for block in 0..BLOCKS {
                let keys = mask.keys_of_block(block);
                let decay = softmax_block::<TERMS>(scores, block, keys, &mut max[block], &mut total[block]);
                for (sum, decay) in sums[block * LANES * width..].chunks_exact_mut(width).zip(decay) {
                    if planted!("attention.sums_keep_the_old_maximum", decay != 1.0 => false) {
                        sum.iter_mut().for_each(|s| *s *= decay);
                    }
                }
            }
        },
    );
}

/// Scale the products, and set those of pairs that do not see each other to −∞.
fn scale_and_mask(mask: &Mask, scale: f32, scores: &mut [f32]) {
    if mask.is_full() {
        return simd::vectorize(
            #[inline(always)]
            || scores.iter_mut().for_each(|s| *s *= scale),
        );
    }
    let (first, end) = mask.key_bounds();
    simd::vectorize(
        #[inline(always)]
        || {
            for (key, scores) in (0..).zip(scores.chunks_exact_mut(TILE)) {
                for i in 0..TILE {
                    let visible = (key >= first[i]) & (key < end[i]);
                    scores[i] = if visible { scores[i] * scale } else { f32::NEG_INFINITY };
                }
            }
        },
    );
}

// ANCHOR: softmax
/// Scores of a block of queries to weights relative to the new maximum; returns what their old sums shrink by.
#[inline(always)]
fn softmax_block<const TERMS: usize>(
    scores: &mut [Block],
    block: usize,
    keys: usize,
    max: &mut Block,
    total: &mut Block,
) -> Block {
    let mut new_max = *max;
    for c in 0..keys {
        let scores = &scores[c * BLOCKS + block];
        for i in 0..LANES {
            new_max[i] = if scores[i] > new_max[i] { scores[i] } else { new_max[i] };
        }
    }
    let (mut shift, mut sum, mut decay) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for i in 0..LANES {
        // Nothing but −∞ so far: subtract nothing, so that −∞ − (−∞) does not make a NaN of a zero weight.
        shift[i] = if new_max[i] == f32::NEG_INFINITY { 0.0 } else { new_max[i] };
    }
    for unit in 0..keys / TERMS {
        let mut weights = [[0.0; LANES]; TERMS];
        for (term, weights) in weights.iter_mut().enumerate() {
            let scores = &scores[(unit * TERMS + term) * BLOCKS + block];
            for i in 0..LANES {
                weights[i] = exp_flushed_f32(scores[i] - shift[i]);
                sum[i] += weights[i];
            }
        }
        // Units take the place of scores that have been read.
        for i in 0..LANES {
            scores[unit * BLOCKS + block][i] = match TERMS {
                1 => weights[0][i],
                _ => pair(Bf16::from_f32(weights[0][i]), Bf16::from_f32(weights[TERMS - 1][i])),
            };
        }
    }
    for i in 0..LANES {
        decay[i] = exp_flushed_f32(max[i] - shift[i]);
        total[i] = total[i] * decay[i] + sum[i];
        max[i] = new_max[i];
    }
    decay
}
// ANCHOR_END: softmax
