//! Gradients of attention on the CPU: the weights of a tile are computed once more from `lse`, five products per tile.
//!
//! A task takes one key/value head of one batch row, with all query heads of its group: everything that is summed into one
//! element of dk or dv happens in one task, in a fixed order: query heads, in them query tiles i, in them key tiles j.
//! dq of a tile, and dk and dv of the whole head, are f32 sums in per-thread memory, O(T·D), rounded once at the end.
//! Weights are kept as (keys, queries), as in the forward pass.

use super::mask::{BLOCKS, Block, LANES, Mask};
use super::pack::{Head, TILE, all_finite, padded, with_scratch};
use super::{AttentionParams, Shape};
use crate::check::host;
use crate::fast_math::exp_flushed_f32;
use crate::par::SharedPtr;
use crate::{Float, Result, View, ViewMut, par, planted, simd};

type Input<'a, T> = (&'a [T], Head);
type Output<T> = (SharedPtr<T>, Head);

pub(super) fn backward<T: Float>(
    inputs: &[View; 6],
    p: AttentionParams,
    outputs: &mut [ViewMut; 3],
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "attention_bwd";
    let [q, k, v, o, lse, d_o] = inputs;
    let s = Shape::new(q.dims(), k.dims());
    if q.numel() == 0 {
        return Ok(()); // then k and v are empty too
    }
    let lse = host(OP, "lse", lse.as_slice::<f32>())?;
    let data = [
        host(OP, "q", q.base::<T>())?,
        host(OP, "k", k.base::<T>())?,
        host(OP, "v", v.base::<T>())?,
        host(OP, "o", o.base::<T>())?,
        host(OP, "do", d_o.base::<T>())?,
    ];
    let layouts = [q, k, v, o, d_o].map(|x| *x.layout());
    let out_layouts = outputs.each_ref().map(|x| *x.layout());
    let [dq, dk, dv] = outputs;
    let out = [
        SharedPtr::new(host(OP, "dq", dq.base_mut::<T>())?),
        SharedPtr::new(host(OP, "dk", dk.base_mut::<T>())?),
        SharedPtr::new(host(OP, "dv", dv.base_mut::<T>())?),
    ];
    let group = s.h / s.kv_heads;
    let accumulate = planted!("attention.accumulate_ignored", accumulate => false);
    par::for_each_task(s.b * s.kv_heads, |task| {
        let (b, kv_head) = (task / s.kv_heads, task % s.kv_heads);
        let input = |i: usize, h: usize| (data[i], Head::new(&layouts[i], b, h));
        let output = |i: usize, h: usize| (out[i], Head::new(&out_layouts[i], b, h));
        let keys = Keys { k: input(1, kv_head), v: input(2, kv_head), p };
        let (rows, tile) = (s.t.next_multiple_of(TILE) * padded(s.d), TILE * padded(s.d));
        let sizes =
            [rows, rows, tile, tile, tile, s.d * TILE, tile, s.d * TILE, tile, TILE * TILE, TILE * TILE];
        with_scratch(sizes, |[dk, dv, dq, k, v, q_columns, q, d_o_columns, d_o, weights, d_scores]| {
            let mut scratch = Scratch { dq, k, v, q_columns, q, d_o_columns, d_o, weights, d_scores };
            dk.fill(0.0);
            dv.fill(0.0);
            for h in kv_head * group..(kv_head + 1) * group {
                let lse = &lse[(b * s.h + h) * s.t..][..s.t];
                planted!("attention.dk_of_the_last_head_alone", () => dk.fill(0.0));
                let queries = Queries { q: input(0, h), o: input(3, h), d_o: input(4, h), lse };
                for i in 0..s.t.div_ceil(TILE) {
                    keys.meet(&queries, i, &mut scratch, dk, dv);
                    // SAFETY: dq of this query head belongs to this task alone, likewise dk and dv of its key head below.
                    unsafe { write_rows(output(0, h), i * TILE, scratch.dq, accumulate) };
                }
            }
            // SAFETY: as above.
            unsafe {
                write_rows(output(1, kv_head), 0, dk, accumulate);
                write_rows(output(2, kv_head), 0, dv, accumulate);
            }
        });
    });
    Ok(())
}

struct Keys<'a, T> {
    k: Input<'a, T>,
    v: Input<'a, T>,
    p: AttentionParams,
}

struct Queries<'a, T> {
    q: Input<'a, T>,
    o: Input<'a, T>,
    d_o: Input<'a, T>,
    lse: &'a [f32],
}

