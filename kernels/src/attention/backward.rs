//! Gradients of attention on the CPU: who computes what, and in which order parts are added.
//!
//! A task takes one query head and a chunk of up to eight key tiles, and meets all query tiles that see any of them (`meet.rs`).
//! It makes the head's part of dk and dv of its keys, and the keys' part of dq. Where a part is all there is (one query head
//! per key head, one chunk), it goes to the output at once. Otherwise it waits in f32, and a second pass adds: dq over chunks, dk
//! and dv over the query heads of a group, both in ascending order. Everything depends on the shape of one head
//! alone, so neither threads nor other rows of the batch change a bit. No product is computed twice, which separate tasks
//! for dq and for dk and dv would do with two of five.

use super::meet::{Keys, Queries, Scratch};
use super::pack::{Head, TILE, padded, with_scratch};
use super::units::lift;
use super::{AttentionParams, Shape};
use crate::check::host;
use crate::matmul::pool;
use crate::par::SharedPtr;
use crate::{Float, Result, View, ViewMut, par, planted, simd};
use std::ops::Range;

/// Key tiles per task.
const CHUNK: usize = 8;

pub(super) fn backward<T: Float, const TERMS: usize>(
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
    let parts = Parts::new(s, p);
    let mut waiting = [pool::take(parts.queries()), pool::take(parts.keys()), pool::take(parts.keys())];
    let waiting = waiting.each_mut().map(|part| SharedPtr::new(part));
    let out_layouts = outputs.each_ref().map(|x| *x.layout());
    let [dq, dk, dv] = outputs;
    let out = [
        SharedPtr::new(host(OP, "dq", dq.base_mut::<T>())?),
        SharedPtr::new(host(OP, "dk", dk.base_mut::<T>())?),
        SharedPtr::new(host(OP, "dv", dv.base_mut::<T>())?),
    ];
    let accumulate = planted!("attention.accumulate_ignored", accumulate => false);
    let output = |i: usize, b: usize, h: usize| Output {
        data: out[i],
        head: Head::new(&out_layouts[i], b, h),
        accumulate,
    };
    par::for_each_task(parts.chunks * s.b * s.h, |task| {
        // Earlier keys are seen by more queries: the long tasks come first.
        let (chunk, head) = (task / (s.b * s.h), task % (s.b * s.h));
        let (b, h) = (head / s.h, head % s.h);
        let kv_head = h / parts.group;
        let input = |i: usize, h: usize| (data[i], Head::new(&layouts[i], b, h));
        let tiles = parts.tiles(chunk);
        let keys = Keys { k: input(1, kv_head), v: input(2, kv_head), p, tiles: tiles.clone() };
        let (d_o, d_o_head) = input(4, h);
        let lift = lift::<T, TERMS>((0..s.t).map(|t| d_o_head.of(d_o, t)));
        let lse = &lse[head * s.t..][..s.t];
        let queries = Queries { q: input(0, h), o: input(3, h), d_o: (d_o, d_o_head), lse, lift };
        let rows = tiles.len() * TILE * padded(s.d);
        with_scratch([rows, rows, Scratch::size::<TERMS>(s.d, tiles.len())], |[dk, dv, scratch]| {
            let mut scratch = Scratch::new::<TERMS>(scratch, s.d, tiles.len());
            keys.pack::<TERMS>(&mut scratch);
            dk.fill(0.0);
            dv.fill(0.0);
            for i in parts.query_tiles(chunk) {
                keys.meet::<TERMS>(&queries, i, &mut scratch, dk, dv);
                let (sums, part) = (&*scratch.dq, parts.query_part(chunk, head, i * TILE));
                // SAFETY: this part of this query head, and dk and dv of these keys for it, belong to this task alone.
                unsafe { parts.put(output(0, b, h), (waiting[0], part), i..i + 1, sums, 1.0 / lift) };
            }
            for (i, sums) in [(1, dk), (2, dv)] {
                let part = parts.key_part(head, tiles.start * TILE);
                // SAFETY: as above.
                unsafe {
                    parts.put(output(i, b, kv_head), (waiting[i], part), tiles.clone(), sums, 1.0 / lift);
                }
            }
        });
    });
    if parts.chunks > 1 {
        par::for_each_task(s.b * s.h * parts.tiles, |task| {
            let (head, i) = (task / parts.tiles, task % parts.tiles);
            let chunks = (0..parts.chunks).filter(|&chunk| parts.query_tiles(chunk).contains(&i));
            let from = chunks.filter_map(|chunk| parts.query_part(chunk, head, i * TILE));
            let from = from.take(planted!("attention.dq_of_the_first_chunk_alone", parts.chunks => 1));
            // SAFETY: a tile of one query head belongs to this task alone; the first pass is over.
            unsafe { add_parts(output(0, head / s.h, head % s.h), waiting[0], from, i) };
        });
    }
    if parts.group > 1 {
        par::for_each_task(s.b * s.kv_heads * parts.tiles * 2, |task| {
            let (i, task) = (1 + task % 2, task / 2);
            let (head, j) = (task / parts.tiles, task % parts.tiles);
            let first = planted!("attention.dk_of_the_last_head_alone", 0 => parts.group - 1);
            let heads = head * parts.group + first..(head + 1) * parts.group;
            let from = heads.filter_map(|head| parts.key_part(head, j * TILE));
            // SAFETY: as above, with a key/value head.
            unsafe { add_parts(output(i, head / s.kv_heads, head % s.kv_heads), waiting[i], from, j) };
        });
    }
    Ok(())
}

