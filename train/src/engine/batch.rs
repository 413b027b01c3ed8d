//! Greedy answers to many different prompts at once, with tools: what evaluation needs.
//!
//! Prompts of one length share a batch (a decoding step over 32 rows costs little more than over one), each row with a tool
//! state of its own. A row's answer does not depend on its neighbours.

use super::tools::{RowState, ToolTokens};
use crate::error::Result;
use model::Gpt;
use model::generate::{Sampler, Sampling};
use std::collections::BTreeMap;
use tensor::Tensor;

/// Prompts per batch.
const ROWS: usize = 64;

/// The tokens generated after each prompt, without the terminator; at most `max_tokens` each. `progress(done)` is called
/// after every batch and stops the work by returning `false`.
pub fn answer_all(
    gpt: &Gpt,
    tokens: &impl ToolTokens,
    prompts: &[Vec<u32>],
    max_tokens: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Vec<u32>>> {
    let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, prompt) in prompts.iter().enumerate() {
        by_length.entry(prompt.len()).or_default().push(i);
    }
    let mut answers = vec![Vec::new(); prompts.len()];
    let mut done = 0;
    for indices in by_length.values().flat_map(|v| v.chunks(ROWS)) {
        let batch: Vec<&[u32]> = indices.iter().map(|&i| prompts[i].as_slice()).collect();
        for (&i, answer) in indices.iter().zip(answer_batch(gpt, tokens, &batch, max_tokens)?) {
            answers[i] = answer;
        }
        done += indices.len();
        if !progress(done) {
            break;
        }
    }
    Ok(answers)
}

fn answer_batch(
    gpt: &Gpt,
    tokens: &impl ToolTokens,
    prompts: &[&[u32]],
    max_tokens: usize,
) -> Result<Vec<Vec<u32>>> {
    let (rows, length) = (prompts.len(), prompts[0].len());
    let mut cache = gpt.cache(rows, length + max_tokens)?;
    let mut sampler = Sampler::new(Sampling::greedy())?;
    let mut states = vec![RowState::new(); rows];
    let mut answers = vec![Vec::new(); rows];
    let mut input: Vec<i32> = prompts.iter().flat_map(|p| p.iter().map(|&id| id as i32)).collect();
    for _ in 0..max_tokens {
        let ids = Tensor::ids(&input, &[rows, input.len() / rows], gpt.options().device)?;
        let sampled = sampler.draw(&gpt.logits_cached(&ids, &mut cache)?)?;
        input.clear();
        for ((state, answer), id) in states.iter_mut().zip(&mut answers).zip(sampled) {
            let (token, _) = state.choose(id);
            if !state.completed() {
                state.observe(token, tokens);
                if !state.completed() {
                    answer.push(token);
                }
            }
            input.push(token as i32);
        }
        if states.iter().all(RowState::completed) {
            break;
        }
    }
    Ok(answers)
}
