//! The demo's recipe: shapes and step counts, fixed, so that the same seed gives the same model everywhere.

use model::GptConfig;
use serde_json::{Value, json};
use train::optim::Hyper;
use train::stage::base::BaseOptions;
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
}

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
};

impl Recipe {
    /// The model's shape for a tokenizer of `vocab_size` entries.
    pub fn config(&self, vocab_size: usize) -> GptConfig {
        GptConfig {
            sequence_len: self.sequence_len,
            vocab_size,
            n_layer: self.n_layer,
            n_head: self.n_head,
            n_kv_head: self.n_head,
            n_embd: self.n_embd,
            ..GptConfig::default()
        }
    }
    /// Learning rates.
    pub fn hyper(&self) -> Hyper {
        Hyper::classic(self.n_embd)
    }
    /// Pretraining options.
    pub fn base(&self, seed: u64) -> BaseOptions {
        BaseOptions {
            device_batch_size: self.batch,
            total_batch_size: self.batch * self.sequence_len,
            num_iterations: self.base_steps,
            warmup_ratio: 0.0,
            warmdown_ratio: self.warmdown_ratio,
            final_lr_frac: 0.0,
            current: None,
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
        json!({
            "stage": stage, "tokenizer": tokenizer, "data": tokenizer, "seed": seed, "vocab_size": self.vocab_size,
            "n_layer": self.n_layer, "n_head": self.n_head, "n_embd": self.n_embd, "sequence_len": self.sequence_len,
            "batch": self.batch, "base_steps": self.base_steps, "warmdown_ratio": self.warmdown_ratio,
            "examples": self.examples, "micro": self.micro, "sft_steps": self.sft_steps, "init_lr_frac": self.init_lr_frac,
        })
    }
}
