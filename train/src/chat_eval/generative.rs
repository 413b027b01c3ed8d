//! Problems whose answers are written: the model continues the prompt, with the calculator at hand, and the task judges the
//! text.
//!
//! Answers to many problems are drawn at once; an answer does not depend on its neighbours. With a temperature there may be several
//! answers to a problem; it is solved if one of them is right. What a judge sees includes calls of the tool and their
//! results, as in the original.

use super::TaskScore;
use crate::engine::collect::{Sample, drain};
use crate::engine::gpt::GptForward;
use crate::engine::tools::ToolTokens;
use crate::engine::{Engine, Limits, Request, Sampling};
use crate::error::Result;
use crate::tasks::Task;
use model::Gpt;
use std::collections::HashMap;
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

impl Options {
    /// The request for answers to one prompt. Greedy answers are all the same one, so one is enough.
    pub fn request(&self, prompt: Vec<u32>) -> Request {
        let Options { max_new_tokens: max_tokens, temperature, top_k, seed, .. } = *self;
        let samples = if temperature == 0.0 { 1 } else { self.num_samples };
        let sampling = Sampling { temperature, top_k, seed, ..Sampling::default() };
        Request { samples, sampling, ..Request::greedy(prompt, max_tokens) }
    }
}

/// Rows that are generated together.
const ROWS: usize = 64;
/// Prompt tokens that are read between two steps.
const CHUNK: usize = 1024;

/// The answers to all requests, in their order.
pub fn draw(gpt: &Gpt, tokenizer: &Tokenizer, requests: Vec<Request>) -> Result<Vec<Vec<Sample>>> {
    let wanted: usize = requests.iter().map(|r| r.samples).sum();
    let most = requests.iter().map(|r| r.samples).max().unwrap_or(1);
    let context = requests.iter().map(|r| r.prompt.len() + r.max_tokens).max().unwrap_or(0);
    let rows = ROWS.min(wanted).max(most).max(1);
    let limits = Limits { rows, waiting: requests.len(), chunk: CHUNK, context };
    let mut engine = Engine::new(GptForward::for_rows(gpt, rows, context)?, tokenizer, limits);
    let mut answers: Vec<_> = requests.iter().map(|r| vec![Sample::default(); r.samples]).collect();
    let mut numbers = HashMap::new();
    for (i, request) in requests.into_iter().enumerate() {
        numbers.insert(engine.submit(request)?, i);
    }
    drain(&mut engine, |event| {
        if let Some(&i) = numbers.get(&event.request) {
            answers[i][event.sample].add(event.what);
        }
        true
    })?;
    Ok(answers)
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

/// Ask the first `most` problems of a task (0 = all). `see` gets each problem as it is judged and stops by `false`.
pub fn evaluate(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    task: &dyn Task,
    options: &Options,
    most: usize,
    see: &mut dyn FnMut(&Answered, usize) -> bool,
) -> Result<TaskScore> {
    let n = if most == 0 { task.len() } else { most.min(task.len()) };
    let mut score = TaskScore { task: task.name(), asked: 0, right: 0, baseline: task.baseline() };
    let at_once = (ASKED_AT_ONCE / options.num_samples.max(1)).max(1);
    for start in (0..n).step_by(at_once) {
        let examples =
            (start..n.min(start + at_once)).map(|i| task.example(i)).collect::<Result<Vec<_>>>()?;
        let mut requests = Vec::with_capacity(examples.len());
        for example in &examples {
            requests.push(options.request(tokenizer.render_for_completion(&example.conversation)?));
        }
        for (i, samples) in draw(gpt, tokenizer, requests)?.iter().enumerate() {
            let answers: Vec<String> =
                samples.iter().map(|s| ToolTokens::decode(tokenizer, &s.tokens)).collect();
            let right =
                answers.iter().map(|a| task.is_right(&examples[i], a)).collect::<Result<Vec<bool>>>()?;
            score.asked += 1;
            score.right += usize::from(right.contains(&true));
            if !see(&Answered { problem: start + i, answers, right }, n) {
                return Ok(score);
            }
        }
    }
    Ok(score)
}

/// Answers drawn before any is judged.
const ASKED_AT_ONCE: usize = 256;
