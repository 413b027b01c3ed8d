//! The dial of the current recipe: one depth decides tokens, batch, learning rates and weight decay.
//!
//! A model of 12 layers, with the same vocabulary and the same options, is the reference: it was tuned with batches of 2¹⁹
//! tokens. With S(d) the parameters that scale (matrices of the blocks, and the head), ratio r and D = ⌊r·S(d)⌋ tokens:
//!
//! - batch `B = 2^round(log₂(2¹⁹·(D/D₁₂)^0.383))`, `D₁₂ = r·S(12)`: larger models see more data and bear larger batches;
//! - learning rates of heads, embeddings, matrices and mixing times `√(B/2¹⁹)`;
//! - weight decay of Muon times `√(B/2¹⁹)·D₁₂/D`, so that what decay removes over the whole run stays the same;
//! - steps: given, or what the operations pay for, or `⌊D/B⌋`. Only the steps follow from the first two: the rest still
//!   comes from the ratio.

use super::{Horizon, HorizonRequest, HorizonRule, positive, width_lr_scale};
use crate::config::{ConfigError, Family, GptConfig};

/// Tokens per parameter that scales.
pub const CURRENT_PARAM_DATA_RATIO: f64 = 12.0;
/// Tokens in one step of the reference.
const REFERENCE_BATCH: f64 = 524_288.0;
/// Depth of the reference.
const REFERENCE_DEPTH: usize = 12;
/// How the best batch grows with the tokens.
const BATCH_EXPONENT: f64 = 0.383;

/// Learning rates by group, before the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurrentLrs {
    /// AdamW, the head.
    pub lm_head: f64,
    /// AdamW, the token embedding.
    pub wte: f64,
    /// AdamW, the value embeddings.
    pub value_embeds: f64,
    /// AdamW, the share of the stream before each block.
    pub resid_lambdas: f64,
    /// AdamW, the share of the embedding before each block.
    pub x0_lambdas: f64,
    /// AdamW, smear and backout.
    pub smear: f64,
    /// Muon, all matrices of the blocks.
    pub matrices: f64,
}

impl Default for CurrentLrs {
    /// The values tuned at width 768 and 2¹⁹ tokens a step.
    fn default() -> Self {
        Self::tuned(0.3, 0.008, 0.5, 0.02)
    }
}

impl CurrentLrs {
    /// From the four rates that are options.
    pub fn tuned(embedding: f64, unembedding: f64, scalar: f64, matrix: f64) -> Self {
        Self {
            lm_head: unembedding,
            wte: embedding,
            value_embeds: 0.5 * embedding,
            resid_lambdas: 0.01 * scalar,
            x0_lambdas: scalar,
            smear: 0.2,
            matrices: matrix,
        }
    }
    /// Moved to a width, and to a batch: all but `smear` times `batch_scale`, embeddings and head also by the width.
    pub fn scaled_to(&self, n_embd: usize, batch_scale: f64) -> Self {
        let both = width_lr_scale(n_embd) * batch_scale;
        Self {
            lm_head: self.lm_head * both,
            wte: self.wte * both,
            value_embeds: self.value_embeds * both,
            resid_lambdas: self.resid_lambdas * batch_scale,
            x0_lambdas: self.x0_lambdas * batch_scale,
            smear: self.smear,
            matrices: self.matrices * batch_scale,
        }
    }
}

/// What follows from a configuration and the ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dial {
    /// Tokens that the ratio asks for, `D`.
    pub target_tokens: u64,
    /// Tokens that it asks for at depth 12.
    pub reference_tokens: u64,
    /// Tokens in one optimizer step.
    pub batch_tokens: u64,
    /// `√(B/2¹⁹)`.
    pub batch_lr_scale: f64,
    /// Multiplies Muon's weight decay.
    pub weight_decay_scale: f64,
}

impl GptConfig {
    /// Parameters that decide how long to train: matrices of the blocks, and the head.
    pub fn scaling_params(&self) -> u64 {
        self.params_by_group().transformer_matrices + self.head_params()
    }

    /// The same options at depth 12.
    fn reference(&self) -> Result<GptConfig, ConfigError> {
        let shape = Self::current_from_depth(REFERENCE_DEPTH, self.vocab_size, self.sequence_len)?;
        let GptConfig { n_layer, n_head, n_kv_head, n_embd, .. } = shape;
        Ok(GptConfig { family: Family::Current, n_layer, n_head, n_kv_head, n_embd, ..self.clone() })
    }
}

impl Dial {
    /// Turned to `config`; `batch_tokens` overrides the batch.
    pub fn new(config: &GptConfig, ratio: f64, batch_tokens: Option<u64>) -> Result<Dial, ConfigError> {
        let ratio = positive("target_param_data_ratio", ratio)?;
        let target = (ratio * config.scaling_params() as f64).floor();
        let reference = ratio * config.reference()?.scaling_params() as f64;
        let batch = match batch_tokens {
            Some(0) => return Err(ConfigError::Zero { field: "total_batch_size" }),
            Some(batch) => batch as f64,
            None => {
                let best: f64 = REFERENCE_BATCH * (target / reference).powf(BATCH_EXPONENT);
                best.log2().round_ties_even().exp2().max(1.0)
            }
        };
        let batch_lr_scale = (batch / REFERENCE_BATCH).sqrt();
        Ok(Dial {
            target_tokens: target as u64,
            reference_tokens: reference as u64,
            batch_tokens: batch as u64,
            batch_lr_scale,
            weight_decay_scale: batch_lr_scale * (reference / target),
        })
    }

