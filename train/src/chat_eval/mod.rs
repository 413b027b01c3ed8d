//! ChatCORE: how well a chat model does its tasks. Questions with letters are scored by the likeliest letter
//! (`categorical.rs`), all others by what the model writes (`generative.rs`).
//!
//! Accuracies are centred as those of CORE; ChatCORE is their mean over all tasks, and is only given when all were asked.

pub mod categorical;
pub mod generative;
pub mod suite;

use crate::core::centred;
use serde::{Deserialize, Serialize};

/// How a task went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// Its name.
    pub task: String,
    /// Problems asked.
    pub asked: usize,
    /// Right answers.
    pub right: usize,
    /// What guessing scores.
    pub baseline: f64,
}

impl TaskScore {
    /// The part of right answers.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.asked.max(1) as f64
    }
    /// The accuracy with guessing at 0.
    pub fn centred(&self) -> f64 {
        centred(self.accuracy(), 100.0 * self.baseline)
    }
}

/// ChatCORE of these tasks.
pub fn chat_core(scores: &[TaskScore]) -> f64 {
    crate::core::mean(&scores.iter().map(TaskScore::centred).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_zero_and_all_right_is_one() {
        let score = |right, baseline| TaskScore { task: String::new(), asked: 8, right, baseline };
        assert_eq!(chat_core(&[score(2, 0.25), score(0, 0.0)]), 0.0);
        assert_eq!(chat_core(&[score(8, 0.25), score(8, 0.0)]), 1.0);
    }
}
