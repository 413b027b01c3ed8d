//! The shape of a model, and what follows from it: tensor names, parameter counts, FLOPs.
//!
//! One number, the depth, is enough to describe a model of the series: [`GptConfig::classic_from_depth`]
//! derives the width and the number of heads. Everything else (which tensors there are, how many parameters,
//! how much work one token is) follows from the configuration alone, so it can be asked before anything is
//! allocated.
//!
//! Field names are nanochat's, and so is the JSON form, so that its checkpoints can be read. How long to
//! train a model of a given shape is in `scaling.rs`.

use serde::{Deserialize, Serialize};

/// Which recipe the architecture follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// The nanochat of autumn 2025: RoPE, weightless RMSNorm, QK norm, ReLU² MLP, untied head with a softcap.
    #[default]
    Classic,
}

/// The shape of a GPT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ConfigJson")]
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
        }
    }
}

/// Why a shape cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A size is zero.
    #[error("{field} is 0: set it to at least 1")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// A size is beyond what counts can hold.
    #[error("{field} is {value}: the largest supported value is {max}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest value allowed.
        max: usize,
    },
    /// The width cannot be split into heads.
    #[error(
        "n_embd {n_embd} is not divisible by n_head {n_head}: use n_embd {} or another n_head",
        n_embd.next_multiple_of(*n_head)
    )]
    HeadsDoNotDivideWidth {
        /// Width.
        n_embd: usize,
        /// Query heads.
        n_head: usize,
    },
    /// The query heads cannot be shared out over the key and value heads.
    #[error(
        "n_head {n_head} is not divisible by n_kv_head {n_kv_head}: use n_kv_head {}",
        largest_divisor(*n_head, *n_kv_head)
    )]
    KvHeadsDoNotDivideHeads {
        /// Query heads.
        n_head: usize,
        /// Key and value heads.
        n_kv_head: usize,
    },
    /// Rotary embeddings turn pairs, so the size of a head must be even.
    #[error(
        "head_dim = n_embd/n_head = {head_dim} is odd: use n_embd {} so that rotary pairs fit",
        n_head * (head_dim + 1)
    )]
    OddHeadDim {
        /// Query heads.
        n_head: usize,
        /// Size of one head.
        head_dim: usize,
    },
    /// The derived width of this depth has no equal heads.
    #[error(
        "depth {depth} gives width {n_embd}, which {n_head} heads do not divide: use depth {} or {}",
        depth - 1,
        depth + 1
    )]
    Depth {
        /// The depth asked for.
        depth: usize,
        /// 64·depth.
        n_embd: usize,
        /// Heads of at most 128.
        n_head: usize,
    },
    /// A number of the recipe that must be positive is not.
    #[error("{field} is {value}: use a positive number")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Nothing says how long to train.
    #[error("no training horizon: set num_iterations, target_flops or target_param_data_ratio")]
    NoHorizon,
    /// A stored configuration belongs to a family that this program does not build.
    #[error("the stored config has {field:?}, which the classic family lacks: load a classic checkpoint")]
    OtherFamily {
        /// The field that gives it away.
        field: String,
    },
    /// A stored configuration lacks a size.
    #[error("the stored config has no {field}: add it to the JSON")]
    Missing {
        /// The field.
        field: &'static str,
    },
}

