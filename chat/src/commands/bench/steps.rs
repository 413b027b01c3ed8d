//! A training step that can be repeated and timed: a model, its optimizer and random batches.

use super::train::Args;
use crate::commands::shared::Generation;
use crate::commands::train::parts::PartArgs;
use crate::globals::Globals;
use crate::profile;
use autograd::Tape;
use kernels::philox::Philox;
use model::scaling::CurrentLrs;
use model::{Gpt, GptConfig, GptOptions};
use std::time::Instant;
use tensor::DType;
use train::TrainError;
use train::data::Batch;
use train::optim::{Hyper, NsDtype, Optimizer, StepSettings};
use train::schedule::classic_muon_momentum;
use train::trainer;

/// The random stream of token ids; the streams of weights start at 0.
const STREAM: u64 = 0xBE_7C;
/// Gradients of the classic recipe are clipped to this norm; those of the current one are not.
const CLIP: f64 = 1.0;

/// The model's shape, as options.
#[derive(clap::Args, Clone)]
pub struct Shape {
    /// Architecture and optimizer
    #[arg(long, value_enum, default_value_t)]
    pub(super) generation: Generation,
    /// Blocks
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// Width of the residual stream (default: 64 per block)
    #[arg(long, alias = "n_embd", value_name = "C")]
    n_embd: Option<usize>,
    /// Query heads (default: width / 128, rounded up)
    #[arg(long, alias = "n_head", value_name = "H")]
    n_head: Option<usize>,
    /// Key and value heads (default: as many as query heads)
    #[arg(long, alias = "n_kv_head", value_name = "H")]
    n_kv_head: Option<usize>,
    /// Number of token ids
    #[arg(long, aliases = ["vocab_size", "vocab"], value_name = "V", default_value_t = 4096)]
    pub(super) vocab_size: usize,
    #[command(flatten)]
    parts: PartArgs,
}

impl Shape {
    /// Width and heads follow from the depth where they are not given.
    pub fn config(&self, sequence_len: usize) -> anyhow::Result<GptConfig> {
        let n_embd = self.n_embd.unwrap_or(64 * self.depth);
        let n_head = self.n_head.unwrap_or(n_embd.div_ceil(128).max(1));
        let config = GptConfig {
            sequence_len,
            vocab_size: self.vocab_size,
            n_layer: self.depth,
            n_head,
            n_kv_head: self.n_kv_head.unwrap_or(n_head),
            n_embd,
            ..GptConfig::of(self.generation.family())
        };
        let config = self.parts.applied_to(config)?;
        config.validate()?;
        Ok(config)
    }
}

/// A model, its optimizer and a source of batches.
pub struct Bench {
    /// The model.
    pub gpt: Gpt,
    optimizer: Optimizer,
    /// The largest gradient norm, 0 for no clipping.
    clip: f64,
    tokens: Philox,
    /// Rows per step, B.
    pub rows: usize,
    /// Of the latest step, in nats.
    pub loss: f64,
}

