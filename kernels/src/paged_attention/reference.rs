//! The definition of cached attention: look every slot up, then softmax and weighted sum.

use super::PagedAttention;
use crate::attention::AttentionParams;
use crate::{KernelError, Reference, Result, View, ViewMut};

/// Flat index of the first element of (position, kv head) of row `b`, in contiguous pages of `dims`.
fn slot(table: &[f64], max_pages: usize, dims: &[usize], b: usize, position: usize, kv_head: usize) -> usize {
    let page = table[b * max_pages + position / dims[1]] as usize;
    ((page * dims[1] + position % dims[1]) * dims[2] + kv_head) * dims[3]
}

impl PagedAttention for Reference {
    fn kv_append(&self, x: View, positions: View, page_table: View, mut pages: ViewMut) -> Result<()> {
        let wrong = |arg| KernelError::WrongSpace { op: "kv_append", arg };
        let (dims, max_pages) = (pages.dims().to_vec(), page_table.dims()[1]);
        let (time, row) = (x.dims()[1], dims[2] * dims[3]);
        let x = x.to_f64().ok_or(wrong("x"))?;
        let positions = positions.to_f64().ok_or(wrong("positions"))?;
        let table = page_table.to_f64().ok_or(wrong("page_table"))?;
        let mut cache = pages.as_view().to_f64().ok_or(wrong("pages"))?;
        for (token, &position) in positions.iter().enumerate() {
            let at = slot(&table, max_pages, &dims, token / time, position as usize, 0);
            cache[at..at + row].copy_from_slice(&x[token * row..(token + 1) * row]);
        }
        pages.store_f64(&cache);
        Ok(())
    }

    fn paged_attention(
        &self,
        q: View,
        [k, v]: [View; 2],
        page_table: View,
        positions: View,
        p: AttentionParams,
        mut o: ViewMut,
    ) -> Result<()> {
        let read =
            |x: View| x.to_f64().ok_or(KernelError::WrongSpace { op: "paged_attention", arg: "an argument" });
        let (dims, max_pages) = (k.dims().to_vec(), page_table.dims()[1]);
        let (time, heads, d) = (q.dims()[1], q.dims()[2], q.dims()[3]);
        let (q, k, v, table, positions) = (read(q)?, read(k)?, read(v)?, read(page_table)?, read(positions)?);
        let mut os = vec![0.0; q.len()];
        for row in 0..positions.len() * heads {
            let (token, head) = (row / heads, row % heads);
            let q = &q[row * d..(row + 1) * d];
            let seen: Vec<usize> = p
                .visible(positions[token] as usize)
                .map(|j| slot(&table, max_pages, &dims, token / time, j, head / (heads / dims[2])))
                .collect();
            let score =
                |&at: &usize| p.scale as f64 * q.iter().zip(&k[at..]).map(|(q, k)| q * k).sum::<f64>();
            let scores: Vec<f64> = seen.iter().map(score).collect();
            let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
            let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            for (at, score) in seen.iter().zip(&scores) {
                for i in 0..d {
                    os[row * d + i] += (score - max).exp() / sum * v[at + i];
                }
            }
        }
        o.store_f64(&os);
        Ok(())
    }
}
