//! One cache for many rows that come and go: pages are handed out, shared and taken back by whoever drives the model.
//!
//! [`KvCache::pool`] makes pages that belong to nobody. Before every forward pass [`KvCache::seat`] says which rows
//! take part: for each the pages that hold it, and how many of its positions are filled. Rows may share the pages of
//! what they have in common, as long as nobody writes there: a page is copied first ([`KvCache::copy_page`]). A page
//! has the same number in all layers. Who keeps the books is in `train`'s engine.

use super::{KvCache, PAGE_LEN};
use crate::config::GptConfig;
use crate::error::{ModelError, Result};
use tensor::{DType, Device, Tensor};

/// One row of the next forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// Numbers of the pages that hold it, in order, also of those that will be filled next.
    pub pages: &'a [u32],
    /// Positions filled.
    pub length: usize,
    /// The token at the last of them: what a model that smears reads again.
    pub before: Option<u32>,
}

impl KvCache {
    /// `pages` pages of [`PAGE_LEN`] positions, and no rows.
    pub fn pool(config: &GptConfig, pages: usize, dtype: DType, device: Device) -> Result<KvCache> {
        let mut pool = KvCache::new(config, 1, pages.max(1) * PAGE_LEN, dtype, device)?;
        pool.seat(&[])?;
        Ok(pool)
    }
    /// Pages in each layer.
    fn pages(&self) -> usize {
        self.pages.dim(0) / (2 * self.tables.len()).max(1)
    }
    /// Let these rows, and no others, take part in the next forward pass. A row that outgrows its pages is an error then.
    pub fn seat(&mut self, rows: &[Seat<'_>]) -> Result<()> {
        let (count, layers) = (self.pages(), self.tables.len());
        let width = rows.iter().map(|row| row.pages.len()).max().unwrap_or(0).max(1);
        if let Some(&page) = rows.iter().flat_map(|row| row.pages).find(|&&page| page as usize >= count) {
            return Err(ModelError::TooLong { position: page as usize, what: "page pool", capacity: count });
        }
        for part in 0..2 * layers {
            let mut numbers = vec![-1; rows.len() * width]; // no page: an error if it is reached
            for (row, numbers) in rows.iter().zip(numbers.chunks_mut(width)) {
                let of_part = row.pages.iter().map(|&page| (part * count) as i32 + page as i32);
                numbers.iter_mut().zip(of_part).for_each(|(number, page)| *number = page);
            }
            self.tables[part % layers][part / layers] =
                Tensor::ids(&numbers, &[rows.len(), width], self.pages.device())?;
        }
        self.previous = None; // see `Gpt::recall`
        self.lengths = rows.iter().map(|row| row.length).collect();
        self.capacity = width * self.page_len;
        Ok(())
    }
    /// Page `to` becomes what page `from` is, in all layers.
    pub fn copy_page(&mut self, from: u32, to: u32) -> Result<()> {
        let (count, dims) = (self.pages(), self.pages.dims());
        let mut page = Tensor::uninit(&[&[1], &dims[1..]].concat(), self.pages.dtype(), self.pages.device())?;
        for part in 0..2 * self.tables.len() {
            page.write_narrow(0, 0, &self.pages.narrow(0, part * count + from as usize, 1)?)?;
            self.pages.write_narrow(0, part * count + to as usize, &page)?;
        }
        Ok(())
    }
}
