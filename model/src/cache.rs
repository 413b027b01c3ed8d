//! The key/value cache: per layer, pages of keys and values; per row, a table of its pages and a length.
//!
//! A row's position p lives in page `table[p / page_len]`, slot `p % page_len`. Stored keys are rotated and normalised
//! already, so a cached key is never touched again. Rows may have different lengths.

use crate::config::GptConfig;
use crate::error::{ModelError, Result};
use kernels::planted;
use tensor::{DType, Device, Tensor, memory};

/// Positions per page.
pub const PAGE_LEN: usize = 64;

/// Keys and values of everything processed so far.
pub struct KvCache {
    /// Per layer: keys and values, each (pages, PAGE_LEN, Hk, D).
    layers: Vec<(Tensor, Tensor)>,
    /// Page numbers, i32 (rows, pages per row).
    table: Tensor,
    lengths: Vec<usize>,
    capacity: usize,
    page_len: usize,
    /// The last normalised embedding of every row, (rows, C), where the model smears.
    previous: Option<Tensor>,
}

impl KvCache {
    /// Room for `capacity` positions in each of `rows` rows, in the activations' dtype.
    pub fn new(
        config: &GptConfig,
        rows: usize,
        capacity: usize,
        dtype: DType,
        device: Device,
    ) -> Result<KvCache> {
        let pages_per_row = capacity.div_ceil(PAGE_LEN).max(1);
        let pages = rows * pages_per_row;
        let dims = [pages, PAGE_LEN, config.n_kv_head, config.head_dim()];
        let _label = memory::label("kv cache");
        let layers = (0..config.n_layer)
            .map(|_| Ok((Tensor::zeros(&dims, dtype, device)?, Tensor::zeros(&dims, dtype, device)?)))
            .collect::<Result<Vec<_>>>()?;
        let numbers: Vec<i32> = (0..pages as i32).collect();
        let table = Tensor::ids(&numbers, &[rows, pages_per_row], device)?;
        Ok(KvCache { layers, table, lengths: vec![0; rows], capacity, page_len: PAGE_LEN, previous: None })
    }
    /// Positions filled in each row.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }
    /// Positions each row can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }
    /// Positions of the next `t` tokens of every row, i32 (rows, t); an error if they do not fit.
    pub fn next_positions(&self, t: usize) -> Result<Tensor> {
        let longest = self.lengths.iter().max().copied().unwrap_or(0);
        if longest + t > self.capacity {
            return Err(ModelError::TooLong {
                position: self.capacity,
                what: "cache",
                capacity: self.capacity,
            });
        }
        let first = |&n: &usize| planted!("cache.positions_begin_anew", n => 0);
        let positions: Vec<i32> =
            self.lengths.iter().map(first).flat_map(|n| (n..n + t).map(|p| p as i32)).collect();
        Ok(Tensor::ids(&positions, &[self.rows(), t], self.table.device())?)
    }
    /// Store keys and values (rows, t, Hk, D) of one layer at `positions`.
    pub fn append(&mut self, layer: usize, k: &Tensor, v: &Tensor, positions: &Tensor) -> Result<()> {
        let (keys, values) = &mut self.layers[layer];
        keys.kv_append(k, positions, &self.table)?;
        values.kv_append(v, positions, &self.table)?;
        Ok(())
    }
    /// Keys, values and page table of a layer.
    pub fn layer(&self, layer: usize) -> (&Tensor, &Tensor, &Tensor) {
        let (k, v) = &self.layers[layer];
        (k, v, &self.table)
    }
    /// Every row has processed `t` more positions (after the last layer).
    pub fn advance(&mut self, t: usize) {
        self.lengths.iter_mut().for_each(|n| *n += t);
    }
    /// Keep the last embedding of every row for the next call; returns the one kept by the call before.
    pub fn remember(&mut self, last: Option<Tensor>) -> Option<Tensor> {
        std::mem::replace(&mut self.previous, last)
    }
    /// A cache of `rows` rows, each holding what row 0 of this one holds: prefill once, then sample many.
    pub fn replicate(&self, config: &GptConfig, rows: usize, capacity: usize) -> Result<KvCache> {
        let used = self.lengths.first().copied().unwrap_or(0);
        let (k0, ..) = self.layer(0);
        let mut wide = KvCache::new(config, rows, capacity.max(used), k0.dtype(), k0.device())?;
        let pages = used.div_ceil(self.page_len);
        let stride = planted!("cache.rows_replicated_densely", wide.table.dim(1) => pages);
        for (layer, (k, v)) in wide.layers.iter_mut().enumerate() {
            for row in 0..rows {
                k.write_narrow(0, row * stride, &self.layers[layer].0.narrow(0, 0, pages)?)?;
                v.write_narrow(0, row * stride, &self.layers[layer].1.narrow(0, 0, pages)?)?;
            }
        }
        wide.lengths = vec![used; rows];
        if let Some(previous) = &self.previous {
            let c = previous.dim(1);
            wide.previous = Some(previous.narrow(0, 0, 1)?.expand(&[rows, c])?.contiguous()?);
        }
        Ok(wide)
    }
}
