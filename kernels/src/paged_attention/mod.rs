//! Attention over a key/value cache that is stored in pages (Kwon et al. 2023, arXiv:2309.06180), for decoding.
//!
//! `o = softmax(scale·q·Kᵀ)·V`, where K and V are the cached rows `max(0, pos − window)..=pos` of the query's own sequence.
//! `q`, `o`: (B, T, H, D); the pages: (n_pages, page_len, Hk, D); `page_table`: (B, max_pages). Sums in f32, `o`
//! rounded once.
//!
//! A row's keys and values lie in pages of `page_len` positions; `page_table[b]` lists its pages in order, so position
//! `pos` is slot `pos % page_len` of page `page_table[b][pos / page_len]`. Rows grow without moving and may share pages; a
//! contiguous cache is one long page per row. Every query carries its own absolute position.
//!
//! The bits of an output row depend on its query, its position and the keys and values it sees, on nothing else: not on
//! the batch, not on how many queries come in one call, not on how the cache is cut into pages. So a chunked prompt and
//! token-by-token decoding give the same text. For whole sequences at once see [`crate::attention`].

mod block;
mod cpu;
mod reference;
mod samples;
#[cfg(test)]
mod tests;

pub use samples::KERNELS;

use crate::attention::{AttentionParams, check_heads};
use crate::check::{self, FLOATS};
use crate::registry::Cost;
use crate::{Backend, KernelError, Result, Space, View, ViewMut, profile};

/// Writing into the cache, and reading from it.
pub trait PagedAttention {
    /// See [`kv_append`].
    fn kv_append(&self, x: View, positions: View, page_table: View, pages: ViewMut) -> Result<()>;
    /// See [`paged_attention`]. Caches are `[k_pages, v_pages]`.
    fn paged_attention(
        &self,
        q: View,
        caches: [View; 2],
        page_table: View,
        positions: View,
        p: AttentionParams,
        o: ViewMut,
    ) -> Result<()>;
}

/// `pages[page_table[b][pos / page_len]][pos % page_len] = x[b, t]` with `pos = positions[b, t]`.
///
/// `x`: (B, T, Hk, D); `positions`: (B, T) ids; `page_table`: (B, max_pages) ids, of which only the entries that positions
/// reach are read; `pages`: (n_pages, page_len, Hk, D) of the same dtype. If two tokens go to one slot, the later one
/// (in (b, t) order) stays.
pub fn kv_append(b: &dyn Backend, x: View, positions: View, page_table: View, pages: ViewMut) -> Result<()> {
    const OP: &str = "kv_append";
    check::rank(OP, "x", x.dims(), 4, "(B, T, Hk, D)")?;
    check_pages(OP, "pages", &pages.as_view(), &x, x.dims()[2])?;
    check_positions(OP, &x, &positions, &page_table, &pages.as_view(), |pos| pos..=pos)?;
    check::output(OP, "pages", &pages, &[("x", &x), ("positions", &positions), ("page_table", &page_table)])?;
    let _timed = profile::call(OP, || Cost { flops: 0.0, bytes: 2.0 * x.traffic() });
    b.kv_append(x, positions, page_table, pages)
}

/// `o = softmax(scale·q·Kᵀ)·V` over the cached positions `max(0, pos − window)..=pos` of the query's row.
///
/// `q`, `o`: (B, T, H, D); `k_pages`, `v_pages`: (n_pages, page_len, Hk, D), Hk a divisor of H; all with a unit last stride;
/// `page_table`: (B, max_pages) ids; `positions`: (B, T) ids. Sums in f32, `o` rounded once.
pub fn paged_attention(
    b: &dyn Backend,
    q: View,
    k_pages: View,
    v_pages: View,
    page_table: View,
    positions: View,
    p: AttentionParams,
    o: ViewMut,
) -> Result<()> {
    const OP: &str = "paged_attention";
    check::rank(OP, "q", q.dims(), 4, "(B, T, H, D)")?;
    check::rank(OP, "k_pages", k_pages.dims(), 4, "(n_pages, page_len, Hk, D)")?;
    check_pages(OP, "k_pages", &k_pages, &q, k_pages.dims()[2])?;
    check_pages(OP, "v_pages", &v_pages, &q, k_pages.dims()[2])?;
    check::dims(OP, "v_pages", v_pages.dims(), k_pages.dims())?;
    check_heads(OP, q.dims()[2], k_pages.dims()[2])?;
    check::parameter(OP, p.scale.is_finite(), || {
        format!("scale {} is not finite; 1/sqrt(head_dim) is usual", p.scale)
    })?;
    check::dims(OP, "o", o.dims(), q.dims())?;
    check::dtype(OP, "o", o.dtype(), &[q.dtype()])?;
    check::unit_last_stride(OP, "o", o.layout())?;
    check_positions(OP, &q, &positions, &page_table, &k_pages, |pos| p.visible(pos))?;
    let inputs = [
        ("q", &q),
        ("k_pages", &k_pages),
        ("v_pages", &v_pages),
        ("page_table", &page_table),
        ("positions", &positions),
    ];
    check::output(OP, "o", &o, &inputs)?;
    let _timed = profile::call(OP, || {
        let at: Vec<i32> = positions.to_f64().unwrap_or_default().into_iter().map(|pos| pos as i32).collect();
        let sizes = [q.dims()[1], q.dims()[2], k_pages.dims()[2], q.dims()[3]];
        let [flops, caches] = work(&at, sizes, p, q.dtype().size() as f64);
        Cost { flops, bytes: caches + q.traffic() + o.traffic() }
    });
    b.paged_attention(q, [k_pages, v_pages], page_table, positions, p, o)
}

