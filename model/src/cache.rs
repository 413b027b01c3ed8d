//! The key/value cache: per layer, pages of keys and values; per row, a table of its pages and a length.
//!
//! A row's position p lives in page `table[p / page_len]`, slot `p % page_len`. Stored keys are rotated and normalised
//! already, so a cached key is never touched again. Rows may have different lengths. The pages of all layers are one block of
//! memory, which so lies in large pages of the system's; a layer has a table of its own.

use crate::config::GptConfig;
use crate::error::{ModelError, Result};
use kernels::planted;
use tensor::{DType, Device, Tensor, memory};

mod pool;
pub use pool::Seat;

/// Positions per page.
pub const PAGE_LEN: usize = 64;

/// Elements that are set to zero at a time: one launch on a GPU counts fewer than 2³².
const AT_A_TIME: usize = 1 << 31;

/// Pages of zeros, however many.
fn zeros(dims: &[usize; 4], dtype: DType, device: Device) -> Result<Tensor> {
    let (pages, page) = (dims[0], dims[1..].iter().product::<usize>());
    let together = (AT_A_TIME / page.max(1)).max(1);
    if pages <= together {
        return Ok(Tensor::zeros(dims, dtype, device)?);
    }
    let mut all = Tensor::uninit(dims, dtype, device)?;
    let zero = Tensor::zeros(&[1; 4], dtype, device)?;
    for first in (0..pages).step_by(together) {
        let some = together.min(pages - first);
        all.write_narrow(0, first, &zero.expand(&[some, dims[1], dims[2], dims[3]])?)?;
    }
    Ok(all)
}

/// Keys and values of everything processed so far.
pub struct KvCache {
    /// (pages, PAGE_LEN, Hk, D): the keys of all layers, then their values.
    pages: Tensor,
    /// Per layer: numbers of its pages of keys and of values, i32 (rows, pages per row).
    tables: Vec<[Tensor; 2]>,
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
        let (layers, count) = (config.n_layer, rows * pages_per_row);
        let dims = [2 * layers * count, PAGE_LEN, config.n_kv_head, config.head_dim()];
        let _label = memory::label("kv cache");
        let pages = zeros(&dims, dtype, device)?;
        let table = |part: usize| -> Result<Tensor> {
            let numbers: Vec<i32> = (part * count..(part + 1) * count).map(|page| page as i32).collect();
            Ok(Tensor::ids(&numbers, &[rows, pages_per_row], device)?)
        };
        let tables =
            (0..layers).map(|layer| Ok([table(layer)?, table(layers + layer)?])).collect::<Result<_>>()?;
        Ok(KvCache { pages, tables, lengths: vec![0; rows], capacity, page_len: PAGE_LEN, previous: None })
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
        Ok(Tensor::ids(&positions, &[self.rows(), t], self.pages.device())?)
    }
    /// Store keys and values (rows, t, Hk, D) of one layer at `positions`.
    pub fn append(&mut self, layer: usize, k: &Tensor, v: &Tensor, positions: &Tensor) -> Result<()> {
        let [keys, values] = &self.tables[layer];
        self.pages.kv_append(k, positions, keys)?;
        self.pages.kv_append(v, positions, values)?;
        Ok(())
    }
    /// All keys, all values, and the page table of a layer, which is that of both.
    pub fn layer(&self, layer: usize) -> Result<(Tensor, Tensor, &Tensor)> {
        let half = self.pages.dim(0) / 2;
        Ok((self.pages.narrow(0, 0, half)?, self.pages.narrow(0, half, half)?, &self.tables[layer][0]))
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
        self.select(config, &vec![0; rows], capacity)
    }
    /// A cache whose row i holds what row `rows[i]` of this one holds.
    pub fn select(&self, config: &GptConfig, rows: &[usize], capacity: usize) -> Result<KvCache> {
        let lengths: Vec<usize> = rows.iter().map(|&row| self.lengths[row]).collect();
        let used = lengths.iter().max().copied().unwrap_or(0);
        let (dtype, device) = (self.pages.dtype(), self.pages.device());
        let mut wide = KvCache::new(config, rows.len(), capacity.max(used), dtype, device)?;
        let (parts, pages) = (2 * config.n_layer, used.div_ceil(self.page_len));
        let (from, to) = (self.pages.dim(0) / parts, wide.pages.dim(0) / parts); // pages of one part
        let here = from / self.rows().max(1);
        let stride = planted!("cache.rows_replicated_densely", to / rows.len().max(1) => pages);
        for part in 0..parts {
            for (row, &source) in rows.iter().enumerate() {
                let filled = self.pages.narrow(0, part * from + source * here, pages)?;
                wide.pages.write_narrow(0, part * to + row * stride, &filled)?;
            }
        }
        wide.lengths = lengths;
        if let Some(previous) = &self.previous {
            let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
            let picked = Tensor::ids(&rows, &[rows.len()], device)?;
            wide.previous = Some(previous.index_select(0, &picked)?);
        }
        Ok(wide)
    }
}
