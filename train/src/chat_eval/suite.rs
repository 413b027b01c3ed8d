//! The tasks of ChatCORE by name, from the files in a folder of task data.

use super::{TaskScore, categorical, generative};
use crate::error::{Result, TrainError};
use crate::tasks::choice::Choice;
use crate::tasks::gsm8k::Gsm8k;
use crate::tasks::human_eval::{HumanEval, RunProgram};
use crate::tasks::mixtures::WORDS;
use crate::tasks::spelling::{self, SpellingBee};
use crate::tasks::{Scoring, Task};
use model::Gpt;
use std::path::Path;
use std::sync::Arc;
use tokenizer::Tokenizer;

/// All names, in the order of reports.
pub const ALL: [&str; 6] = ["ARC-Easy", "ARC-Challenge", "MMLU", "GSM8K", "HumanEval", "SpellingBee"];
/// Problems of SpellingBee.
const SPELLING: usize = 256;

/// The held-out problems of a task.
pub fn open(name: &str, dir: &Path, runner: Option<Arc<dyn RunProgram>>) -> Result<Box<dyn Task>> {
    Ok(match name {
        "ARC-Easy" | "ARC-Challenge" => Box::new(Choice::arc(dir, name, "test")?),
        "MMLU" => Box::new(Choice::mmlu(dir, "test")?),
        "GSM8K" => Box::new(Gsm8k::open(dir, "main", "test")?),
        "HumanEval" => Box::new(HumanEval::open(dir, runner)?),
        "SpellingBee" => Box::new(SpellingBee::new(spelling::words(&dir.join(WORDS))?, SPELLING, true)),
        _ => return Err(TrainError::Config(format!("no task {name:?}; there are {}", ALL.join(", ")))),
    })
}

/// The names in a list with `|` between; nothing = all.
pub fn names(list: Option<&str>) -> Result<Vec<String>> {
    let Some(list) = list.filter(|l| !l.trim().is_empty()) else { return Ok(ALL.map(String::from).to_vec()) };
    let names: Vec<String> = list.split('|').map(|n| n.trim().to_string()).collect();
    match names.iter().find(|n| !ALL.contains(&n.as_str())) {
        Some(unknown) => {
            Err(TrainError::Config(format!("no task {unknown:?}; there are {}", ALL.join(", "))))
        }
        None => Ok(names),
    }
}

/// Limits of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Prompts at once in categorical tasks.
    pub batch: usize,
    /// Most problems of a categorical task (0 = all).
    pub max_categorical: usize,
    /// Most problems of a generative task (0 = all).
    pub max_generative: usize,
    /// How answers are drawn.
    pub generate: generative::Options,
}

/// Score one task, as its kind asks. `progress(done, of)` stops by `false`.
pub fn evaluate(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    task: &dyn Task,
    limits: &Limits,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<TaskScore> {
    match task.scoring() {
        Scoring::Categorical => {
            categorical::evaluate(gpt, tokenizer, task, limits.batch, limits.max_categorical, progress)
        }
        Scoring::Generative => {
            let mut done = 0;
            let mut see = |_: &generative::Answered, of: usize| {
                done += 1;
                progress(done, of)
            };
            generative::evaluate(gpt, tokenizer, task, &limits.generate, limits.max_generative, &mut see)
        }
        Scoring::None => Err(TrainError::Config(format!("{} has nothing to score", task.name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(names(None).unwrap().len(), 6);
        assert_eq!(names(Some("MMLU | GSM8K")).unwrap(), ["MMLU", "GSM8K"]);
        assert!(names(Some("MMLU|x")).unwrap_err().to_string().contains("SpellingBee"));
    }
}