/// The largest divisor of `n` that is at most `limit`.
fn largest_divisor(n: usize, limit: usize) -> usize {
    (1..=limit.min(n)).rev().find(|d| n.is_multiple_of(*d)).unwrap_or(1)
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
        for (field, value) in
            [("rope_base", self.rope_base), ("softcap", self.softcap), ("norm_eps", self.norm_eps)]
        {
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

    /// Name and shape `[out, in]` of every weight, in the order of nanochat's `state_dict`.
    pub fn param_shapes(&self) -> Vec<(String, [usize; 2])> {
        let (v, c, kv) = (self.vocab_size, self.n_embd, self.n_kv_head * self.head_dim());
        let mut shapes = vec![("transformer.wte.weight".to_string(), [v, c])];
        for i in 0..self.n_layer {
            let block = [
                ("attn.c_q", [c, c]),
                ("attn.c_k", [kv, c]),
                ("attn.c_v", [kv, c]),
                ("attn.c_proj", [c, c]),
                ("mlp.c_fc", [4 * c, c]),
                ("mlp.c_proj", [c, 4 * c]),
            ];
            shapes.extend(block.map(|(name, shape)| (format!("transformer.h.{i}.{name}.weight"), shape)));
        }
        shapes.push(("lm_head.weight".to_string(), [v, c]));
        shapes
    }

    /// Parameters by the group that the optimizer treats alike.
    pub fn params_by_group(&self) -> ParamGroups {
        let [v, c, layers] = [self.vocab_size, self.n_embd, self.n_layer].map(|n| n as u64);
        let kv = (self.n_kv_head * self.head_dim()) as u64;
        ParamGroups {
            wte: v * c,
            lm_head: v * c,
            // c_q and c_proj, c_k and c_v, and the MLP's two matrices of 4C × C
            transformer_matrices: layers * (2 * c * c + 2 * kv * c + 8 * c * c),
        }
    }

    /// Number of parameters: `2VC + 12LC²` when every head has its own keys and values.
    pub fn num_params(&self) -> u64 {
        let ParamGroups { wte, lm_head, transformer_matrices } = self.params_by_group();
        wte + lm_head + transformer_matrices
    }

    /// Floating point operations of one training step, per token: `6·(N - VC) + 12·L·H·D·T`.
    ///
    /// Each weight of a matrix product costs a multiply and an add forward and twice that backward; the
    /// embedding is a lookup and costs nothing. Attention adds scores and weighted values over `T` positions
    /// (counted without the causal half). The formula is that of Chowdhery et al. 2022 (PaLM), appendix B.
    pub fn flops_per_token(&self) -> u64 {
        let groups = self.params_by_group();
        let [layers, width, t] =
            [self.n_layer, self.n_head * self.head_dim(), self.sequence_len].map(|n| n as u64);
        6 * (groups.lm_head + groups.transformer_matrices) + 12 * layers * width * t
    }
}

/// Parameter counts, see [`GptConfig::params_by_group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ParamGroups {
    /// The token embedding (AdamW).
    pub wte: u64,
    /// The head that makes logits (AdamW).
    pub lm_head: u64,
    /// All matrices of the blocks (Muon).
    pub transformer_matrices: u64,
}

// With these bounds no count above leaves u64.
const MAX_LAYERS: usize = 1 << 12;
const MAX_WIDTH: usize = 1 << 18;
const MAX_SEQUENCE: usize = 1 << 24;
const MAX_VOCAB: usize = 1 << 31;

fn check_size(field: &'static str, value: usize, max: usize) -> Result<(), ConfigError> {
    match value {
        0 => Err(ConfigError::Zero { field }),
        _ if value > max => Err(ConfigError::TooLarge { field, value, max }),
        _ => Ok(()),
    }
}

/// The JSON form. nanochat writes the six sizes only; what it does not write has the family's value. A field
/// nobody knows means another architecture, so it is refused rather than ignored.
#[derive(Deserialize)]
struct ConfigJson {
    family: Option<Family>,
    sequence_len: Option<usize>,
    vocab_size: Option<usize>,
    n_layer: Option<usize>,
    n_head: Option<usize>,
    n_kv_head: Option<usize>,
    n_embd: Option<usize>,
    rope_base: Option<f32>,
    softcap: Option<f32>,
    norm_eps: Option<f32>,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

impl TryFrom<ConfigJson> for GptConfig {
    type Error = ConfigError;

    fn try_from(json: ConfigJson) -> Result<Self, ConfigError> {
        if let Some(field) = json.unknown.keys().next() {
            return Err(ConfigError::OtherFamily { field: field.clone() });
        }
        let size = |value: Option<usize>, field| value.ok_or(ConfigError::Missing { field });
        let default = Self::default();
        let n_head = size(json.n_head, "n_head")?;
        let config = Self {
            family: json.family.unwrap_or_default(),
            sequence_len: size(json.sequence_len, "sequence_len")?,
            vocab_size: size(json.vocab_size, "vocab_size")?,
            n_layer: size(json.n_layer, "n_layer")?,
            n_head,
            n_kv_head: json.n_kv_head.unwrap_or(n_head),
            n_embd: size(json.n_embd, "n_embd")?,
            rope_base: json.rope_base.unwrap_or(default.rope_base),
            softcap: json.softcap.unwrap_or(default.softcap),
            norm_eps: json.norm_eps.unwrap_or(default.norm_eps),
        };
        config.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