impl Bench {
    /// A fresh model; nothing is timed yet.
    pub fn new(args: &Args, globals: &Globals) -> anyhow::Result<Bench> {
        let sizes = (args.sequence_len, args.device_batch_size);
        let bench =
            Bench::of(&args.shape, sizes, args.ns_dtype.chosen(), globals.seed, globals.gpt_options())?;
        if bench.gpt.options().compute == DType::F32 {
            let config = bench.gpt.config();
            profile::expect(config.memory_plan(args.device_batch_size, config.sequence_len));
        }
        Ok(bench)
    }
    /// The same of its parts: the length of rows and their number, Muon's precision, where and in what dtype.
    pub fn of(
        shape: &Shape,
        (sequence_len, rows): (usize, usize),
        ns: NsDtype,
        seed: u64,
        options: GptOptions,
    ) -> anyhow::Result<Bench> {
        Bench::with(shape.config(sequence_len)?, shape.generation, rows, ns, seed, options)
    }
    /// A fresh model of this configuration.
    pub fn with(
        config: GptConfig,
        generation: Generation,
        rows: usize,
        ns: NsDtype,
        seed: u64,
        options: GptOptions,
    ) -> anyhow::Result<Bench> {
        let gpt = Gpt::new(config, seed, options)?;
        let n_embd = gpt.config().n_embd;
        let hyper = match generation {
            Generation::Classic => Hyper::classic(n_embd),
            Generation::Current => Hyper::current(CurrentLrs::default().scaled_to(n_embd, 1.0)),
        };
        let optimizer = Optimizer::new(gpt.params(), Hyper { ns, ..hyper })?;
        let clip = if generation == Generation::Classic { CLIP } else { 0.0 };
        Ok(Bench { gpt, optimizer, clip, tokens: Philox::new(seed, STREAM), rows, loss: f64::NAN })
    }
    /// B·T.
    pub fn tokens_per_step(&self) -> usize {
        self.rows * self.gpt.config().sequence_len
    }
    /// Fresh random rows of T + 1 tokens: the first T are inputs, the last T targets.
    fn batch(&mut self) -> train::Result<Batch> {
        let (b, t) = (self.rows, self.gpt.config().sequence_len);
        let vocab = u32::try_from(self.gpt.config().vocab_size).unwrap_or(u32::MAX);
        let (mut ids, mut targets) = (Vec::with_capacity(b * t), Vec::with_capacity(b * t));
        for _ in 0..b {
            let row: Vec<i32> = (0..=t).map(|_| self.tokens.below(vocab) as i32).collect();
            ids.extend(&row[..t]);
            targets.extend(&row[1..]);
        }
        Batch::new(&ids, &targets, b, t, self.gpt.options().device)
    }
    /// One step; milliseconds.
    pub fn step(&mut self) -> anyhow::Result<f64> {
        let mut batch = Some(self.batch()?);
        self.step_on(|| batch.take().ok_or_else(|| TrainError::Config("one batch a step".into())))
    }
    /// One step on the batch that `next` gives; milliseconds, those of `next` among them.
    pub fn step_on(&mut self, next: impl FnMut() -> train::Result<Batch>) -> anyhow::Result<f64> {
        let settings = self.settings();
        let start = Instant::now();
        self.loss = trainer::step(&mut self.gpt, &mut self.optimizer, 1, next, settings, self.clip)?.loss;
        Ok(1e3 * start.elapsed().as_secs_f64())
    }
    /// A micro-batch forward and backward; milliseconds. Gradients add up until the update.
    pub fn micro_batch(&mut self) -> anyhow::Result<f64> {
        let batch = self.batch()?;
        let start = Instant::now();
        let tape = Tape::new();
        let [loss, _] = self.gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape))?;
        self.loss = loss.value().item()?;
        loss.backward(1.0)?;
        Ok(1e3 * start.elapsed().as_secs_f64())
    }
    /// The update after micro-batches; milliseconds.
    pub fn update(&mut self) -> anyhow::Result<f64> {
        let settings = self.settings();
        let start = Instant::now();
        self.optimizer.step(self.gpt.params_mut(), settings)?;
        Ok(1e3 * start.elapsed().as_secs_f64())
    }
    fn settings(&self) -> StepSettings {
        let muon_momentum = classic_muon_momentum(u64::from(self.optimizer.steps));
        StepSettings { lr_multiplier: 1.0, muon_momentum, muon_weight_decay: 0.0 }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::globals::parsed;
    use tensor::Device;

    const SMALL: [&str; 10] =
        ["--depth", "1", "--n-embd", "32", "--n-head", "2", "--vocab", "40", "--seq-len", "8"];

    /// Steps that are recorded and not computed.
    pub fn dry() -> Bench {
        let (args, globals) = parsed::<Args>(&SMALL);
        let options = GptOptions { device: Device::DryRun, compute: DType::Bf16, ..globals.gpt_options() };
        Bench::of(&args.shape, (8, 1), args.ns_dtype.chosen(), 1, options).unwrap()
    }

    /// Steps of a model so small that they take no time.
    pub fn bench(more: &[&str]) -> Bench {
        let (args, globals) = parsed::<Args>(&[&SMALL, more].concat());
        Bench::new(&args, &globals).unwrap()
    }

    #[test]
    fn batches_are_fresh_and_targets_are_the_inputs_one_further() {
        let mut bench = bench(&["--batch", "3"]);
        let (a, b) = (bench.batch().unwrap(), bench.batch().unwrap());
        let (ids, targets) = (a.ids.to_vec::<i32>().unwrap(), a.targets.to_vec::<i32>().unwrap());
        for row in 0..3 {
            assert_eq!(ids[8 * row + 1..8 * row + 8], targets[8 * row..8 * row + 7]);
        }
        assert_ne!(ids, b.ids.to_vec::<i32>().unwrap());
    }
}
