//! Problems whose answers are written: the model continues the prompt, with the calculator at hand, and the task judges the
//! text.
//!
//! Greedy answers are drawn for many problems at once, those of one prompt length together. With a temperature there may be
//! several answers to a problem; it is solved if one of them is right. What a judge sees includes calls of the tool and their
//! results, as in the original.

use super::TaskScore;
use crate::engine::batch::answer_all;
use crate::engine::generate::{Engine, GenerateOptions, Sampling};
use crate::engine::gpt::GptForward;
use crate::engine::tools::ToolTokens;
use crate::error::{Result, TrainError};
use crate::tasks::{Example, Task};
use model::Gpt;
use tokenizer::Tokenizer;

/// How answers are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Answers to a problem.
    pub num_samples: usize,
    /// 0: the likeliest token.
    pub temperature: f32,
    /// Only so many of the likeliest tokens take part (0 = all).
    pub top_k: usize,
    /// Same seed, same answers; each problem begins with it anew.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_new_tokens: 512, num_samples: 1, temperature: 0.0, top_k: 50, seed: 42 }
    }
}

/// The answers to one prompt as whole sequences.
pub fn sample(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    options: &Options,
) -> Result<crate::engine::generate::Batch> {
    let Options { max_new_tokens, num_samples, temperature, top_k, seed } = *options;
    let top_k = Some(top_k).filter(|&k| k > 0);
    let generate = GenerateOptions {
        num_samples,
        max_tokens: Some(max_new_tokens),
        sampling: Sampling { temperature, top_k, seed },
        ..GenerateOptions::default()
    };
    let batch = Engine::new(GptForward::new(gpt), tokenizer).generate_batch(prompt, &generate);
    batch.map_err(|e| TrainError::Config(e.to_string()))
}

/// The text of an answer: everything after the prompt.
pub fn text(tokenizer: &Tokenizer, sequence: &[u32], prompt: usize) -> String {
    ToolTokens::decode(tokenizer, &sequence[prompt.min(sequence.len())..])
}

/// A problem that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Number of the problem.
    pub problem: usize,
    /// What was said.
    pub answers: Vec<String>,
    /// Which of the answers are right.
    pub right: Vec<bool>,
}

/// Ask the first `most` problems of a task (0 = all). `see` gets each problem as it is answered and stops by `false`.
pub fn evaluate(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    task: &dyn Task,
    options: &Options,
    most: usize,
    see: &mut dyn FnMut(&Answered, usize) -> bool,
) -> Result<TaskScore> {
    let n = if most == 0 { task.len() } else { most.min(task.len()) };
    let examples = (0..n).map(|i| task.example(i)).collect::<Result<Vec<_>>>()?;
    let mut score = TaskScore { task: task.name(), asked: 0, right: 0, baseline: task.baseline() };
    let mut judge = |problem: usize, answers: Vec<String>| -> Result<bool> {
        let right =
            answers.iter().map(|a| task.is_right(&examples[problem], a)).collect::<Result<Vec<bool>>>()?;
        score.asked += 1;
        score.right += usize::from(right.contains(&true));
        Ok(see(&Answered { problem, answers, right }, n))
    };
    let prompt = |e: &Example| Ok(tokenizer.render_for_completion(&e.conversation)?);
    let prompts = examples.iter().map(prompt).collect::<Result<Vec<_>>>()?;
    // Greedy answers to one prompt are all the same one.
    if options.temperature == 0.0 {
        let mut start = 0;
        for chunk in prompts.chunks(ASKED_AT_ONCE) {
            let answers = answer_all(gpt, tokenizer, chunk, options.max_new_tokens, &mut |_| true)?;
            let mut go_on = true;
            for (i, answer) in answers.iter().enumerate() {
                go_on &= judge(start + i, vec![ToolTokens::decode(tokenizer, answer)])?;
            }
            if !go_on {
                break;
            }
            start += chunk.len();
        }
        return Ok(score);
    }
    for (i, prompt) in prompts.iter().enumerate() {
        let batch = sample(gpt, tokenizer, prompt, options)?;
        let answers = batch.sequences.iter().map(|s| text(tokenizer, s, prompt.len())).collect();
        if !judge(i, answers)? {
            break;
        }
    }
    Ok(score)
}

/// Greedy problems drawn before any is judged.
const ASKED_AT_ONCE: usize = 256;