/// How sums are cut into parts.
struct Parts {
    s: Shape,
    p: AttentionParams,
    /// Query heads per key/value head.
    group: usize,
    tiles: usize,
    chunks: usize,
}

impl Parts {
    fn new(s: Shape, p: AttentionParams) -> Parts {
        let tiles = s.t.div_ceil(TILE);
        Parts { s, p, group: s.h / s.kv_heads, tiles, chunks: tiles.div_ceil(CHUNK) }
    }
    /// The key tiles of a chunk.
    fn tiles(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK..((chunk + 1) * CHUNK).min(self.tiles)
    }
    /// The query tiles that see any key of the chunk.
    fn query_tiles(&self, chunk: usize) -> Range<usize> {
        let keys = self.tiles(chunk);
        keys.start..super::mask::Mask::query_tiles(self.p, keys.end - 1, self.tiles).end
    }
    /// Elements of all parts of dq: a chunk has one from its first query on.
    fn queries(&self) -> usize {
        self.first_query(self.chunks)
    }
    fn first_query(&self, chunk: usize) -> usize {
        let before: usize = (0..chunk).map(|c| self.s.t - c * CHUNK * TILE).sum();
        if self.chunks == 1 { 0 } else { self.s.b * self.s.h * self.s.d * before }
    }
    /// Where the part of dq of a chunk begins for query `t`; `None` if it is all there is.
    fn query_part(&self, chunk: usize, head: usize, t: usize) -> Option<usize> {
        let first = chunk * CHUNK * TILE;
        let row = head * (self.s.t - first) + (t - first);
        (self.chunks > 1).then(|| self.first_query(chunk) + row * self.s.d)
    }
    /// Elements of all parts of dk, and of dv: every query head has one.
    fn keys(&self) -> usize {
        if self.group == 1 { 0 } else { self.s.b * self.s.h * self.s.t * self.s.d }
    }
    /// Where the part of dk or dv of a query head begins for key `t`; `None` if it is all there is.
    fn key_part(&self, head: usize, t: usize) -> Option<usize> {
        (self.group > 1).then(|| (head * self.s.t + t) * self.s.d)
    }
    /// Sums of tiles, times `factor`, to their part, or to the output.
    ///
    /// # Safety
    /// No other task may use the rows of either.
    unsafe fn put<T: Float>(
        &self,
        out: Output<T>,
        (parts, part): (SharedPtr<f32>, Option<usize>),
        tiles: Range<usize>,
        sums: &[f32],
        factor: f32,
    ) {
        let rows = tiles.start * TILE..(tiles.end * TILE).min(self.s.t);
        simd::vectorize(
            #[inline(always)]
            || {
                for (row, (t, sums)) in rows.zip(sums.chunks_exact(padded(self.s.d))).enumerate() {
                    let Some(at) = part else {
                        // SAFETY: promised by the caller.
                        unsafe { out.put(t, sums, |sum| sum * factor) };
                        continue;
                    };
                    let at = at + row * self.s.d;
                    // SAFETY: promised by the caller; rows of a part lie one after the other.
                    let part = unsafe { std::slice::from_raw_parts_mut(parts.get().add(at), self.s.d) };
                    part.iter_mut().zip(sums).for_each(|(part, sum)| *part = sum * factor);
                }
            },
        );
    }
}

/// A head of an output.
struct Output<T> {
    data: SharedPtr<T>,
    head: Head,
    accumulate: bool,
}

impl<T: Float> Output<T> {
    /// Round `f(sums)`, or that plus what is there, into row `t`.
    ///
    /// # Safety
    /// No other task may use the row.
    #[inline(always)]
    unsafe fn put(&self, t: usize, sums: &[f32], f: impl Fn(f32) -> f32) {
        // SAFETY: promised by the caller.
        let out = unsafe { self.head.of_output(self.data, t) };
        // Told apart before the loop: the compiler cannot see that writing to `out` leaves the flag as it is.
        if self.accumulate {
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f32(out.to_f32() + f(*sum)));
        } else {
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f32(f(*sum)));
        }
    }
}

/// Tile `tile` of an output: the sum, in this order, of the parts that begin at `from`.
///
/// # Safety
/// No other task may use the rows of the tile, or write to the parts.
unsafe fn add_parts<T: Float>(
    out: Output<T>,
    parts: SharedPtr<f32>,
    from: impl Iterator<Item = usize> + Clone,
    tile: usize,
) {
    let d = out.head.d;
    with_scratch([padded(d)], |[sums]| {
        simd::vectorize(
            #[inline(always)]
            || {
                for (row, t) in (tile * TILE..out.head.t).take(TILE).enumerate() {
                    sums.fill(0.0);
                    for at in from.clone() {
                        // SAFETY: promised by the caller.
                        let part = unsafe { std::slice::from_raw_parts(parts.get().add(at + row * d), d) };
                        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                    }
                    // SAFETY: promised by the caller.
                    unsafe { out.put(t, sums, |sum| sum) };
                }
            },
        );
    });
}
