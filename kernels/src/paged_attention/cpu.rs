//! Cached attention on the CPU: an online softmax over blocks of 64 positions.
//!
//! Blocks start at multiples of 64 whatever the page length, and inside a block every position has its own lane of the
//! sums, so the order of all additions follows from positions alone. Decoding reads each key and value once and does little
//! with it: the loop is bound by memory, and there is nothing to gain from matrix tiles.

use super::PagedAttention;
use crate::attention::AttentionParams;
use crate::check::host;
use crate::fast_math::exp_flushed_f32;
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, simd};
use std::cell::RefCell;

impl PagedAttention for Cpu {
    fn kv_append(&self, x: View, positions: View, page_table: View, mut pages: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => append::<Bf16>(&x, &positions, &page_table, &mut pages),
            _ => append::<f32>(&x, &positions, &page_table, &mut pages),
        }
    }
    fn paged_attention(
        &self,
        q: View,
        caches: [View; 2],
        page_table: View,
        positions: View,
        p: AttentionParams,
        mut o: ViewMut,
    ) -> Result<()> {
        match q.dtype() {
            DType::Bf16 => attend::<Bf16>(&q, &caches, &page_table, &positions, p, &mut o),
            _ => attend::<f32>(&q, &caches, &page_table, &positions, p, &mut o),
        }
    }
}

/// Where a batch row's positions lie.
struct Pages<'a> {
    table: &'a [i32],
    table_layout: Layout,
    page_len: usize,
}

impl<'a> Pages<'a> {
    fn new(op: &'static str, table: &View<'a>, pages: &Layout) -> Result<Self> {
        let base = host(op, "page_table", table.base::<i32>())?;
        Ok(Pages { table: base, table_layout: *table.layout(), page_len: pages.dims()[1] })
    }
    /// Buffer position of (position, kv head) of row `b` in a cache of layout `pages`.
    #[inline(always)]
    fn slot(&self, pages: &Layout, b: usize, position: usize, kv_head: usize) -> usize {
        let (t, s) = (self.table_layout, pages.strides());
        let entry = t.offset + b * t.strides()[0] + position / self.page_len * t.strides()[1];
        pages.offset + self.table[entry] as usize * s[0] + position % self.page_len * s[1] + kv_head * s[2]
    }
}

