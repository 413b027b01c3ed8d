//! Pretraining: predict the next token of documents.

use super::looping::Stage;
use crate::bpb::BitsPerByte;
use crate::data::{Batch, Loader, Rows, TokenStream};
use crate::error::{Result, TrainError};
use crate::optim::StepSettings;
use crate::schedule::{Trapezoid, classic_muon_momentum, current_muon_momentum, current_muon_weight_decay};
use model::Gpt;
use model::generate::{Sampling, generate};
use serde::{Deserialize, Serialize};
use tensor::Device;
use tokenizer::Tokenizer;

/// Options that decide the course of a pretraining run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseOptions {
    /// Rows per micro-batch, B.
    pub device_batch_size: usize,
    /// Tokens per optimizer step; a multiple of B·T.
    pub total_batch_size: usize,
    /// Optimizer steps.
    pub num_iterations: usize,
    /// Share of steps with rising learning rate.
    pub warmup_ratio: f64,
    /// Share of steps with falling learning rate.
    pub warmdown_ratio: f64,
    /// Where the learning rate ends, as a share of its peak.
    pub final_lr_frac: f64,
    /// Of the current generation, whose schedules differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<CurrentOptions>,
    /// Tokens validated per evaluation.
    pub eval_tokens: usize,
    /// Order of documents.
    pub seed: u64,
}

/// What the schedules of the current generation need besides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurrentOptions {
    /// Steps with rising learning rate, in place of a share.
    pub warmup_steps: u64,
    /// Muon's weight decay at the first step, after scaling.
    pub weight_decay: f64,
}

/// The stage.
pub struct Base {
    options: BaseOptions,
    schedule: Trapezoid,
    train: Box<dyn Loader>,
    validation: Option<Box<dyn Loader>>,
    tokenizer: Tokenizer,
    token_bytes: Vec<u32>,
    sequence_len: usize,
    device: Device,
    /// Passes over the data of which it was said that they are done.
    told: u64,
    /// Beginnings to continue when samples are shown.
    pub prompts: Vec<String>,
}

impl Base {
    /// From documents in memory, in an order drawn from the seed. `sequence_len` is the model's T.
    pub fn new(
        options: BaseOptions,
        documents: &[String],
        validation: &[String],
        tokenizer: &Tokenizer,
        sequence_len: usize,
        device: Device,
    ) -> Result<Base> {
        let train = Box::new(TokenStream::new(documents, tokenizer, Some(options.seed))?);
        let validation: Option<Box<dyn Loader>> = match validation.is_empty() {
            true => None,
            false => Some(Box::new(TokenStream::new(validation, tokenizer, None)?)),
        };
        Base::with_loaders(options, train, validation, tokenizer, sequence_len, device)
    }
    /// From loaders of documents.
    pub fn with_loaders(
        options: BaseOptions,
        train: Box<dyn Loader>,
        validation: Option<Box<dyn Loader>>,
        tokenizer: &Tokenizer,
        sequence_len: usize,
        device: Device,
    ) -> Result<Base> {
        micro_batches(&options, sequence_len)?;
        let (n, down, last) = (options.num_iterations as u64, options.warmdown_ratio, options.final_lr_frac);
        let schedule = match options.current {
            Some(current) => Trapezoid::current(n, current.warmup_steps, down, last),
            None => Trapezoid::classic(n, options.warmup_ratio, down, last),
        };
        Ok(Base {
            schedule,
            train,
            validation,
            token_bytes: tokenizer.token_bytes(),
            tokenizer: tokenizer.clone(),
            sequence_len,
            device,
            options,
            told: 0,
            prompts: Vec::new(),
        })
    }
    /// Training tokens per epoch, where that is known.
    pub fn tokens_per_epoch(&self) -> Option<usize> {
        self.train.tokens_per_epoch()
    }
}

fn micro_batches(options: &BaseOptions, t: usize) -> Result<usize> {
    let micro = options.device_batch_size * t;
    if micro == 0 || options.total_batch_size == 0 || !options.total_batch_size.is_multiple_of(micro) {
        let total = options.total_batch_size;
        let near = (total / micro.max(1)).max(1) * micro;
        return Err(TrainError::Config(format!(
            "total batch size {total} is not a multiple of device batch size {} × sequence length {t} = {micro}; use {near} or {}",
            options.device_batch_size,
            near + micro,
        )));
    }
    Ok(options.total_batch_size / micro)
}

