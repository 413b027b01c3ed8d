//! Cached attention on the CPU: an online softmax over blocks of 64 positions.
//!
//! Blocks start at multiples of 64 whatever the page length, and inside a block every position has its own lane of the
//! sums, so the order of all additions follows from positions alone. Decoding reads each key and value once and does little
//! with it: there is nothing to gain from matrix tiles. A task takes one key/value head of one row, so the query heads of
//! a group, and the tokens of a chunk, share what is read. Read next: `block.rs`, one query meeting one block.

use super::PagedAttention;
use super::block::{Block, common};
use crate::attention::{AttentionParams, lanes};
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, planted};
use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

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
        let b = planted!("paged_attention.table_of_the_first_row", b => 0);
        let entry = t.offset() + b * t.strides()[0] + position / self.page_len * t.strides()[1];
        pages.offset() + self.table[entry] as usize * s[0] + position % self.page_len * s[1] + kv_head * s[2]
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
        let position = planted!("kv_append.counts_from_one", position => position.saturating_sub(1));
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

/// Positions per block.
pub(super) const BLOCK: usize = 64;
/// Tokens of one row that one task takes.
const CHUNK: usize = 16;
/// Multiplications below which starting threads costs more than it saves.
const SERIAL_WORK: usize = 1 << 16;

thread_local! {
    /// Queries in f32, and what is carried along for each.
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
    let layouts = [*k.layout(), *v.layout()];
    let q = host(OP, "q", q.base::<T>())?;
    let (k, v) = (host(OP, "k_pages", k.base::<T>())?, host(OP, "v_pages", v.base::<T>())?);
    let positions = host(OP, "positions", positions.base::<i32>())?;
    let table = Pages::new(OP, page_table, &layouts[0])?;
    let o = par::SharedPtr::new(host(OP, "o", o.base_mut::<T>())?);
    let (group, chunks) = (heads / kv_heads, time.div_ceil(CHUNK));
    let task = |task: usize| {
        let (b, kv_head, chunk) = (task / chunks / kv_heads, task / chunks % kv_heads, task % chunks);
        let tokens = chunk * CHUNK..((chunk + 1) * CHUNK).min(time);
        // Row r of the task: token r / group, head r % group of the group.
        let row = |r: usize| (b * time + tokens.start + r / group) * heads + kv_head * group + r % group;
        let seen =
            |r: usize| p.visible(positions[p_layout.position(b * time + tokens.start + r / group)] as usize);
        let rows = tokens.len() * group;
        ROWS.with_borrow_mut(|scratch| {
            scratch.resize(scratch.len().max(rows * (2 * d + 2)), 0.0);
            let (wide, state) = scratch[..rows * (2 * d + 2)].split_at_mut(rows * d);
            for (r, wide) in wide.chunks_exact_mut(d).enumerate() {
                let at = q_layout.row_position(row(r));
                wide.iter_mut().zip(&q[at..at + d]).for_each(|(w, q)| *w = q.to_f32());
            }
            let slots = |from: Range<usize>| Slots::new(&table, &layouts, b, kv_head, from);
            attend_rows(wide, state, [k, v], slots, seen, p.scale);
            for (r, state) in state.chunks_exact(d + 2).enumerate() {
                // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                let o =
                    unsafe { std::slice::from_raw_parts_mut(o.get().add(o_layout.row_position(row(r))), d) };
                o.iter_mut().zip(&state[2..]).for_each(|(o, sum)| *o = T::from_f32(sum / state[1]));
            }
        });
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

/// Where a block's keys and values begin in their buffers.
pub(super) struct Slots {
    pub k: [usize; BLOCK],
    pub v: [usize; BLOCK],
}

impl Slots {
    /// Of the positions `from`, which lie in one block; the others stay 0.
    fn new(table: &Pages, layouts: &[Layout; 2], b: usize, kv_head: usize, from: Range<usize>) -> Slots {
        let mut slots = Slots { k: [0; BLOCK], v: [0; BLOCK] };
        let mut first = from.start;
        while first < from.end {
            // Within a page the slots are a stride apart.
            let end = from.end.min((first / table.page_len + 1) * table.page_len);
            for (slots, layout) in [(&mut slots.k, &layouts[0]), (&mut slots.v, &layouts[1])] {
                let (start, stride) = (table.slot(layout, b, first, kv_head), layout.strides()[1]);
                let slots = &mut slots[first % BLOCK..][..end - first];
                slots.iter_mut().enumerate().for_each(|(i, slot)| *slot = start + i * stride);
            }
            first = end;
        }
        slots
    }
}

/// All queries of a task: block by block, so that a block's keys and values come from memory once for all of them. A
/// query's state is its largest score so far, Σ exp, and Σ exp·v, the sums relative to that score.
fn attend_rows<T: Float>(
    q: &[f32],
    state: &mut [f32],
    [k, v]: [&[T]; 2],
    slots: impl Fn(Range<usize>) -> Slots,
    seen: impl Fn(usize) -> RangeInclusive<usize>,
    scale: f32,
) {
    let rows = state.len() - q.len();
    let (rows, d) = (rows / 2, q.len() / (rows / 2));
    for state in state.chunks_exact_mut(d + 2) {
        state.fill(0.0);
        state[0] = f32::NEG_INFINITY;
    }
    let first = (0..rows).map(|r| *seen(r).start()).min().unwrap_or(0);
    let last = (0..rows).map(|r| *seen(r).end()).max().unwrap_or(0);
    let blocks = first / BLOCK..=last / BLOCK;
    let of = |block: usize| slots(first.max(block * BLOCK)..(last + 1).min((block + 1) * BLOCK));
    let mut ahead = blocks.clone().map(of);
    let mut now = ahead.next();
    for block in blocks {
        let (start, next) = (block * BLOCK, ahead.next());
        let Some(slots) = std::mem::replace(&mut now, next) else { continue };
        let lanes = |r: usize| {
            let seen = seen(planted!("paged_attention.chunk_sees_its_end", r => rows - 1));
            seen.start().saturating_sub(start)..(seen.end() + 1).saturating_sub(start).min(BLOCK)
        };
        let slots = &slots;
        let next = |r: usize| now.as_ref().filter(|_| r == 0);
        for (group, state) in state.chunks_mut(QUERIES * (d + 2)).enumerate() {
            let first = group * QUERIES;
            let q = |r: usize| &q[r * d..][..d];
            let each = std::array::from_fn(|i| lanes((first + i).min(rows - 1)));
            if state.len() == QUERIES * (d + 2) && common(&each).is_some() {
                let (q, mut state) = (std::array::from_fn(|i| q(first + i)), state.chunks_exact_mut(d + 2));
                let state = std::array::from_fn::<_, QUERIES, _>(|_| state.next().unwrap_or_default());
                let (next, lanes) = (next(first), each);
                lanes::run(Block { q, k, v, slots, next, lanes, scale, state });
                continue;
            }
            for (r, state) in (first..).zip(state.chunks_exact_mut(d + 2)) {
                let (q, state, lanes) = ([q(r)], [state], [lanes(r)]);
                lanes::run(Block { q, k, v, slots, next: next(r), lanes, scale, state });
            }
        }
    }
}

/// Queries that share what they load.
const QUERIES: usize = 4;
