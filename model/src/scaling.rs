//! From the size of a model to how long and how fast to train it.
//!
//! Training a model of twice the size properly takes about twice the tokens (Hoffmann et al. 2022), so the
//! horizon is a ratio: 20 tokens per parameter. The learning rates of the embedding and the head shrink with
//! the square root of the width, so that values tuned at width 768 carry over to other sizes.
//!
//! Everything here is the classic recipe; `scaling/current.rs` has the dial of the current one. The schedule over those steps is in `train::schedule`.

mod current;

pub use current::{CURRENT_PARAM_DATA_RATIO, CurrentLrs, Dial};

use crate::config::{ConfigError, GptConfig};
use kernels::planted;

/// Tokens in one optimizer step of the classic recipe.
pub const CLASSIC_BATCH_TOKENS: u64 = 524_288;

/// Tokens of training per parameter in the classic recipe.
pub const CLASSIC_PARAM_DATA_RATIO: f64 = 20.0;

/// The width at which the learning rates were tuned.
const TUNED_WIDTH: f64 = 768.0;

/// How long to train, as the user asks for it. The first one that is set decides; all `None` is an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HorizonRequest {
    /// Exactly this many optimizer steps.
    pub num_iterations: Option<u64>,
    /// As many steps as this number of floating point operations pays for.
    pub target_flops: Option<f64>,
    /// Tokens per parameter.
    pub param_data_ratio: Option<f64>,
}

impl Default for HorizonRequest {
    /// 20 tokens per parameter.
    fn default() -> Self {
        Self { num_iterations: None, target_flops: None, param_data_ratio: Some(CLASSIC_PARAM_DATA_RATIO) }
    }
}

/// Which part of a [`HorizonRequest`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HorizonRule {
    /// The number of steps was given.
    Iterations,
    /// The number of operations was given.
    TargetFlops,
    /// Tokens per parameter were given.
    ParamDataRatio,
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Horizon {
    /// Optimizer steps.
    pub iterations: u64,
    /// Tokens trained on: steps times batch.
    pub tokens: u64,
    /// Floating point operations of the whole run.
    pub flops: f64,
    /// What decided.
    pub rule: HorizonRule,
}

impl Horizon {
    /// The classic horizon of a model with `batch_tokens` tokens per step.
    ///
    /// Steps are, in this order of precedence: `num_iterations`; `round(target_flops / (flops_per_token ·
    /// batch))`, ties to even; `⌊ratio·N⌋ // batch` with `N` all parameters. May be 0 for a tiny model and a
    /// large batch.
    ///
    /// # Errors [`ConfigError::Zero`] for an empty batch, [`ConfigError::NotPositive`] for a ratio or a
    /// number of operations that is not positive, [`ConfigError::NoHorizon`] when nothing is set.
    pub fn classic(
        config: &GptConfig,
        request: &HorizonRequest,
        batch_tokens: u64,
    ) -> Result<Self, ConfigError> {
        if batch_tokens == 0 {
            return Err(ConfigError::Zero { field: "total_batch_size" });
        }
        let flops_per_token = config.flops_per_token() as f64;
        let (iterations, rule) = if let Some(n) = request.num_iterations {
            (n, HorizonRule::Iterations)
        } else if let Some(flops) = request.target_flops {
            let steps = positive("target_flops", flops)? / (flops_per_token * batch_tokens as f64);
            (steps.round_ties_even() as u64, HorizonRule::TargetFlops)
        } else if let Some(ratio) = request.param_data_ratio {
            let tokens = positive("target_param_data_ratio", ratio)? * config.num_params() as f64;
            (tokens as u64 / batch_tokens, HorizonRule::ParamDataRatio)
        } else {
            return Err(ConfigError::NoHorizon);
        };
        let tokens = iterations.saturating_mul(batch_tokens);
        Ok(Self { iterations, tokens, flops: flops_per_token * tokens as f64, rule })
    }
}

fn positive(field: &'static str, value: f64) -> Result<f64, ConfigError> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(ConfigError::NotPositive { field, value }) }
}

/// `(C/768)^-½`: multiplies the AdamW learning rates (embedding and head), never Muon's.
pub fn width_lr_scale(n_embd: usize) -> f64 {
    (n_embd as f64 / TUNED_WIDTH).powf(planted!("scaling.wider_learns_faster", -0.5 => 0.5))
}

/// The initial learning rates of the three classic parameter groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicLrs {
    /// AdamW, the token embedding.
    pub wte: f64,
    /// AdamW, the head.
    pub lm_head: f64,
    /// Muon, all matrices of the blocks.
    pub matrices: f64,
}

impl Default for ClassicLrs {
    /// The values tuned at width 768.
    fn default() -> Self {
        Self { wte: 0.2, lm_head: 0.004, matrices: 0.02 }
    }
}

