//! Waiting for whole answers: all samples of one prompt, or greedy answers to many prompts.

use super::forward::Forward;
use super::gpt::GptForward;
use super::request::{Event, Finish, Limits, Refusal, Request, What};
use super::scheduler::Engine;
use crate::error::{Result, TrainError};
use model::Gpt;
use std::collections::HashMap;
use tokenizer::Tokenizer;

/// A whole continuation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// What was generated, without the token that ended it.
    pub tokens: Vec<u32>,
    /// Per token: was it drawn? False for forced ones.
    pub sampled: Vec<bool>,
    /// Why it ended.
    pub finish: Option<Finish>,
}

impl Sample {
    /// Adds what happened.
    pub fn add(&mut self, what: What) {
        match what {
            What::Token(token) => {
                self.tokens.push(token.id);
                self.sampled.push(token.sampled);
            }
            What::Finished(why) => {
                if why == Finish::End {
                    self.tokens.pop();
                    self.sampled.pop();
                }
                self.finish = Some(why);
            }
            What::Started { .. } | What::Prompt(_) | What::Text(_) => {}
        }
    }
}

/// Runs the engine until it is idle, with whatever was submitted.
pub fn drain<F: Forward>(
    engine: &mut Engine<F>,
    mut see: impl FnMut(Event) -> bool,
) -> std::result::Result<(), F::Error> {
    while !engine.is_idle() {
        for event in engine.step()? {
            if !see(event) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// All samples of one request, in order.
pub fn complete<F: Forward>(engine: &mut Engine<F>, request: Request) -> Result<Vec<Sample>>
where
    TrainError: From<F::Error>,
{
    let mut samples = vec![Sample::default(); request.samples];
    let id = engine.submit(request)?;
    drain(engine, |event| {
        if event.request == id {
            samples[event.sample].add(event.what);
        }
        true
    })?;
    Ok(samples)
}

/// Rows that are generated together.
const ROWS: usize = 64;
/// Prompt tokens that are read between two steps: nobody waits for a stream here.
const CHUNK: usize = 1024;

/// The tokens generated greedily after each prompt, without the terminator; at most `max_tokens` each. `progress(done)` is
/// called after every answer and stops the work by returning `false`.
pub fn answer_all(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    prompts: &[Vec<u32>],
    max_tokens: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Vec<u32>>> {
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0) + max_tokens;
    let rows = ROWS.min(prompts.len()).max(1);
    let limits = Limits { rows, waiting: prompts.len(), chunk: CHUNK, context: longest };
    let mut engine = Engine::new(GptForward::for_rows(gpt, rows, longest)?, tokenizer, limits);
    let mut numbers = HashMap::new();
    for (i, prompt) in prompts.iter().enumerate() {
        numbers.insert(engine.submit(Request::greedy(prompt.clone(), max_tokens))?, i);
    }
    let (mut answers, mut done) = (vec![Sample::default(); prompts.len()], 0);
    drain(&mut engine, |event| {
        let finished = matches!(event.what, What::Finished(_));
        if let Some(&i) = numbers.get(&event.request) {
            answers[i].add(event.what);
        }
        done += usize::from(finished);
        !finished || progress(done)
    })?;
    Ok(answers.into_iter().map(|sample| sample.tokens).collect())
}

impl From<Refusal> for TrainError {
    fn from(refusal: Refusal) -> TrainError {
        TrainError::Config(refusal.to_string())
    }
}