/// In (b, t) order on the calling thread: two tokens may go to one slot, and copying a few rows is no work.
fn append<T: Float>(x: &View, positions: &View, page_table: &View, pages: &mut ViewMut) -> Result<()> {
    const OP: &str = "kv_append";
    let &[batch, time, heads, d] = x.dims() else { return Ok(()) };
    let (x_layout, p_layout, layout) = (*x.layout(), *positions.layout(), *pages.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let positions = host(OP, "positions", positions.base::<i32>())?;
    let table = Pages::new(OP, page_table, &layout)?;
    let pages = host(OP, "pages", pages.base_mut::<T>())?;
    for token in 0..batch * time {
        let position = positions[p_layout.position(token)] as usize;
        for head in 0..heads {
            let (from, to) = (
                x_layout.row_position(token * heads + head),
                table.slot(&layout, token / time, position, head),
            );
            pages[to..to + d].copy_from_slice(&x[from..from + d]);
        }
    }
    Ok(())
}

/// Positions per block, and lanes per dot product.
const BLOCK: usize = 64;
const LANES: usize = 16;
/// Queries of one row that one task takes.
const CHUNK: usize = 16;
/// Multiplications below which starting threads costs more than it saves.
const SERIAL_WORK: usize = 1 << 16;

thread_local! {
    /// The query and the unnormalised output in f32.
    static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn attend<T: Float>(
    q: &View,
    [k, v]: &[View; 2],
    page_table: &View,
    positions: &View,
    p: AttentionParams,
    o: &mut ViewMut,
) -> Result<()> {
    const OP: &str = "paged_attention";
    let &[batch, time, heads, d] = q.dims() else { return Ok(()) };
    let kv_heads = k.dims()[2];
    if q.numel() == 0 {
        return Ok(());
    }
    let (q_layout, o_layout, p_layout) = (*q.layout(), *o.layout(), *positions.layout());
    let (k_layout, v_layout) = (*k.layout(), *v.layout());
    let q = host(OP, "q", q.base::<T>())?;
    let (k, v) = (host(OP, "k_pages", k.base::<T>())?, host(OP, "v_pages", v.base::<T>())?);
    let positions = host(OP, "positions", positions.base::<i32>())?;
    let table = Pages::new(OP, page_table, &k_layout)?;
    let o = par::SharedPtr::new(host(OP, "o", o.base_mut::<T>())?);
    let (group, chunks) = (heads / kv_heads, time.div_ceil(CHUNK));
    let task = |task: usize| {
        let (b, kv_head, chunk) = (task / chunks / kv_heads, task / chunks % kv_heads, task % chunks);
        for t in chunk * CHUNK..((chunk + 1) * CHUNK).min(time) {
            let position = positions[p_layout.position(b * time + t)] as usize;
            for head in kv_head * group..(kv_head + 1) * group {
                let row = (b * time + t) * heads + head;
                let at = q_layout.row_position(row);
                // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                let o = unsafe { std::slice::from_raw_parts_mut(o.get().add(o_layout.row_position(row)), d) };
                let slot_k = |j: usize| &k[table.slot(&k_layout, b, j, kv_head)..][..d];
                let slot_v = |j: usize| &v[table.slot(&v_layout, b, j, kv_head)..][..d];
                ROWS.with_borrow_mut(|rows| {
                    rows.resize(rows.len().max(2 * d), 0.0);
                    let (wide_q, sum) = rows[..2 * d].split_at_mut(d);
                    simd::vectorize(#[inline(always)] || one_query(&q[at..at + d], slot_k, slot_v, position, p, wide_q, sum, o));
                });
            }
        }
    };
    let tasks = batch * kv_heads * chunks;
    let longest = (0..batch * time).map(|i| positions[p_layout.position(i)] as usize + 1).max().unwrap_or(0);
    if batch * time * heads * d * longest <= SERIAL_WORK {
        (0..tasks).for_each(task);
    } else {
        par::for_each_task(tasks, task);
    }
    Ok(())
}

#[inline(always)]
fn one_query<'a, T: Float>(
    q: &[T],
    k: impl Fn(usize) -> &'a [T],
    v: impl Fn(usize) -> &'a [T],
    position: usize,
    p: AttentionParams,
    wide_q: &mut [f32],
    sum: &mut [f32],
    o: &mut [T],
) {
    for (w, q) in wide_q.iter_mut().zip(q) {
        *w = q.to_f32();
    }
    sum.fill(0.0);
    let (mut max, mut total) = (f32::NEG_INFINITY, 0.0);
    let seen = p.visible(position);
    for block in seen.start() / BLOCK..=position / BLOCK {
        let first = block * BLOCK;
        let lanes = seen.start().saturating_sub(first)..(position + 1 - first).min(BLOCK);
        let mut weight = [f32::NEG_INFINITY; BLOCK];
        for lane in lanes.clone() {
            weight[lane] = p.scale * dot(wide_q, k(first + lane));
        }
        let new_max = weight.iter().fold(max, |m, &s| if s > m { s } else { m });
        // All scores so far −∞ (or NaN): subtract nothing, so that −∞ − (−∞) does not make a NaN of a zero weight.
        let shift = if new_max == f32::NEG_INFINITY { 0.0 } else { new_max };
        for w in &mut weight {
            *w = exp_flushed_f32(*w - shift);
        }
        let decay = exp_flushed_f32(max - shift);
        (max, total) = (new_max, total * decay + tree_sum(weight));
        for s in sum.iter_mut() {
            *s *= decay;
        }
        for lane in lanes {
            for (s, v) in sum.iter_mut().zip(v(first + lane)) {
                *s += weight[lane] * v.to_f32();
            }
        }
    }
    for (o, s) in o.iter_mut().zip(sum.iter()) {
        *o = T::from_f32(s / total);
    }
}

/// Σ x·y in 16 interleaved partial sums.
#[inline(always)]
fn dot<T: Float>(x: &[f32], y: &[T]) -> f32 {
    let mut acc = [0.0; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let (x_rest, y_rest) = (xs.remainder(), ys.remainder());
    for (x, y) in xs.zip(ys) {
        for lane in 0..LANES {
            acc[lane] += x[lane] * y[lane].to_f32();
        }
    }
    for (lane, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
        acc[lane] += x * y.to_f32();
    }
    tree_sum(acc)
}

/// The sum of N numbers (a power of two), halving again and again.
#[inline(always)]
fn tree_sum<const N: usize>(mut x: [f32; N]) -> f32 {
    let mut n = N;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            x[i] += x[i + n];
        }
    }
    x[0]
}
