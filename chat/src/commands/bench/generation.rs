//! Generating that can be repeated and timed: a model with random weights, a prompt read once, and tokens drawn one after
//! the other for a number of rows that continue it.

use super::decode::Args;
use crate::globals::Globals;
use kernels::philox::Philox;
use model::generate::{Sampler, Sampling};
use model::{Gpt, GptConfig, KvCache, Quantize, init};
use std::rc::Rc;
use std::time::Instant;
use tensor::Tensor;

/// The random stream of the prompt; the streams of weights start at 0.
const STREAM: u64 = 0xDE_C0;
/// Standard deviation of the matrices that begin as zeros: with those, all tokens would be equally likely.
const STD: f64 = 0.02;
/// Tokens are drawn from so many of the most likely, at temperature 1.
pub const TOP_K: usize = 50;

/// A model with random weights everywhere, prepared for drawing tokens.
pub fn random_model(config: GptConfig, quantize: Option<Quantize>, globals: &Globals) -> anyhow::Result<Gpt> {
    let options = globals.gpt_options();
    let mut weights = init::weights(&config, globals.seed, options.device)?;
    for (stream, (name, weight)) in weights.iter_mut().enumerate() {
        let dims = weight.dims().to_vec();
        if init::start(&config, name, &dims) == init::Start::Normal(0.0) {
            *weight = init::normal(globals.seed, stream as u64, STD, &dims, options.device)?;
        }
    }
    Ok(Gpt::from_weights(config, weights, options)?.for_inference(quantize)?)
}

/// A model in the middle of a text.
pub struct Generation {
    /// The model; others may use it, too, between two steps.
    pub gpt: Rc<Gpt>,
    prompt: Vec<i32>,
    /// Rows that continue the prompt, B.
    pub rows: usize,
    new_tokens: usize,
    sampler: Sampler,
    /// The prompt alone.
    read: Option<KvCache>,
    /// Every row's text, its latest token (not in the cache yet), and how many were drawn since the prompt.
    running: Option<(KvCache, Vec<i32>, usize)>,
}

impl Generation {
    /// A model and a random prompt; nothing is timed yet.
    pub fn new(args: &Args, globals: &Globals) -> anyhow::Result<Generation> {
        let config = args.shape.config(args.prompt + args.new_tokens)?;
        let gpt = random_model(config, args.weights.quantize(), globals)?;
        Generation::with(&Rc::new(gpt), args.batch, args.prompt, args.new_tokens, globals.seed)
    }
    /// The same with a model that is there already: `rows` rows continue a prompt of `prompt` tokens.
    pub fn with(
        gpt: &Rc<Gpt>,
        rows: usize,
        prompt: usize,
        new_tokens: usize,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut tokens = Philox::new(seed, STREAM);
        let vocab = u32::try_from(gpt.config().vocab_size).unwrap_or(u32::MAX);
        let prompt = (0..prompt).map(|_| tokens.below(vocab) as i32).collect();
        let sampler = Sampler::new(Sampling { temperature: 1.0, top_k: Some(TOP_K), seed })?;
        Ok(Generation { gpt: Rc::clone(gpt), prompt, rows, new_tokens, sampler, read: None, running: None })
    }
    /// Tokens of the prompt.
    pub fn prompt_len(&self) -> usize {
        self.prompt.len()
    }
    /// Read the prompt into a new cache and draw the token after it; milliseconds.
    pub fn prefill(&mut self) -> anyhow::Result<f64> {
        let start = Instant::now();
        let mut cache = self.gpt.cache(1, self.prompt.len())?;
        let ids = Tensor::ids(&self.prompt, &[1, self.prompt.len()], self.gpt.options().device)?;
        let logits = self.gpt.logits_cached(&ids, &mut cache)?;
        self.sampler.draw(&logits)?;
        let ms = 1e3 * start.elapsed().as_secs_f64();
        (self.read, self.running) = (Some(cache), None);
        Ok(ms)
    }
    /// One more token for each row; milliseconds. After the last of the new tokens the rows begin again behind the
    /// prompt, outside the clock.
    pub fn step(&mut self) -> anyhow::Result<f64> {
        let (mut cache, ids, drawn) = match self.running.take().filter(|(.., drawn)| *drawn < self.new_tokens)
        {
            Some(running) => running,
            None => self.begin()?,
        };
        let start = Instant::now();
        let ids = Tensor::ids(&ids, &[self.rows, 1], self.gpt.options().device)?;
        let logits = self.gpt.logits_cached(&ids, &mut cache)?;
        let ids = self.sampler.draw(&logits)?.into_iter().map(|id| id as i32).collect();
        let ms = 1e3 * start.elapsed().as_secs_f64();
        self.running = Some((cache, ids, drawn + 1));
        Ok(ms)
    }
    /// Let the rows begin again behind the prompt.
    pub fn rewind(&mut self) {
        self.running = None;
    }
    /// All rows right behind the prompt.
    fn begin(&mut self) -> anyhow::Result<(KvCache, Vec<i32>, usize)> {
        if self.read.is_none() {
            self.prefill()?;
        }
        let capacity = self.prompt.len() + self.new_tokens;
        let read = self.read.as_ref();
        let wide = read.map(|read| read.replicate(self.gpt.config(), self.rows, capacity)).transpose()?;
        let wide = wide.ok_or_else(|| anyhow::anyhow!("the prompt was not read"))?;
        Ok((wide, vec![self.prompt[0]; self.rows], 0))
    }
    /// Positions in a row's cache in the middle of the new tokens.
    pub fn middle_context(&self) -> usize {
        self.prompt.len() + self.new_tokens.div_ceil(2)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::globals::parsed;

    /// A model so small that it takes no time.
    pub fn generation(more: &[&str]) -> Generation {
        let line = "--depth 1 --n-embd 32 --n-head 2 --vocab 40 --prompt 5 --new 3";
        let line: Vec<&str> = line.split(' ').chain(more.iter().copied()).collect();
        let (args, globals) = parsed::<Args>(&line);
        Generation::new(&args, &globals).unwrap()
    }

    #[test]
    fn after_the_last_new_token_the_rows_begin_again_behind_the_prompt() {
        let mut g = generation(&["--batch", "2"]);
        let mut lengths = Vec::new();
        for _ in 0..5 {
            assert!(g.step().unwrap() > 0.0);
            lengths.push(g.running.as_ref().unwrap().0.lengths().to_vec());
        }
        assert_eq!(lengths, [[6, 6], [7, 7], [8, 8], [6, 6], [7, 7]]);
        assert!(g.prefill().unwrap() > 0.0);
        g.step().unwrap();
        assert_eq!(g.running.as_ref().unwrap().0.lengths(), [6, 6]);
    }

    #[test]
    fn tokens_differ_in_likelihood_from_the_start() {
        let g = generation(&[]);
        let mut cache = g.gpt.cache(1, 1).unwrap();
        let ids = Tensor::ids(&[1], &[1, 1], g.gpt.options().device).unwrap();
        let logits = g.gpt.logits_cached(&ids, &mut cache).unwrap().to_f64_vec();
        assert!(logits.iter().any(|&z| z != logits[0]), "{logits:?}");
    }
}
