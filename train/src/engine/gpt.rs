//! The model behind the engine: a cache per call, replicated to the rows after one prefill.

use super::generate::{Forward, Sampling};
use model::generate::Sampler;
use model::{Gpt, KvCache, ModelError};
use tensor::Tensor;

/// A [`Gpt`] and the state of one generation.
pub struct GptForward<'a> {
    gpt: &'a Gpt,
    cache: Option<KvCache>,
    logits: Option<Tensor>,
    sampler: Option<Sampler>,
}

impl<'a> GptForward<'a> {
    /// Nothing processed yet.
    pub fn new(gpt: &'a Gpt) -> Self {
        GptForward { gpt, cache: None, logits: None, sampler: None }
    }
    fn ids(&self, ids: &[u32], dims: &[usize]) -> Result<Tensor, ModelError> {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Ok(Tensor::ids(&ids, dims, self.gpt.options().device)?)
    }
}

/// Logits and cache exist between `prefill` and the end; the engine calls in that order.
fn order() -> ModelError {
    ModelError::Sampling("generation was continued before it was started".into())
}

impl Forward for GptForward<'_> {
    type Error = ModelError;

    fn prefill(&mut self, prompt: &[u32], rows: usize, max_new: Option<usize>) -> Result<(), ModelError> {
        let config = self.gpt.config();
        let capacity = match max_new {
            Some(n) => prompt.len() + n,
            None => config.sequence_len.max(prompt.len()),
        };
        let mut one = self.gpt.cache(1, prompt.len())?;
        let last = self.gpt.logits_cached(&self.ids(prompt, &[1, prompt.len()])?, &mut one)?;
        let vocab = last.dim(1);
        self.logits = Some(last.expand(&[rows, vocab])?.contiguous()?);
        self.cache = Some(one.replicate(config, rows, capacity)?);
        self.sampler = None;
        Ok(())
    }
    fn sample(&mut self, sampling: &Sampling, _draw: u64) -> Result<Vec<u32>, ModelError> {
        if self.sampler.is_none() {
            let Sampling { temperature, top_k, seed } = *sampling;
            let wanted = model::generate::Sampling { temperature: f64::from(temperature), top_k, seed };
            self.sampler = Some(Sampler::new(wanted)?);
        }
        match (&mut self.sampler, &self.logits) {
            (Some(sampler), Some(logits)) => sampler.draw(logits),
            _ => Err(order()),
        }
    }
    fn step(&mut self, column: &[u32]) -> Result<(), ModelError> {
        let ids = self.ids(column, &[column.len(), 1])?;
        let cache = self.cache.as_mut().ok_or_else(order)?;
        self.logits = Some(self.gpt.logits_cached(&ids, cache)?);
        Ok(())
    }
}
