//! Drawing answers and judging them.
//!
//! All samples of a problem share its prompt, so it is run once. What the model drew is marked 1, what the calculator wrote 0.
//! The token that ends an answer is not part of it, as in the original, so stopping is never trained; [`Options::train_stop`]
//! adds it where an answer ended by itself.

use crate::chat_eval::generative::{self, draw};
use crate::engine::Finish;
use crate::engine::tools::ToolTokens;
use crate::error::Result;
use crate::tasks::Task;
use model::Gpt;
use serde::Serialize;
use tokenizer::conversation::Rendered;
use tokenizer::{Special, Tokenizer};

/// How rollouts are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Answers to a problem.
    pub num_samples: usize,
    /// Drawn at once.
    pub device_batch_size: usize,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Of the draw.
    pub temperature: f32,
    /// Of the draw (0 = all).
    pub top_k: usize,
    /// Is the token that ends an answer learnt, too?
    pub train_stop: bool,
}

/// All answers to one problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// Number of the problem.
    pub problem: usize,
    /// Whole sequences, with 1 for what was drawn.
    pub sequences: Vec<Rendered>,
    /// Length of the prompt, in each of them.
    pub prompt: usize,
    /// The answers as text.
    pub texts: Vec<String>,
    /// 1 or 0.
    pub rewards: Vec<f64>,
    /// Tokens that went through the model: each prompt once for a draw, and all that was drawn.
    pub forward_tokens: usize,
}

/// A line of the log.
#[derive(Serialize)]
pub struct Line<'a> {
    /// Step.
    pub step: usize,
    /// Number of the problem.
    pub problem: usize,
    /// The question.
    pub question: String,
    /// Answer and reward.
    pub answers: Vec<(&'a str, f64)>,
}

impl Rollout {
    /// Draw and judge all answers to these problems; `seed(problem, chunk)` is the seed of each `device_batch_size` of them.
    pub fn draw_all(
        gpt: &Gpt,
        tokenizer: &Tokenizer,
        task: &dyn Task,
        problems: &[usize],
        options: &Options,
        seed: impl Fn(usize, usize) -> u64,
    ) -> Result<Vec<Rollout>> {
        let batch = options.device_batch_size.max(1);
        let chunks = options.num_samples.div_ceil(batch);
        let examples = problems.iter().map(|&i| task.example(i)).collect::<Result<Vec<_>>>()?;
        let (mut prompts, mut requests) = (Vec::new(), Vec::new());
        for (&problem, example) in problems.iter().zip(&examples) {
            let prompt = tokenizer.render_for_completion(&example.conversation)?;
            for chunk in 0..chunks {
                let draw = generative::Options {
                    max_new_tokens: options.max_new_tokens,
                    num_samples: batch.min(options.num_samples - chunk * batch),
                    temperature: options.temperature,
                    top_k: options.top_k,
                    seed: seed(problem, chunk),
                };
                requests.push(draw.request(prompt.clone()));
            }
            prompts.push(prompt);
        }
        let mut drawn = draw(gpt, tokenizer, requests)?.into_iter();
        let mut rollouts = Vec::with_capacity(problems.len());
        for ((&problem, example), prompt) in problems.iter().zip(&examples).zip(prompts) {
            let forward_tokens = chunks * prompt.len();
            let mut rollout = Rollout {
                problem,
                sequences: vec![],
                prompt: prompt.len(),
                texts: vec![],
                rewards: vec![],
                forward_tokens,
            };
            for sample in drawn.by_ref().take(chunks).flatten() {
                let text = ToolTokens::decode(tokenizer, &sample.tokens);
                rollout.rewards.push(f64::from(u8::from(task.is_right(example, &text)?)));
                rollout.texts.push(text);
                rollout.forward_tokens += sample.tokens.len();
                let mut row = Rendered { ids: prompt.clone(), mask: vec![0; prompt.len()] };
                row.ids.extend(sample.tokens);
                row.mask.extend(sample.sampled.into_iter().map(u8::from));
                if options.train_stop && sample.finish == Some(Finish::End) {
                    row.ids.push(tokenizer.special(Special::AssistantEnd));
                    row.mask.push(1);
                }
                rollout.sequences.push(row);
            }
            rollouts.push(rollout);
        }
        Ok(rollouts)
    }
    /// The part of right answers.
    pub fn mean_reward(&self) -> f64 {
        self.rewards.iter().sum::<f64>() / self.rewards.len().max(1) as f64
    }
    /// Mean length of the sequences, prompt included.
    pub fn mean_length(&self) -> f64 {
        self.sequences.iter().map(|s| s.ids.len()).sum::<usize>() as f64 / self.sequences.len().max(1) as f64
    }
}

/// For k = 1, 2, …: the part of problems of which one of the first k answers is right.
pub fn pass_at_k(answers: &[Vec<bool>]) -> Vec<f64> {
    let k = answers.iter().map(Vec::len).max().unwrap_or(0);
    let solved = |k: usize| answers.iter().filter(|a| a.iter().take(k).any(|&right| right)).count();
    (1..=k).map(|k| solved(k) as f64 / answers.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_solved_by_any_of_its_first_answers() {
        let answers = [vec![false, true, false], vec![false, false, true], vec![true, false, false]];
        assert_eq!(pass_at_k(&answers), [1.0 / 3.0, 2.0 / 3.0, 1.0]);
        assert!(pass_at_k(&[]).is_empty());
    }
}
