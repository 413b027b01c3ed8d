//! Bits per byte: `Σ loss / (ln 2 · Σ bytes)` over the targets that stand for bytes of text. Unlike loss per token it can be
//! compared between tokenizers. Special tokens and ignored targets count neither loss nor bytes.

use crate::data::Batch;
use crate::error::Result;
use model::Gpt;

/// Sums over some batches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BitsPerByte {
    /// Σ loss of counted targets, in nats.
    pub nats: f64,
    /// Σ bytes of counted targets.
    pub bytes: u64,
    /// Σ loss of all targets ≥ 0, in nats.
    pub all_nats: f64,
    /// Number of targets ≥ 0.
    pub targets: u64,
}

impl BitsPerByte {
    /// Bits per byte; infinite when nothing counted.
    pub fn value(&self) -> f64 {
        if self.bytes == 0 { f64::INFINITY } else { self.nats / (std::f64::consts::LN_2 * self.bytes as f64) }
    }
    /// Mean loss per target in nats; NaN when there was none.
    pub fn loss(&self) -> f64 {
        self.all_nats / self.targets as f64
    }
    /// Add a batch. `token_bytes[id]` is the length of a token in bytes, 0 for special tokens.
    pub fn add(&mut self, gpt: &Gpt, batch: &Batch, token_bytes: &[u32]) -> Result<()> {
        let [_, losses] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, None)?;
        let losses = losses.value().to_f64_vec();
        for (loss, target) in losses.into_iter().zip(batch.targets.to_vec::<i32>()?) {
            let Some(&bytes) = usize::try_from(target).ok().and_then(|t| token_bytes.get(t)) else {
                continue;
            };
            self.targets += 1;
            self.all_nats += loss;
            if bytes > 0 {
                self.nats += loss;
                self.bytes += u64::from(bytes);
            }
        }
        Ok(())
    }
}
