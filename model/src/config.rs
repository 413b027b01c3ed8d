//! The shape of a model, and what follows from it: tensor names, parameter counts, FLOPs.
//!
//! One number, the depth, is enough to describe a model of the series: [`GptConfig::classic_from_depth`]
//! derives the width and the number of heads. Everything else (which tensors there are, how many parameters,
//! how much work one token is) follows from the configuration alone, so it can be asked before anything is
//! allocated.
//!
//! Field names are nanochat's, and so is the JSON form, so that its checkpoints can be read. What the current family adds
//! is in `config/current.rs`. How long to train a model of a given shape is in `scaling.rs`.

mod current;
mod error;
mod json;
mod parts;

pub use error::ConfigError;
pub use parts::{Part, Parts};

use serde::{Deserialize, Serialize};

/// Which recipe the architecture follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// The nanochat of autumn 2025: RoPE, weightless RMSNorm, QK norm, ReLU² MLP, untied head with a softcap.
    #[default]
    Classic,
    /// The nanochat of 2026: also windows, value embeddings, mixing, smear and backout.
    Current,
}

/// The shape of a GPT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "json::ConfigJson")]
pub struct GptConfig {
    /// Architecture family.
    pub family: Family,
    /// Tokens of context the model is trained on, `T`.
    pub sequence_len: usize,
    /// Number of token ids, `V`.
    pub vocab_size: usize,
    /// Number of blocks, `L`.
    pub n_layer: usize,
    /// Query heads per block, `H`.
    pub n_head: usize,
    /// Key and value heads per block, `Hk`; each serves `H/Hk` query heads.
    pub n_kv_head: usize,
    /// Width of the residual stream, `C`.
    pub n_embd: usize,
    /// The slowest rotary frequency turns once in about 2π·`rope_base` positions.
    pub rope_base: f32,
    /// Logits are squashed to ±`softcap` by `softcap·tanh(z/softcap)`.
    pub softcap: f32,
    /// Added to the mean square in every RMSNorm.
    pub norm_eps: f32,
    /// One letter per layer, repeated: L sees `sequence_len` positions back, S a quarter of that; the last layer is always L.
    /// Empty: every layer sees everything, as in the classic family.
    pub window_pattern: String,
    /// The embedding and head have a multiple of this many rows.
    pub vocab_multiple: usize,
    /// Factor of the normalised queries and keys.
    pub qk_gain: f32,
    /// What else is built in.
    #[serde(flatten)]
    pub parts: Parts,
}

/// Machine epsilon of f32, 2⁻²³: what nanochat's RMSNorm adds, whatever the dtype.
const NORM_EPS: f32 = f32::EPSILON;

impl Default for GptConfig {
    /// nanochat's defaults for the classic family: 12 layers of width 768, 1024 tokens of context.
    fn default() -> Self {
        Self {
            family: Family::Classic,
            sequence_len: 1024,
            vocab_size: 50304,
            n_layer: 12,
            n_head: 6,
            n_kv_head: 6,
            n_embd: 768,
            rope_base: 10_000.0,
            softcap: 15.0,
            norm_eps: NORM_EPS,
            window_pattern: String::new(),
            vocab_multiple: 1,
            qk_gain: 1.0,
            parts: Parts::NONE,
        }
    }
}

impl GptConfig {
    /// The classic family from its depth: width 64·depth, heads of at most 128.
    ///
    /// `H = max(1, ⌈C/128⌉)`, so an odd depth gets heads smaller than 128, or none that fit: then a
    /// [`ConfigError::Depth`] names the neighbours. The result is validated.
    pub fn classic_from_depth(
        depth: usize,
        vocab_size: usize,
        sequence_len: usize,
    ) -> Result<Self, ConfigError> {
        check_size("depth", depth, MAX_LAYERS)?;
        let n_embd = depth * 64;
        let n_head = n_embd.div_ceil(128).max(1);
        if !n_embd.is_multiple_of(n_head) {
            return Err(ConfigError::Depth { depth, n_embd, n_head });
        }
        let config = Self {
            sequence_len,
            vocab_size,
            n_layer: depth,
            n_head,
            n_kv_head: n_head,
            n_embd,
            ..Self::default()
        };
        config.validate()?;
        Ok(config)
    }

