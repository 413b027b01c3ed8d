//! Reinforcement learning: each step draws answers to some problems with the weights as they are, judges them, and moves the
//! weights once towards those that were better than the others of the same problem.
//!
//! Nothing is drawn ahead and nothing is used twice, so ratios of old to new probabilities are 1 and need no clipping. The
//! formula is in `../rl/objective.rs`. Every answer is logged with its reward in `rollouts.jsonl`.

use super::looping::Stage;
use crate::bpb::BitsPerByte;
use crate::chat_eval::generative;
use crate::data::Batch;
use crate::error::{Result, TrainError};
use crate::metrics::Metrics;
use crate::optim::StepSettings;
use crate::random::python_hash::rollout_seed;
use crate::rl::objective::Pass;
use crate::rl::rollout::{self, Line};
use crate::rl::{Rollout, advantages, pass_at_k, passes};
use crate::schedule::linear_lr_multiplier;
use crate::tasks::Task;
use model::Gpt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use tensor::Device;
use tokenizer::conversation::Content;
use tokenizer::{Special, Tokenizer};

/// Muon's momentum, constant in this stage.
const MOMENTUM: f64 = 0.95;
/// The original's seed: with it rollouts have the original's seeds.
const SEED: u64 = 42;

/// Options that decide the course of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RlOptions {
    /// Rows drawn and learnt at once; divides `num_samples`.
    pub device_batch_size: usize,
    /// Problems per step.
    pub examples_per_step: usize,
    /// Answers to a problem.
    pub num_samples: usize,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Of the draws.
    pub temperature: f32,
    /// Of the draws (0 = all).
    pub top_k: usize,
    /// Optimizer steps.
    pub num_iterations: usize,
    /// All learning rates start at this share of the pretraining ones and fall linearly to 0.
    pub init_lr_frac: f64,
    /// Held-out problems per evaluation.
    pub eval_examples: usize,
    /// Is the token that ends an answer learnt, too? The original does not.
    pub train_stop: bool,
    /// Of the draws.
    pub seed: u64,
}

/// The stage.
pub struct Rl {
    options: RlOptions,
    task: Box<dyn Task>,
    test: Option<Box<dyn Task>>,
    tokenizer: Tokenizer,
    device: Device,
    /// The passes of this step that are still to be learnt.
    queue: VecDeque<Pass>,
    micro: usize,
    figures: Vec<(String, f64)>,
    log: Option<PathBuf>,
    open: Option<Metrics>,
}

