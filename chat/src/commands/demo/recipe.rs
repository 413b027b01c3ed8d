//! The demo's recipe: shapes and step counts, fixed, so that the same seed gives the same model everywhere.

use crate::commands::shared::Generation;
use model::scaling::CurrentLrs;
use model::{Family, GptConfig};
use serde_json::{Value, json};
use train::optim::Hyper;
use train::stage::base::{BaseOptions, CurrentOptions};
use train::stage::sft::SftOptions;

/// Everything that decides the outcome, besides data and seed.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Tokenizer entries.
    pub vocab_size: usize,
    /// Blocks.
    pub n_layer: usize,
    /// Heads.
    pub n_head: usize,
    /// Width.
    pub n_embd: usize,
    /// Context.
    pub sequence_len: usize,
    /// Rows per pretraining batch.
    pub batch: usize,
    /// Pretraining steps.
    pub base_steps: usize,
    /// Share of pretraining steps with falling learning rate.
    pub warmdown_ratio: f64,
    /// Conversations per fine-tuning step.
    pub examples: usize,
    /// Conversations per fine-tuning micro-batch.
    pub micro: usize,
    /// Fine-tuning steps.
    pub sft_steps: usize,
    /// Fine-tuning's share of the learning rates.
    pub init_lr_frac: f64,
    /// The current generation's own numbers; without them the recipe is classic.
    pub current: Option<Current>,
}

/// What the current generation needs, given outright: its rules for batch, horizon and decay are made for runs a thousand times as
/// long, and would scale the rates of so small a batch down to a tenth.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    /// Learning rate of the embedding, before scaling by width; value embeddings get half.
    pub embedding_lr: f64,
    /// Learning rate of the head, before scaling by width.
    pub unembedding_lr: f64,
    /// Learning rate of the numbers that mix.
    pub scalar_lr: f64,
    /// Learning rate of the matrices.
    pub matrix_lr: f64,
    /// Decay of the matrices.
    pub weight_decay: f64,
    /// Steps with rising learning rate.
    pub warmup_steps: u64,
    /// Where the learning rate ends, as a share of its peak.
    pub final_lr_frac: f64,
    /// Windows by layer: half of so short a context at least.
    pub window_pattern: &'static str,
}

/// What `demo` does unless it is told.
pub const DEFAULT: Generation = Generation::Current;

/// The best rates of `cargo xtask ablations demo-rates`, at this size.
const CURRENT: Current = Current {
    embedding_lr: 0.15,
    unembedding_lr: 0.008,
    scalar_lr: 0.02,
    matrix_lr: 0.03,
    weight_decay: 0.1,
    warmup_steps: 10,
    final_lr_frac: 0.0,
    window_pattern: "SSSL",
};

/// Steps of the current generation in the time of 100 of the classic one: the fewest of several timings in turn at this size, with which
/// it is better than the classic one on three seeds (`cargo xtask ablations demo`).
const CURRENT_STEPS: usize = 88;

/// For the generated world.
pub const WORLD: Recipe = Recipe {
    vocab_size: 2048,
    n_layer: 4,
    n_head: 4,
    n_embd: 256,
    sequence_len: 256,
    batch: 16,
    base_steps: 500,
    warmdown_ratio: 0.4,
    examples: 48,
    micro: 16,
    sft_steps: 220,
    init_lr_frac: 0.35,
    current: None,
};

/// For a text of the user's.
pub const TEXT: Recipe = Recipe {
    vocab_size: 2048,
    n_layer: 4,
    n_head: 4,
    n_embd: 256,
    sequence_len: 256,
    batch: 16,
    base_steps: 500,
    warmdown_ratio: 0.4,
    examples: 0,
    micro: 0,
    sft_steps: 0,
    init_lr_frac: 0.0,
    current: None,
};

impl Recipe {
    /// The recipe of a generation that takes the time of this one, which is classic.
    pub fn of(self, generation: Generation) -> Recipe {
        match generation {
            Generation::Classic => self,
            Generation::Current => {
                Recipe { current: Some(CURRENT), base_steps: self.base_steps * CURRENT_STEPS / 100, ..self }
            }
        }
    }
    /// The model's shape for a tokenizer of `vocab_size` entries.
    pub fn config(&self, vocab_size: usize) -> GptConfig {
        let family = if self.current.is_some() { Family::Current } else { Family::Classic };
        let mut config = GptConfig {
            sequence_len: self.sequence_len,
            vocab_size,
            n_layer: self.n_layer,
            n_head: self.n_head,
            n_kv_head: self.n_head,
            n_embd: self.n_embd,
            ..GptConfig::of(family)
        };
        if let Some(current) = &self.current {
            config.window_pattern = current.window_pattern.into();
        }
        config
    }
    /// Learning rates.
    pub fn hyper(&self) -> Hyper {
        let Some(c) = &self.current else { return Hyper::classic(self.n_embd) };
        let lrs = CurrentLrs::tuned(c.embedding_lr, c.unembedding_lr, c.scalar_lr, c.matrix_lr);
        Hyper::current(lrs.scaled_to(self.n_embd, 1.0))
    }
    /// Largest norm of a pretraining gradient; 0: any.
    pub fn grad_clip(&self) -> f64 {
        if self.current.is_some() { 0.0 } else { 1.0 }
    }
    /// Pretraining options.
    pub fn base(&self, seed: u64) -> BaseOptions {
        BaseOptions {
            device_batch_size: self.batch,
            total_batch_size: self.batch * self.sequence_len,
            num_iterations: self.base_steps,
            warmup_ratio: 0.0,
            warmdown_ratio: self.warmdown_ratio,
            final_lr_frac: self.current.map_or(0.0, |c| c.final_lr_frac),
            current: self
                .current
                .map(|c| CurrentOptions { warmup_steps: c.warmup_steps, weight_decay: c.weight_decay }),
            eval_tokens: 32 * self.batch * self.sequence_len,
            seed,
        }
    }
    /// Fine-tuning options.
    pub fn sft(&self, seed: u64) -> SftOptions {
        SftOptions {
            device_batch_size: self.micro,
            target_examples_per_step: self.examples,
            num_iterations: self.sft_steps,
            init_lr_frac: self.init_lr_frac,
            max_tokens: self.sequence_len + 1,
            eval_conversations: 256,
            seed,
        }
    }
    /// For checkpoints: a demo of another recipe is another run.
    pub fn describe(&self, stage: &str, tokenizer: &str, seed: u64) -> Value {
        let mut all = json!({
            "stage": stage, "tokenizer": tokenizer, "data": tokenizer, "seed": seed, "vocab_size": self.vocab_size,
            "n_layer": self.n_layer, "n_head": self.n_head, "n_embd": self.n_embd, "sequence_len": self.sequence_len,
            "batch": self.batch, "base_steps": self.base_steps, "warmdown_ratio": self.warmdown_ratio,
            "examples": self.examples, "micro": self.micro, "sft_steps": self.sft_steps, "init_lr_frac": self.init_lr_frac,
        });
        if let Some(c) = &self.current {
            all["current"] = json!({
                "embedding_lr": c.embedding_lr, "unembedding_lr": c.unembedding_lr, "scalar_lr": c.scalar_lr, "matrix_lr": c.matrix_lr,
                "weight_decay": c.weight_decay, "warmup_steps": c.warmup_steps, "final_lr_frac": c.final_lr_frac,
                "window_pattern": c.window_pattern,
            });
        }
        all
    }
}
