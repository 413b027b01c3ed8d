//! CORE: how much a pretrained model knows and understands, before it can chat (Li et al. 2024, "DataComp-LM").
//!
//! 22 tasks in three forms, all scored by the probabilities of given texts, none by generating. Accuracies are *centred*, so that
//! guessing is 0 and all right is 1: `(accuracy − baseline) / (1 − baseline)`; CORE is their plain mean. The 1.6-billion GPT-2
//! has 0.256525.
//!
//! Reading order: `prompts.rs` (what the model reads), `spans.rs` (which tokens count), `score.rs` (the forward passes, batched
//! by length), `prefix.rs` (beginnings that are read once), `run.rs` (a task), `bundle.rs` (the files as they are published).

pub mod bundle;
mod prefix;
pub mod prompts;
pub mod run;
pub mod score;
pub mod spans;

pub use bundle::{Bundle, TaskInfo};
pub use prompts::{Example, Form};
pub use run::{TaskScore, evaluate_task};
pub use score::{Scorer, Sequence, SpanScore};

/// CORE of the 1.6-billion GPT-2: the aim of a speed run.
pub const GPT2: f64 = 0.256525;

/// An accuracy with guessing at 0 and all right at 1. `baseline_percent` is what guessing scores.
pub fn centred(accuracy: f64, baseline_percent: f64) -> f64 {
    let baseline = 0.01 * baseline_percent;
    (accuracy - baseline) / (1.0 - baseline)
}

/// The plain mean of centred accuracies; negative ones count.
pub fn mean(centred: &[f64]) -> f64 {
    centred.iter().sum::<f64>() / centred.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footgun_odd_baselines_are_kept_as_the_original_has_them() {
        // From a published run: boolq has 62 %, commonsense_qa 20 %, language identification 9.1 %.
        let rows = [
            (0.285012, 20.0, 0.106265),
            (0.542813, 62.0, -0.203123),
            (0.252300, 9.1, 0.177448),
            (0.269565, 20.0, 0.086956),
        ];
        for (accuracy, baseline, want) in rows {
            assert!((centred(accuracy, baseline) - want).abs() < 2e-6, "{accuracy} {baseline}");
        }
        assert_eq!((centred(1.0, 25.0), centred(0.25, 25.0)), (1.0, 0.0));
        assert_eq!(mean(&[0.5, -0.25]), 0.125);
    }
}