impl Rl {
    /// Problems to learn from, and held-out ones. Answers are logged in the file `log`.
    pub fn new(
        options: RlOptions,
        task: Box<dyn Task>,
        test: Option<Box<dyn Task>>,
        tokenizer: &Tokenizer,
        device: Device,
        log: Option<PathBuf>,
    ) -> Result<Rl> {
        let (samples, rows) = (options.num_samples, options.device_batch_size);
        if rows == 0 || samples == 0 || !samples.is_multiple_of(rows) {
            return Err(TrainError::Config(format!(
                "{samples} samples per problem are not a multiple of the device batch size {rows}; use {}",
                samples.div_ceil(rows.max(1)) * rows.max(1)
            )));
        }
        if samples < 2 {
            let why = "one sample per problem has no other to be better than, so nothing is learnt; use --num-samples 2 or more";
            return Err(TrainError::Config(why.into()));
        }
        if task.is_empty() || options.examples_per_step == 0 {
            return Err(TrainError::Config("no problem to learn from; give a task with at least one".into()));
        }
        if options.temperature <= 0.0 {
            let why = "temperature 0 gives equal samples, so nothing is learnt; use --temperature 1";
            return Err(TrainError::Config(why.into()));
        }
        let micro = options.examples_per_step * (samples / rows);
        Ok(Rl {
            micro,
            options,
            task,
            test,
            tokenizer: tokenizer.clone(),
            device,
            queue: VecDeque::new(),
            figures: Vec::new(),
            log,
            open: None,
        })
    }
    /// Steps of one pass over `problems`.
    pub fn steps_per_epoch(problems: usize, examples_per_step: usize) -> usize {
        (problems / examples_per_step.max(1)).max(1)
    }
    fn draw(&self) -> rollout::Options {
        let RlOptions {
            num_samples, device_batch_size, max_new_tokens, temperature, top_k, train_stop, ..
        } = self.options;
        rollout::Options { num_samples, device_batch_size, max_new_tokens, temperature, top_k, train_stop }
    }
    fn record(&mut self, step: usize, rollout: &Rollout) -> Result<()> {
        let Some(path) = &self.log else { return Ok(()) };
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(Metrics::open(path, step)?),
        };
        let example = self.task.example(rollout.problem)?;
        let question = match example.conversation.messages.first().map(|m| &m.content) {
            Some(Content::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let answers = rollout.texts.iter().map(String::as_str).zip(rollout.rewards.iter().copied()).collect();
        open.write(&json!(Line { step, problem: rollout.problem, question, answers }))
    }
}

impl Stage for Rl {
    fn name(&self) -> &'static str {
        "rl"
    }
    /// The rollouts of a step follow from its number, so nothing has to be saved.
    fn position(&self) -> Value {
        json!({})
    }
    fn seek(&mut self, _: &Value) -> Result<()> {
        self.queue.clear();
        Ok(())
    }
    fn prepare(&mut self, gpt: &Gpt, step: usize) -> Result<()> {
        let pad = self.tokenizer.special(Special::AssistantEnd);
        let RlOptions { examples_per_step: n, device_batch_size, seed, .. } = self.options;
        self.queue.clear();
        let (mut reward, mut length, mut mixed) = (0.0, 0.0, 0.0);
        let problems: Vec<usize> = (0..n).map(|e| (step * n + e) % self.task.len()).collect();
        let seed = |problem, chunk| rollout_seed(step, problem, chunk) ^ seed ^ SEED;
        let draw = self.draw();
        for rollout in Rollout::draw_all(gpt, &self.tokenizer, self.task.as_ref(), &problems, &draw, seed)? {
            let advantages = advantages(&rollout.rewards);
            self.queue.extend(passes(&rollout.sequences, &advantages, device_batch_size, n, pad));
            reward += rollout.mean_reward() / n as f64;
            length += rollout.mean_length() / n as f64;
            mixed += f64::from(u8::from(advantages.iter().any(|&a| a != 0.0))) / n as f64;
            self.record(step, &rollout)?;
        }
        let figures = [("reward", reward), ("sequence_length", length), ("informative", mixed)];
        self.figures = figures.map(|(name, value)| (name.to_string(), value)).to_vec();
        Ok(())
    }
    fn next_batch(&mut self) -> Result<Batch> {
        let pass = self.queue.pop_front();
        let pass = pass
            .ok_or_else(|| TrainError::Config("a step was trained before its answers were drawn".into()))?;
        pass.on(self.device, self.micro as f64) // the trainer divides by the number of micro-batches
    }
    fn micro_batches(&self) -> usize {
        self.micro
    }
    fn settings(&self, step: usize) -> StepSettings {
        let multiplier = linear_lr_multiplier(step as u64, self.options.num_iterations as u64);
        StepSettings {
            lr_multiplier: multiplier * self.options.init_lr_frac,
            muon_momentum: MOMENTUM,
            muon_weight_decay: 0.0,
        }
    }
    fn figures(&self) -> Vec<(String, f64)> {
        self.figures.clone()
    }
    fn evaluate(&mut self, _: &Gpt) -> Result<BitsPerByte> {
        Ok(BitsPerByte::default())
    }
    /// pass@k on held-out problems, with as many samples of each as are drawn at once.
    fn examine(&mut self, gpt: &Gpt) -> Result<Vec<(String, f64)>> {
        let Some(test) = &self.test else { return Ok(Vec::new()) };
        let draw = generative::Options {
            max_new_tokens: self.options.max_new_tokens,
            num_samples: self.options.device_batch_size,
            temperature: 1.0,
            top_k: self.options.top_k,
            seed: self.options.seed,
        };
        let mut answers = Vec::new();
        let mut see = |answered: &generative::Answered, _: usize| {
            answers.push(answered.right.clone());
            true
        };
        generative::evaluate(
            gpt,
            &self.tokenizer,
            test.as_ref(),
            &draw,
            self.options.eval_examples,
            &mut see,
        )?;
        let of = |(k, part)| (format!("pass@{}", k + 1), part);
        Ok(pass_at_k(&answers).into_iter().enumerate().take(8).map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::talk::Talk;

    #[test]
    fn options_from_which_nothing_could_be_learnt_are_refused() {
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let options = RlOptions {
            device_batch_size: 8,
            examples_per_step: 16,
            num_samples: 16,
            max_new_tokens: 8,
            temperature: 1.0,
            top_k: 50,
            num_iterations: 4,
            init_lr_frac: 0.05,
            eval_examples: 4,
            train_stop: false,
            seed: 42,
        };
        let refuse = |change: fn(&mut RlOptions), hint: &str| {
            let mut changed = options.clone();
            change(&mut changed);
            let task = Box::new(Talk::of("t", vec![Default::default()]));
            let error = Rl::new(changed, task, None, &bytes, Device::Cpu, None).err().unwrap().to_string();
            assert!(error.contains(hint), "{error}");
        };
        refuse(|o| o.num_samples = 12, "use 16");
        refuse(|o| (o.num_samples, o.device_batch_size) = (1, 1), "--num-samples 2");
        refuse(|o| o.temperature = 0.0, "--temperature 1");
        let empty =
            Rl::new(options.clone(), Box::new(Talk::of("t", vec![])), None, &bytes, Device::Cpu, None);
        assert!(empty.is_err());
    }
}