    /// Can a model of this shape be built? The counts below assume so.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_size("sequence_len", self.sequence_len, MAX_SEQUENCE)?;
        check_size("vocab_size", self.vocab_size, MAX_VOCAB)?;
        check_size("n_layer", self.n_layer, MAX_LAYERS)?;
        check_size("n_embd", self.n_embd, MAX_WIDTH)?;
        check_size("n_head", self.n_head, MAX_WIDTH)?;
        check_size("n_kv_head", self.n_kv_head, MAX_WIDTH)?;
        check_size("vocab_multiple", self.vocab_multiple, MAX_VOCAB_MULTIPLE)?;
        self.validate_current()?;
        let &Self { n_head, n_kv_head, n_embd, .. } = self;
        if !n_embd.is_multiple_of(n_head) {
            return Err(ConfigError::HeadsDoNotDivideWidth { n_embd, n_head });
        }
        if !n_head.is_multiple_of(n_kv_head) {
            return Err(ConfigError::KvHeadsDoNotDivideHeads { n_head, n_kv_head });
        }
        if !self.head_dim().is_multiple_of(2) {
            return Err(ConfigError::OddHeadDim { n_head, head_dim: self.head_dim() });
        }
        let numbers = [
            ("rope_base", self.rope_base),
            ("softcap", self.softcap),
            ("norm_eps", self.norm_eps),
            ("qk_gain", self.qk_gain),
        ];
        for (field, value) in numbers {
            if !(value > 0.0 && value.is_finite()) {
                return Err(ConfigError::NotPositive { field, value: f64::from(value) });
            }
        }
        Ok(())
    }

    /// Size of one head, `D = C/H`.
    pub fn head_dim(&self) -> usize {
        self.n_embd / self.n_head.max(1)
    }

    /// Width of the MLP: `4C`; with a gate two thirds of that, up to a multiple of 64, so that its three matrices have as many
    /// numbers as two.
    pub fn mlp_width(&self) -> usize {
        let c = self.n_embd;
        if self.parts.gated_mlp { (8 * c).div_ceil(3).next_multiple_of(64) } else { 4 * c }
    }

    /// Name and shape (`[out, in]` of a matrix) of every weight, in the order of nanochat's `state_dict`.
    pub fn param_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (c, kv) = (self.n_embd, self.n_kv_head * self.head_dim());
        let rows = self.padded_vocab();
        let mut shapes = self.leading_scalars();
        shapes.push(("transformer.wte.weight".to_string(), vec![rows, c]));
        for i in 0..self.n_layer {
            let mut block = vec![
                ("attn.c_q", [c, c]),
                ("attn.c_k", [kv, c]),
                ("attn.c_v", [kv, c]),
                ("attn.c_proj", [c, c]),
            ];
            if self.has_values(i) {
                block.push(("attn.ve_gate", [self.n_kv_head, current::VALUE_GATE_CHANNELS]));
            }
            let wide = self.mlp_width();
            block.push(("mlp.c_fc", [wide, c]));
            if self.parts.gated_mlp {
                block.push(("mlp.c_up", [wide, c]));
            }
            block.push(("mlp.c_proj", [c, wide]));
            let named = |(name, shape): (&str, [usize; 2])| {
                (format!("transformer.h.{i}.{name}.weight"), shape.to_vec())
            };
            shapes.extend(block.into_iter().map(named));
        }
        if !self.parts.tied_head {
            shapes.push(("lm_head.weight".to_string(), vec![rows, c]));
        }
        shapes.extend(self.trailing_weights());
        shapes
    }

    /// Parameters by the group that the optimizer treats alike.
    pub fn params_by_group(&self) -> ParamGroups {
        let mut groups = ParamGroups::default();
        for (name, shape) in self.param_shapes() {
            let group = match name.as_str() {
                "transformer.wte.weight" => &mut groups.wte,
                "lm_head.weight" => &mut groups.lm_head,
                _ if name.starts_with("transformer.h.") => &mut groups.transformer_matrices,
                _ if name.starts_with("value_embeds.") => &mut groups.value_embeds,
                _ => &mut groups.scalars,
            };
            *group += shape.iter().map(|&n| n as u64).product::<u64>();
        }
        groups
    }

    /// Number of parameters: `2VC + 12LC²` for a classic model in which every head has its own keys and values.
    pub fn num_params(&self) -> u64 {
        let ParamGroups { wte, value_embeds, lm_head, transformer_matrices, scalars } =
            self.params_by_group();
        wte + value_embeds + lm_head + transformer_matrices + scalars
    }

    /// Floating point operations of one training step, per token: `6·P + Σ_layers 12·H·D·min(W, T)`.
    ///
    /// Each of the P weights of a matrix product costs a multiply and an add forward and twice that backward; an
    /// embedding is a lookup and costs nothing. Attention adds scores and weighted values over the W positions that a layer
    /// sees, all `T` in the classic family (counted without the causal half). The formula is that of Chowdhery et al.
    /// 2022 (PaLM), appendix B.
    pub fn flops_per_token(&self) -> u64 {
        let width = (self.n_head * self.head_dim()) as u64;
        6 * self.matrix_params() + 12 * width * self.attended(self.sequence_len)
    }

    /// Parameters in matrices that multiply.
    pub fn matrix_params(&self) -> u64 {
        let groups = self.params_by_group();
        let smear = if self.parts.smear { current::SMEAR_GATE_CHANNELS } else { 0 };
        self.head_params() + groups.transformer_matrices + smear as u64
    }

    /// Parameters of the head, which may be the embedding.
    pub fn head_params(&self) -> u64 {
        let groups = self.params_by_group();
        if self.parts.tied_head { groups.wte } else { groups.lm_head }
    }
}

/// Parameter counts, see [`GptConfig::params_by_group`]. The last two are of the current family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ParamGroups {
    /// The token embedding (AdamW).
    pub wte: u64,
    /// The head that makes logits, unless it is the embedding (AdamW).
    pub lm_head: u64,
    /// All matrices of the blocks (Muon).
    pub transformer_matrices: u64,
    /// The value embeddings (AdamW).
    #[serde(skip_serializing_if = "is_zero")]
    pub value_embeds: u64,
    /// Single numbers and the gate of the smear (AdamW).
    #[serde(skip_serializing_if = "is_zero")]
    pub scalars: u64,
}

/// What a family lacks is not written.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

// With these bounds no count above leaves u64.
const MAX_LAYERS: usize = 1 << 12;
const MAX_WIDTH: usize = 1 << 18;
const MAX_SEQUENCE: usize = 1 << 24;
const MAX_VOCAB: usize = 1 << 31;
const MAX_VOCAB_MULTIPLE: usize = 1 << 16;

fn check_size(field: &'static str, value: usize, max: usize) -> Result<(), ConfigError> {
    match value {
        0 => Err(ConfigError::Zero { field }),
        _ if value > max => Err(ConfigError::TooLarge { field, value, max }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
