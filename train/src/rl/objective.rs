//! The loss of a policy gradient as a weighted sum of cross-entropies: each row of the batch has the weight
//! `A / (valid · passes · examples)`, and the gradient is that of the sum.
//!
//! `logp = −loss`, so `−Σ logp·A = Σ A·loss`. Advantages are the reward less the mean of all samples of the problem; there is no
//! division by their deviation, so problems of which nearly all samples fail count as they are.

use crate::data::padded::pad;
use crate::data::{Batch, Rows};
use crate::error::Result;
use kernels::planted;
use serde::{Deserialize, Serialize};
use tensor::{DType, Device, Tensor};
use tokenizer::conversation::Rendered;

/// Reward less the mean reward.
pub fn advantages(rewards: &[f64]) -> Vec<f64> {
    let mean = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
    rewards.iter().map(|r| r - mean).collect()
}

/// One pass: some rows of an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Ids and targets, padded to the longest of the example.
    pub rows: Rows,
    /// Weight of each position's loss (b·t).
    pub weights: Vec<f64>,
    /// Targets that count, at least 1.
    pub valid: usize,
    /// What a target with advantage 1 weighs.
    pub share: f64,
}

/// The passes of one example: `sequences` with what was drawn marked, `b` rows at a time. Sequences are padded with `pad_id`;
/// tokens outside the mask are no targets. `examples` share a step.
pub fn passes(
    sequences: &[Rendered],
    advantages: &[f64],
    b: usize,
    examples: usize,
    pad_id: u32,
) -> Vec<Pass> {
    let whole = pad(&sequences.iter().collect::<Vec<_>>(), pad_id as i32);
    let (t, b) = (whole.t, b.max(1));
    let count = sequences.len().div_ceil(b);
    let pass = |i: usize| {
        let (from, to) = (i * b, ((i + 1) * b).min(sequences.len()));
        let targets = whole.targets[from * t..to * t].to_vec();
        let rows = Rows { ids: whole.ids[from * t..to * t].to_vec(), targets, b: to - from, t };
        let valid = rows.targets.iter().filter(|&&target| target >= 0).count().max(1);
        let share =
            1.0 / (valid * planted!("objective.passes_not_counted", count => 1) * examples.max(1)) as f64;
        let weight = |(at, &target): (usize, &i32)| match target >= 0 {
            true => advantages[from + at / t] * share,
            false => 0.0,
        };
        let weights = rows.targets.iter().enumerate().map(weight).collect();
        Pass { rows, weights, valid, share }
    };
    (0..count).map(pass).collect()
}

impl Pass {
    /// As tensors, with `factor` times the weights of this objective: a trainer that divides by the number of micro-batches is
    /// given that number.
    pub fn on(&self, device: Device, factor: f64) -> Result<Batch> {
        let batch = self.rows.on(device)?;
        let dtype = if device == Device::Reference { DType::F64 } else { DType::F32 };
        let weights: Vec<f64> = self.weights.iter().map(|w| w * factor).collect();
        let weight = Tensor::from_f64(&weights, &[weights.len()], dtype, device)?;
        Ok(Batch { weight, valid: self.valid, ..batch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_compared_with_their_mean_and_not_scaled() {
        assert_eq!(advantages(&[1.0, 0.0, 0.0, 0.0]), [0.75, -0.25, -0.25, -0.25]);
        assert_eq!(advantages(&[1.0, 1.0]), [0.0, 0.0]);
        assert!(advantages(&[]).is_empty());
    }

    #[test]
    fn each_pass_is_divided_by_its_own_tokens_and_forced_tokens_do_not_count() {
        let row = |ids: &[u32], mask: &[u8]| Rendered { ids: ids.to_vec(), mask: mask.to_vec() };
        let rows = [row(&[1, 2, 3, 4], &[0, 1, 0, 1]), row(&[1, 5], &[0, 1]), row(&[1, 6, 7], &[0, 1, 1])];
        let passes = passes(&rows, &[0.5, -1.0, 2.0], 2, 3, 9);
        assert_eq!(passes.len(), 2);
        assert_eq!((passes[0].valid, passes[0].rows.b, passes[0].rows.t), (3, 2, 3));
        assert_eq!(passes[0].rows.targets, [2, -1, 4, 5, -1, -1]);
        let unit = 1.0 / (3.0 * 2.0 * 3.0);
        assert_eq!(passes[0].weights, [0.5 * unit, 0.0, 0.5 * unit, -unit, 0.0, 0.0]);
        assert_eq!(passes[1].rows.ids, [1, 6, 9]);
        assert_eq!(passes[1].weights[2], 0.0);
    }
}