    /// How long to train.
    pub fn horizon(&self, config: &GptConfig, request: &HorizonRequest) -> Result<Horizon, ConfigError> {
        let by_ratio = request.num_iterations.is_none() && request.target_flops.is_none();
        if by_ratio && request.param_data_ratio.is_some() {
            let iterations = self.target_tokens / self.batch_tokens;
            let tokens = iterations * self.batch_tokens;
            let flops = config.flops_per_token() as f64 * tokens as f64;
            return Ok(Horizon { iterations, tokens, flops, rule: HorizonRule::ParamDataRatio });
        }
        Horizon::classic(config, request, self.batch_tokens) // the same rules for steps and operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

    /// Depth, tokens, batch, steps, factor of the learning rates, weight decay from 0.28.
    type Row = (usize, u64, u64, u64, f64, f64);
    const TABLE: &[Row] = &[
        (4, 138_412_608, 262_144, 528, FRAC_1_SQRT_2, 1.8899),
        (6, 278_398_224, 262_144, 1_062, FRAC_1_SQRT_2, 0.93961),
        (8, 503_318_784, 262_144, 1_920, FRAC_1_SQRT_2, 0.51972),
        (10, 841_485_840, 524_288, 1_605, 1.0, 0.43963),
        (12, 1_321_210_944, 524_288, 2_520, 1.0, 0.28),
        (16, 2_818_581_504, 524_288, 5_376, 1.0, 0.13125),
        (18, 3_892_850_064, 1_048_576, 3_712, SQRT_2, 0.13439),
        (20, 5_221_922_880, 1_048_576, 4_980, SQRT_2, 0.10019),
        (24, 8_757_727_488, 1_048_576, 8_352, SQRT_2, 0.05974),
        (26, 11_021_082_384, 1_048_576, 10_510, SQRT_2, 0.04747),
        (32, 20_132_696_064, 2_097_152, 9_600, 2.0, 0.03675),
    ];

    #[test]
    fn one_depth_decides_tokens_batch_steps_rates_and_decay() {
        for &(depth, tokens, batch, steps, rate, decay) in TABLE {
            let config = GptConfig::current_from_depth(depth, 32768, 2048).unwrap();
            let dial = Dial::new(&config, CURRENT_PARAM_DATA_RATIO, None).unwrap();
            let request =
                HorizonRequest { param_data_ratio: Some(CURRENT_PARAM_DATA_RATIO), ..Default::default() };
            let run = dial.horizon(&config, &request).unwrap();
            assert_eq!(
                (dial.target_tokens, dial.batch_tokens, run.iterations),
                (tokens, batch, steps),
                "d{depth}"
            );
            assert!((dial.batch_lr_scale - rate).abs() < 1e-15, "d{depth}: {dial:?}");
            assert!((0.28 * dial.weight_decay_scale - decay).abs() < 6e-5, "d{depth}: {dial:?}");
        }
    }

    /// Depth; parameters: all, of matrices, of the embedding, of value embeddings; operations per token, to seven digits.
    const COUNTS: &[(usize, [u64; 4], f64)] = &[
        (4, [36_700_242, 3_145_776, 8_388_608, 16_777_216], 8.021650e7),
        (6, [73_531_538, 10_616_940, 12_582_912, 37_748_736], 1.675108e8),
        (8, [125_829_354, 25_166_016, 16_777_216, 67_108_864], 2.956997e8),
        (12, [286_261_730, 84_935_088, 25_165_824, 150_994_944], 7.596960e8),
        (16, [536_871_738, 201_327_360, 33_554_432, 268_435_456], 1.585452e9),
        (20, [896_533_746, 393_217_200, 41_943_040, 419_430_400], 2.886213e9),
        (24, [1_384_122_122, 679_478_976, 50_331_648, 603_979_776], 4.775226e9),
        (26, [1_681_786_938, 863_897_580, 54_525_952, 708_837_376], 5.991051e9),
        (32, [2_818_575_450, 1_610_615_808, 67_108_864, 1_073_741_824], 1.077099e10),
    ];

    #[test]
    fn parameters_and_operations_of_every_depth() {
        for &(depth, counts, flops) in COUNTS {
            let config = GptConfig::current_from_depth(depth, 32768, 2048).unwrap();
            let groups = config.params_by_group();
            let ours = [config.num_params(), groups.transformer_matrices, groups.wte, groups.value_embeds];
            assert_eq!(ours, counts, "d{depth}");
            assert_eq!(groups.wte, groups.lm_head);
            assert!((config.flops_per_token() as f64 / flops - 1.0).abs() < 5e-7, "d{depth}"); // half of the seventh digit
        }
    }

    #[test]
    fn steps_or_operations_change_the_steps_alone() {
        let config = GptConfig::current_from_depth(4, 32768, 2048).unwrap();
        let dial = Dial::new(&config, 12.0, None).unwrap();
        let mut request = HorizonRequest {
            num_iterations: Some(7),
            target_flops: Some(1e15),
            param_data_ratio: Some(12.0),
        };
        assert_eq!(dial.horizon(&config, &request).unwrap().iterations, 7);
        request.num_iterations = None;
        assert_eq!(dial.horizon(&config, &request).unwrap().iterations, 48); // 1e15 / (8.0217e7 · 262144) = 47.55
        request.target_flops = None;
        assert_eq!(dial.horizon(&config, &request).unwrap().iterations, 528);
        assert!(Dial::new(&config, -1.0, None).unwrap_err().to_string().contains("target_param_data_ratio"));
        assert!(Dial::new(&config, 12.0, Some(0)).unwrap_err().to_string().contains("total_batch_size"));
    }
}
