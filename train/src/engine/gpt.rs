//! The model behind the engine: a [`Gpt`] and one pool of cache pages.

use super::forward::{Forward, Seat};
use model::cache::PAGE_LEN;
use model::{Gpt, KvCache, ModelError};
use tensor::Tensor;

/// A model that was borrowed, and its pages.
pub struct GptForward<'a> {
    gpt: &'a Gpt,
    pool: KvCache,
    pages: usize,
}

impl<'a> GptForward<'a> {
    /// With so many pages of [`PAGE_LEN`] positions; [`page_bytes`] says what one costs.
    pub fn new(gpt: &'a Gpt, pages: usize) -> Result<Self, ModelError> {
        let options = gpt.options();
        let pool = KvCache::pool(gpt.config(), pages, options.compute, options.device)?;
        Ok(GptForward { gpt, pool, pages })
    }
    /// With room for `rows` rows of `tokens` positions.
    pub fn for_rows(gpt: &'a Gpt, rows: usize, tokens: usize) -> Result<Self, ModelError> {
        GptForward::new(gpt, rows * tokens.div_ceil(PAGE_LEN).max(1))
    }
    /// The model.
    pub fn gpt(&self) -> &'a Gpt {
        self.gpt
    }
    fn seat(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<Tensor, ModelError> {
        self.pool.seat(rows)?;
        self.gpt.recall(&mut self.pool, &rows.iter().map(|row| row.before).collect::<Vec<_>>())?;
        let ids: Vec<i32> = tokens.iter().map(|&id| id as i32).collect();
        let each = ids.len() / rows.len().max(1);
        Ok(Tensor::ids(&ids, &[rows.len(), each], self.gpt.options().device)?)
    }
}

/// Bytes of one page in all layers.
pub fn page_bytes(gpt: &Gpt) -> usize {
    let per_token = gpt.config().cache_bytes_per_token(gpt.options().compute.size());
    usize::try_from(per_token).unwrap_or(usize::MAX).saturating_mul(PAGE_LEN)
}

impl Forward for GptForward<'_> {
    type Error = ModelError;

    fn pages(&self) -> usize {
        self.pages
    }
    fn page_len(&self) -> usize {
        PAGE_LEN
    }
    fn vocab_size(&self) -> usize {
        self.gpt.config().vocab_size
    }
    fn context(&self) -> usize {
        self.gpt.rotary().positions()
    }
    fn feed(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<Tensor, ModelError> {
        let ids = self.seat(rows, tokens)?;
        self.gpt.logits_cached(&ids, &mut self.pool)
    }
    fn fill(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<(), ModelError> {
        let ids = self.seat(rows, tokens)?;
        self.gpt.hidden_cached(&ids, &mut self.pool).map(drop)
    }
    fn score(&mut self, row: &Seat<'_>, tokens: &[u32]) -> Result<Tensor, ModelError> {
        let ids = self.seat(std::slice::from_ref(row), tokens)?;
        let hidden = self.gpt.hidden_cached(&ids, &mut self.pool)?;
        self.gpt.logits(hidden.value())
    }
    fn copy_page(&mut self, from: u32, to: u32) -> Result<(), ModelError> {
        self.pool.copy_page(from, to)
    }
}
