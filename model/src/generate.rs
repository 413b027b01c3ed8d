//! Drawing tokens: temperature, exact top-k, one seeded random stream.
//!
//! Temperature 0 takes the largest logit (the first of equals) and needs no randomness. Otherwise one uniform number per
//! row and step is taken from Philox stream `STREAM` of the seed, so a seed fixes the text.

use crate::error::{ModelError, Result};
use crate::gpt::Gpt;
use kernels::philox::Philox;
use kernels::sample;
use tensor::{DType, Tensor};

/// The random stream that sampling draws from.
const STREAM: u64 = 0x73616d70;

/// How tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; 0 = always the most likely token.
    pub temperature: f64,
    /// Only the k most likely tokens are considered.
    pub top_k: Option<usize>,
    /// Seed of the random stream.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: None, seed: 42 }
    }
}

impl Sampling {
    /// The most likely token, always.
    pub fn greedy() -> Self {
        Sampling { temperature: 0.0, ..Sampling::default() }
    }
}

/// The probability of every token: softmax of `logits / temperature` over the `top_k` largest (exactly that many; ties go
/// to the lowest index), 0 elsewhere. Temperature 0 is certain of the largest. This is the distribution that
/// [`kernels::sample`] draws from, which never writes it down.
pub fn sampling_probabilities(logits: &[f32], temperature: f64, top_k: Option<usize>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&i, &j| {
        let descending = logits[j].partial_cmp(&logits[i]);
        descending.unwrap_or(logits[j].is_nan().cmp(&logits[i].is_nan())).then(i.cmp(&j))
    });
    order.truncate(top_k.filter(|&k| k > 0).unwrap_or(logits.len()));
    let mut p = vec![0.0; logits.len()];
    let Some(&first) = order.first() else { return p };
    if temperature == 0.0 {
        p[first] = 1.0;
        return p;
    }
    let max = f64::from(logits[first]);
    for &i in &order {
        p[i] = ((f64::from(logits[i]) - max) / temperature).exp();
    }
    let total: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= total);
    p
}

/// Draws one token per row and call.
pub struct Sampler {
    sampling: Sampling,
    rng: Philox,
}

impl Sampler {
    /// Refuses negative temperatures; a top-k of 0 means off.
    pub fn new(mut sampling: Sampling) -> Result<Sampler> {
        if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
            let t = sampling.temperature;
            return Err(ModelError::Sampling(format!("temperature {t} is not 0 or a positive number")));
        }
        sampling.top_k = sampling.top_k.filter(|&k| k > 0);
        Ok(Sampler { sampling, rng: Philox::new(sampling.seed, STREAM) })
    }
    /// One token for each row of logits (rows, V).
    pub fn draw(&mut self, logits: &Tensor) -> Result<Vec<u32>> {
        let rows = logits.dim(0);
        let uniforms: Vec<f32> = (0..rows).map(|_| self.rng.uniform()).collect();
        let device = logits.device();
        let uniforms = Tensor::from_slice(&uniforms, &[rows], device)?;
        let mut ids = Tensor::uninit(&[rows], DType::I32, device)?;
        let Sampling { temperature, top_k, .. } = self.sampling;
        sample::sample(device.backend(), logits.view(), uniforms.view(), temperature, top_k, ids.view_mut()?)
            .map_err(tensor::TensorError::from)?;
        let drawn = ids.to_vec::<i32>()?.into_iter().map(|id| u32::try_from(id).ok());
        drawn.collect::<Option<_>>().ok_or_else(|| {
            let what = "the model produced logits that are not finite; its weights are damaged";
            ModelError::Sampling(what.into())
        })
    }
}

/// Generate up to `max_tokens` ids after `prompt` (one row) through the cache; `on_token` returning `false` stops.
pub fn generate(
    gpt: &Gpt,
    prompt: &[u32],
    max_tokens: usize,
    sampling: Sampling,
    mut on_token: impl FnMut(u32) -> bool,
) -> Result<Vec<u32>> {
    let mut sampler = Sampler::new(sampling)?;
    let mut cache = gpt.cache(1, prompt.len() + max_tokens)?;
    let row = |ids: &[u32]| -> Result<Tensor> {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Ok(Tensor::ids(&ids, &[1, ids.len()], gpt.options().device)?)
    };
    if prompt.is_empty() {
        return Err(ModelError::Sampling("an empty prompt: begin with the <|bos|> token".into()));
    }
    let mut logits = gpt.logits_cached(&row(prompt)?, &mut cache)?;
    let mut out = Vec::new();
    while out.len() < max_tokens {
        let token = sampler.draw(&logits)?[0];
        out.push(token);
        if !on_token(token) || out.len() == max_tokens {
            break;
        }
        logits = gpt.logits_cached(&row(&[token])?, &mut cache)?;
    }
    Ok(out)
}