/// Operations, and bytes read of the caches: two products per query and key it sees; a row of the batch reads every key
/// that any of its queries sees once. Sizes are T, H, Hk, D.
fn work(positions: &[i32], [t, heads, kv_heads, d]: [usize; 4], p: AttentionParams, bytes: f64) -> [f64; 2] {
    let seen: usize = positions.iter().map(|&pos| p.visible(pos as usize).count()).sum();
    let read = |row: &[i32]| {
        let (first, last) = (row.iter().min().copied().unwrap_or(0), row.iter().max().copied().unwrap_or(0));
        p.visible(last as usize).end() + 1 - p.visible(first as usize).start()
    };
    let keys: usize = positions.chunks(t.max(1)).map(read).sum();
    [4.0 * (seen * heads * d) as f64, 2.0 * bytes * (keys * kv_heads * d) as f64]
}

/// `x`: (B, T, _, D) tokens; `pages`: (n_pages, page_len, kv_heads, D) of the same dtype; both with a unit last stride.
fn check_pages(op: &'static str, arg: &'static str, pages: &View, x: &View, kv_heads: usize) -> Result<()> {
    check::dtype(op, arg, pages.dtype(), FLOATS)?;
    check::dtype(op, arg, pages.dtype(), &[x.dtype()])?;
    check::rank(op, arg, pages.dims(), 4, "(n_pages, page_len, Hk, D)")?;
    check::dims(op, arg, pages.dims(), &[pages.dims()[0], pages.dims()[1], kv_heads, x.dims()[3]])?;
    check::unit_last_stride(op, "tokens", x.layout())?;
    check::unit_last_stride(op, arg, pages.layout())
}

/// Positions must lie inside the row's pages, and every page that `reads` of a position touches must exist. Device arrays
/// are checked by the kernel that reads them.
fn check_positions(
    op: &'static str,
    x: &View,
    positions: &View,
    page_table: &View,
    pages: &View,
    reads: impl Fn(usize) -> std::ops::RangeInclusive<usize>,
) -> Result<()> {
    let (batch, time) = (x.dims()[0], x.dims()[1]);
    check::rank(op, "page_table", page_table.dims(), 2, "(B, max_pages)")?;
    let max_pages = page_table.dims()[1];
    check::dims(op, "page_table", page_table.dims(), &[batch, max_pages])?;
    check::dims(op, "positions", positions.dims(), &[batch, time])?;
    check::dtype(op, "page_table", page_table.dtype(), &[crate::DType::I32])?;
    let (n_pages, page_len) = (pages.dims()[0], pages.dims()[1]);
    check::indices(op, "positions", positions, max_pages * page_len)?;
    if positions.buffer().space != Space::Host || page_table.buffer().space != Space::Host {
        return Ok(());
    }
    let (Some(ids), Some(table)) = (positions.base::<i32>(), page_table.base::<i32>()) else { return Ok(()) };
    for b in 0..batch {
        let row = (0..time).map(|t| reads(ids[positions.layout().position(b * time + t)] as usize));
        let touched = row.fold(None, |span: Option<(usize, usize)>, r| {
            let (lo, hi) = span.unwrap_or((*r.start(), *r.end()));
            Some((lo.min(*r.start()), hi.max(*r.end())))
        });
        let Some((lo, hi)) = touched else { continue };
        for page in lo / page_len..=hi / page_len {
            let index = b * max_pages + page;
            let value = table[page_table.layout().position(index)];
            if value < 0 || value as usize >= n_pages {
                let arg = "page_table";
                return Err(KernelError::IndexOutOfRange {
                    op,
                    arg,
                    index,
                    value: value.into(),
                    limit: n_pages,
                });
            }
        }
    }
    Ok(())
}