/// Tiles: rows (TILE, padded D), columns (D, TILE), scores (TILE, TILE).
struct Scratch<'a> {
    dq: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
    q_columns: &'a mut [f32],
    q: &'a mut [f32],
    d_o_columns: &'a mut [f32],
    d_o: &'a mut [f32],
    weights: &'a mut [f32],
    d_scores: &'a mut [f32],
}

impl<T: Float> Keys<'_, T> {
    /// All keys that query tile `i` sees: makes its dq, and adds its part to dk and dv, both (tiles·TILE, padded D).
    fn meet(&self, queries: &Queries<T>, i: usize, s: &mut Scratch, dk: &mut [f32], dv: &mut [f32]) {
        let (d, width) = (self.k.1.d, padded(self.k.1.d));
        let tile = TILE * width;
        queries.q.1.pack_columns(queries.q.0, i, s.q_columns);
        queries.q.1.pack_rows(queries.q.0, i, s.q);
        queries.d_o.1.pack_columns(queries.d_o.0, i, s.d_o_columns);
        queries.d_o.1.pack_rows(queries.d_o.0, i, s.d_o);
        let statistics = queries.statistics(i);
        let finite = all_finite(s.q) && all_finite(s.d_o);
        s.dq.fill(0.0);
        for j in self.p.visible(i * TILE).start() / TILE..=i {
            self.k.1.pack_rows(self.k.0, j, s.k);
            self.v.1.pack_rows(self.v.0, j, s.v);
            let mask = Mask::new(self.p, i, j);
            let finite = mask.is_full() || (finite && all_finite(s.k));
            mask.scores(s.k, s.q_columns, width, d, s.weights);
            mask.scores(s.v, s.d_o_columns, width, d, s.d_scores);
            weights(&mask, self.p.scale, &statistics, s.weights, s.d_scores);
            mask.add_over_queries(s.weights, s.d_o, width, finite, &mut dv[j * tile..][..tile]);
            mask.add_over_queries(s.d_scores, s.q, width, finite, &mut dk[j * tile..][..tile]);
            mask.add_over_keys(s.d_scores, s.k, width, finite, s.dq);
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
            let delta = dot(self.d_o.1.of(self.d_o.0, t), self.o.1.of(self.o.0, t));
            s.delta[r / LANES][r % LANES] = planted!("attention.delta_forgotten", delta => 0.0);
        }
        s
    }
}

/// From q·k in `weights` and do·v in `d_scores`: `p = exp(scale·q·k − lse)` and `ds = scale·p·(do·v − δ)`, zero for pairs
/// that do not see each other.
fn weights(mask: &Mask, scale: f32, s: &Statistics, weights: &mut [f32], d_scores: &mut [f32]) {
    let (weights, _) = weights.as_chunks_mut::<LANES>();
    let (d_scores, _) = d_scores.as_chunks_mut::<LANES>();
    let bounds = mask.key_bounds();
    simd::vectorize(
        #[inline(always)]
        || {
            for c in 0..TILE {
                for block in mask.blocks_of_key(c) {
                    let (w, ds) = (&mut weights[c * BLOCKS + block], &mut d_scores[c * BLOCKS + block]);
                    let (lse, delta) = (&s.lse[block], &s.delta[block]);
                    for i in 0..LANES {
                        w[i] = exp_flushed_f32(scale * w[i] - lse[i]);
                        ds[i] = (w[i] * (ds[i] - delta[i])) * scale;
                    }
                    let Some(bounds) = &bounds else { continue };
                    let (first, end) = &bounds[block];
                    for i in 0..LANES {
                        let visible = (c as u32 >= first[i]) & ((c as u32) < end[i]);
                        w[i] = if visible { w[i] } else { 0.0 };
                        ds[i] = if visible { ds[i] } else { 0.0 };
                    }
                }
            }
        },
    );
}

/// `x·y` in sixteen interleaved partial sums.
fn dot<T: Float>(x: &[T], y: &[T]) -> f32 {
    let mut lanes = [0.0f32; 16];
    simd::vectorize(
        #[inline(always)]
        || {
            for (x, y) in x.chunks(16).zip(y.chunks(16)) {
                for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
                    *lane += x.to_f32() * y.to_f32();
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

/// Round f32 rows of padded D into an output head, from row `first` on.
///
/// # Safety
/// The head's rows must belong to the calling task alone.
unsafe fn write_rows<T: Float>((out, head): Output<T>, first: usize, sums: &[f32], accumulate: bool) {
    for (t, sums) in (first..head.t).zip(sums.chunks_exact(padded(head.d))) {
        // SAFETY: promised by the caller.
        let out = unsafe { head.of_output(out, t) };
        simd::vectorize(
            #[inline(always)]
            || {
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = T::from_f32(if accumulate { out.to_f32() + sum } else { *sum });
                }
            },
        );
    }
}