impl ClassicLrs {
    /// The same, moved from width 768 to `n_embd`.
    pub fn scaled_to(&self, n_embd: usize) -> Self {
        let scale = width_lr_scale(n_embd);
        Self { wte: self.wte * scale, lm_head: self.lm_head * scale, matrices: self.matrices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn close(ours: f64, theirs: &Value, what: &str) {
        let theirs = theirs.as_f64().unwrap();
        assert!((ours - theirs).abs() <= 1e-12 * theirs.abs(), "{what}: {ours} instead of {theirs}");
    }

    #[test]
    #[allow(clippy::print_stderr)]
    fn every_reference_derivation_agrees() {
        let Ok(folder) = std::env::var("NANOCHAT_GOLDENS") else {
            eprintln!("notice: NANOCHAT_GOLDENS is not set, the derivations were not compared");
            return;
        };
        let text = std::fs::read_to_string(format!("{folder}/config/g1/derivations.json")).unwrap();
        let rows: Value = serde_json::from_str(&text).unwrap();
        assert!(!rows.as_array().unwrap().is_empty());
        for row in rows.as_array().unwrap() {
            compare(row);
        }
    }

    fn compare(row: &Value) {
        let get = |key: &str| row[key].as_u64().unwrap();
        let what = format!("depth {} vocab {}", get("depth"), get("vocab_size"));
        let vocab = get("vocab_size") as usize;
        let config = GptConfig::classic_from_depth(get("depth") as usize, vocab, 2048).unwrap();
        let sizes = [config.n_embd, config.n_head, config.n_kv_head, config.head_dim()].map(|n| n as u64);
        assert_eq!(sizes, ["model_dim", "num_heads", "num_kv_heads", "head_dim"].map(get), "{what}");
        assert_eq!(config.num_params(), get("num_params"), "{what}");
        assert_eq!(serde_json::json!(config.params_by_group()), row["params_by_group"], "{what}");
        assert_eq!(config.flops_per_token(), get("estimate_flops_per_token"), "{what}");

        assert_eq!(CLASSIC_BATCH_TOKENS, get("total_batch_size"));
        let run = Horizon::classic(&config, &HorizonRequest::default(), CLASSIC_BATCH_TOKENS).unwrap();
        assert_eq!(
            (run.iterations, run.tokens),
            (get("num_iterations_ratio20"), get("total_tokens")),
            "{what}"
        );
        close(run.flops, &row["total_flops"], &what);
        assert_eq!((0.2 * run.iterations as f64).round_ties_even() as u64, get("warmdown_iters"), "{what}");
        let by_flops = HorizonRequest { target_flops: Some(1e18), ..HorizonRequest::default() };
        let run = Horizon::classic(&config, &by_flops, CLASSIC_BATCH_TOKENS).unwrap();
        assert_eq!(run.iterations, get("num_iterations_target_flops_1e18"), "{what}");
        assert_eq!(run.rule, HorizonRule::TargetFlops);

        close(width_lr_scale(config.n_embd), &row["dmodel_lr_scale"], &what);
        let lrs = ClassicLrs::default().scaled_to(config.n_embd);
        close(lrs.lm_head, &row["lrs"]["lm_head"], &what);
        close(lrs.wte, &row["lrs"]["wte"], &what);
        close(lrs.matrices, &row["lrs"]["muon_matrices"], &what);
    }

    #[test]
    fn a_quarter_of_the_tuned_width_doubles_the_rates_of_embedding_and_head() {
        let (tuned, narrow) = (ClassicLrs::default(), ClassicLrs::default().scaled_to(192));
        let want =
            ClassicLrs { wte: 2.0 * tuned.wte, lm_head: 2.0 * tuned.lm_head, matrices: tuned.matrices };
        assert_eq!((narrow, tuned.scaled_to(768)), (want, tuned));
    }

    #[test]
    fn steps_win_over_operations_and_operations_over_the_ratio() {
        let config = GptConfig::classic_from_depth(4, 65536, 2048).unwrap();
        let mut request = HorizonRequest {
            num_iterations: Some(7),
            target_flops: Some(1e18),
            param_data_ratio: Some(20.0),
        };
        let run =
            |request: &HorizonRequest| Horizon::classic(&config, request, CLASSIC_BATCH_TOKENS).unwrap();
        assert_eq!((run(&request).iterations, run(&request).rule), (7, HorizonRule::Iterations));
        request.num_iterations = None;
        assert_eq!((run(&request).iterations, run(&request).rule), (13181, HorizonRule::TargetFlops));
        request.target_flops = None;
        assert_eq!((run(&request).iterations, run(&request).rule), (1400, HorizonRule::ParamDataRatio));
    }

    #[test]
    fn senseless_requests_are_refused() {
        let config = GptConfig::default();
        let refused = |target_flops, param_data_ratio, batch| {
            let request = HorizonRequest { num_iterations: None, target_flops, param_data_ratio };
            Horizon::classic(&config, &request, batch).unwrap_err().to_string()
        };
        assert!(refused(None, None, 1).contains("num_iterations"));
        assert!(refused(Some(-1.0), None, 1).contains("target_flops"));
        assert!(refused(None, Some(f64::NAN), 1).contains("target_param_data_ratio"));
        assert!(refused(None, Some(20.0), 0).contains("total_batch_size"));
    }
}
