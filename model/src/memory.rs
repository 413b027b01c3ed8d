//! What a training step needs in memory, by formula: the numbers that measurements are put beside, and by which the rows of a
//! micro-batch are chosen where nobody does.
//!
//! With N parameters, R = B·T rows, width C and K key and value channels, in f32 (4 bytes each):
//! weights N, gradients N, optimizer states 2 per parameter of AdamW and 1 of Muon. Kept for backward: per block
//! `R·(12·C + 2·K)` (the two norms, q, k, v, o, and the MLP before and after its activation, 4C each), the embedding and the
//! final norm `2·R·C`, and the gradients that the fused head makes on the way, `R·C + V·C`. On top comes one chunk of logits.
//! Statistics of rows (a few numbers each) are not counted.
//!
//! Parts add to it: mixing keeps what each block reads, `R·L·C`, and the smeared embedding, backout the last sum, value
//! embeddings the rows that were looked up and the values before them, `2·R·K` in every other layer. A gate in the MLP makes three
//! wide rows of two.

use crate::config::GptConfig;
use autograd::ops::lm_head_loss::chunk_rows;

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The model.
    pub weights: u64,
    /// One per weight.
    pub gradients: u64,
    /// AdamW's two moments, Muon's momentum.
    pub optimizer: u64,
    /// Alive between forward and backward.
    pub saved: u64,
    /// The largest temporary: a chunk of logits.
    pub chunk: u64,
}

impl MemoryPlan {
    /// All of it: the expected peak.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.saved + self.chunk
    }
}

impl GptConfig {
    /// The plan for `b` rows of `t` tokens in f32.
    pub fn memory_plan(&self, b: usize, t: usize) -> MemoryPlan {
        let [rows, c, v, layers] = [b * t, self.n_embd, self.padded_vocab(), self.n_layer].map(|n| n as u64);
        let (n, groups, parts) = (self.num_params(), self.params_by_group(), self.parts);
        let kv = (self.n_kv_head * self.head_dim()) as u64;
        let wide = self.mlp_width() as u64 * if parts.gated_mlp { 3 } else { 2 };
        let mut saved = layers * rows * (4 * c + wide + 2 * kv) + 2 * rows * c + (rows * c + v * c);
        let with_values = (0..self.n_layer).filter(|&layer| self.has_values(layer)).count() as u64;
        saved += if parts.mixing { (layers + 1) * rows * c } else { 0 };
        saved += if parts.backout { rows * c } else { 0 };
        saved += with_values * rows * 2 * kv;
        let one_moment = groups.transformer_matrices;
        MemoryPlan {
            weights: 4 * n,
            gradients: 4 * n,
            optimizer: 4 * (2 * (n - one_moment) + one_moment),
            saved: 4 * saved,
            chunk: 4 * rows.min(chunk_rows(self.vocab_size) as u64) * v,
        }
    }

    /// How many rows a micro-batch may have if a step has `total` and `bytes` are free: a power of two that divides `total`, at most
    /// `most`, and at least 1, whatever is free.
    pub fn rows_that_fit(&self, total: usize, most: usize, bytes: u64) -> usize {
        let powers = (0..usize::BITS).map(|i| 1 << i).take_while(|rows| *rows <= most.min(total));
        let fits = |rows: &usize| {
            total.is_multiple_of(*rows) && self.memory_plan(*rows, self.sequence_len).total() <= bytes
        };
        powers.filter(fits).last().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_batch_has_as_many_rows_as_fit_and_divide() {
        let config = GptConfig::classic_from_depth(4, 4096, 512).unwrap();
        let room = |rows| config.memory_plan(rows, 512).total();
        assert_eq!(config.rows_that_fit(512, 32, u64::MAX), 32);
        assert_eq!(config.rows_that_fit(512, 32, room(8)), 8);
        assert_eq!(config.rows_that_fit(512, 32, room(8) - 1), 4);
        assert_eq!(config.rows_that_fit(12, 32, u64::MAX), 4);
        assert_eq!([config.rows_that_fit(7, 32, u64::MAX), config.rows_that_fit(512, 32, 0)], [1, 1]);
    }
}
