//! What a training step of the classic family needs in memory, by formula: the numbers that measurements are put beside.
//!
//! With N parameters, R = B·T rows, width C and K key and value channels, in f32 (4 bytes each):
//! weights N, gradients N, optimizer states 2 per parameter of AdamW and 1 of Muon. Kept for backward: per block
//! `R·(12·C + 2·K)` (the two norms, q, k, v, o, and the MLP before and after its activation, 4C each), the embedding and the
//! final norm `2·R·C`, and the gradients that the fused head makes on the way, `R·C + V·C`. On top comes one chunk of logits.
//! Statistics of rows (a few numbers each) are not counted.

use crate::config::{Family, GptConfig};
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
    /// The plan for `b` rows of `t` tokens in f32; `None` for families that have no formula here.
    pub fn memory_plan(&self, b: usize, t: usize) -> Option<MemoryPlan> {
        if self.family != Family::Classic {
            return None;
        }
        let [rows, c, v, layers] = [b * t, self.n_embd, self.vocab_size, self.n_layer].map(|n| n as u64);
        let (n, groups) = (self.num_params(), self.params_by_group());
        let kv = (self.n_kv_head * self.head_dim()) as u64;
        let blocks = layers * rows * (12 * c + 2 * kv);
        Some(MemoryPlan {
            weights: 4 * n,
            gradients: 4 * n,
            optimizer: 4 * (2 * (groups.wte + groups.lm_head) + groups.transformer_matrices),
            saved: 4 * (blocks + 2 * rows * c + (rows * c + v * c)),
            chunk: 4 * rows.min(chunk_rows(self.vocab_size) as u64) * v,
        })
    }
}