/// Bits per byte over about `tokens` tokens of a loader, from its beginning, and at most one pass.
pub fn evaluate_loader(
    gpt: &Gpt,
    loader: &mut dyn Loader,
    token_bytes: &[u32],
    b: usize,
    tokens: usize,
) -> Result<BitsPerByte> {
    let (t, device) = (gpt.config().sequence_len, gpt.options().device);
    let mut sums = BitsPerByte::default();
    held_out_rows(loader, b, t, tokens, &mut |rows| sums.add(gpt, &rows.on(device)?, token_bytes))?;
    Ok(sums)
}

/// The rows of an evaluation of about `tokens` tokens, `b` at a time.
pub fn held_out_rows(
    loader: &mut dyn Loader,
    b: usize,
    t: usize,
    tokens: usize,
    see: &mut dyn FnMut(Rows) -> Result<()>,
) -> Result<()> {
    loader.restart()?;
    let available = loader.tokens_per_epoch().map_or(tokens, |n| tokens.min(n));
    for _ in 0..(available / (b * t)).max(1) {
        see(loader.rows(b, t)?)?;
        if loader.epochs_done() > 0 {
            break;
        }
    }
    Ok(())
}

impl Stage for Base {
    fn name(&self) -> &'static str {
        "base"
    }
    fn next_batch(&mut self) -> Result<Batch> {
        self.train.rows(self.options.device_batch_size, self.sequence_len)?.on(self.device)
    }
    fn micro_batches(&self) -> usize {
        self.options.total_batch_size / (self.options.device_batch_size * self.sequence_len)
    }
    fn position(&self) -> serde_json::Value {
        self.train.position()
    }
    fn seek(&mut self, position: &serde_json::Value) -> Result<()> {
        self.train.seek(position)?;
        self.told = self.train.epochs_done();
        Ok(())
    }
    fn figures(&self) -> Vec<(String, f64)> {
        vec![("epochs".into(), self.train.epochs_done() as f64)]
    }
    fn notice(&mut self) -> Option<String> {
        let done = self.train.epochs_done();
        let more = done > std::mem::replace(&mut self.told, done);
        let times = if done == 1 { "once".to_string() } else { format!("{done} times") };
        more.then(|| format!("all documents were read {times} and begin again"))
    }
    fn settings(&self, step: usize) -> StepSettings {
        let (step, n) = (step as u64, self.options.num_iterations as u64);
        let (muon_momentum, muon_weight_decay) = match self.options.current {
            Some(current) => (
                current_muon_momentum(step, &self.schedule),
                current_muon_weight_decay(step, n, current.weight_decay),
            ),
            None => (classic_muon_momentum(step), 0.0),
        };
        StepSettings { lr_multiplier: self.schedule.lr_multiplier(step), muon_momentum, muon_weight_decay }
    }
    fn evaluate(&mut self, gpt: &Gpt) -> Result<BitsPerByte> {
        match &mut self.validation {
            Some(v) => evaluate_loader(
                gpt,
                v.as_mut(),
                &self.token_bytes,
                self.options.device_batch_size,
                self.options.eval_tokens,
            ),
            None => Ok(BitsPerByte::default()),
        }
    }
    fn sample_count(&self) -> usize {
        self.prompts.len()
    }
    fn samples(&mut self, gpt: &Gpt) -> Result<Vec<(String, String)>> {
        let mut out = Vec::new();
        for prompt in &self.prompts {
            let ids = self.tokenizer.encode_between(Some(self.tokenizer.bos()), prompt, None);
            let bos = self.tokenizer.bos();
            let mut text = generate(gpt, &ids, 48, Sampling::greedy(), |id| id != bos)?;
            if text.last() == Some(&bos) {
                text.pop();
            }
            out.push((prompt.clone(), self.tokenizer.decode(&text)?));
        }
        Ok(out)
    }
}
