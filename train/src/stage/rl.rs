//! Reinforcement learning: each step draws answers to some problems with the weights as they are, judges them, and moves the
//! weights once towards those that were better than the others of the same problem.
//!
//! As the original does it nothing is drawn ahead and nothing is used twice, so ratios of new to old probabilities are 1. With
//! `updates` above 1 the same answers are learnt in several steps, with ratios, which may be clipped; a penalty may hold the
//! policy near a frozen reference. The formulas are in `../rl/objective.rs` and `../rl/surrogate.rs`. Every answer is logged with
//! its reward in `rollouts.jsonl`.

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
use crate::rl::surrogate::{Held, Moved, Trust, log_probabilities};
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
    /// Optimizer steps that learn from the same answers.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub updates: usize,
    /// Ratios beyond 1 ± this teach nothing more (0 = no clipping).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clip: f64,
    /// Weight of the penalty for leaving the reference policy (0 = none).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kl: f64,
}

// What is not used is not written, so the options of older runs are still the same.
fn one() -> usize {
    1
}
fn is_one(n: &usize) -> bool {
    *n == 1
}
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// The stage.
pub struct Rl {
    options: RlOptions,
    task: Box<dyn Task>,
    test: Option<Box<dyn Task>>,
    tokenizer: Tokenizer,
    device: Device,
    /// The policy that the penalty compares with.
    reference: Option<Gpt>,
    /// The answers of the last draw, where they are used again.
    held: Vec<Held>,
    /// The passes of this step that are still to be learnt.
    queue: VecDeque<Pass>,
    /// Tokens of this step that went forward only.
    forward_tokens: usize,
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
        let bad = |x: f64| !(x.is_finite() && x >= 0.0);
        if bad(options.clip) || options.clip >= 1.0 || bad(options.kl) {
            let (clip, kl) = (options.clip, options.kl);
            let why = format!(
                "--clip {clip} --kl {kl}: use a clip from 0 to less than 1, and a penalty of at least 0"
            );
            return Err(TrainError::Config(why));
        }
        if options.updates == 0 {
            return Err(TrainError::Config(
                "--updates 0 learns nothing from the answers; use at least 1".into(),
            ));
        }
        if options.clip > 0.0 && options.updates == 1 {
            let why =
                "--clip has nothing to clip: on the first update every ratio is 1; add --updates 2 or more";
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
            reference: None,
            held: Vec::new(),
            queue: VecDeque::new(),
            forward_tokens: 0,
            figures: Vec::new(),
            log,
            open: None,
        })
    }
    /// With the frozen policy that the penalty compares with; only needed where there is a penalty.
    pub fn with_reference(self, reference: Gpt) -> Rl {
        Rl { reference: Some(reference), ..self }
    }
    /// Steps of one pass over `problems`.
    pub fn steps_per_epoch(problems: usize, examples_per_step: usize) -> usize {
        (problems / examples_per_step.max(1)).max(1)
    }
    fn drawing(&self) -> rollout::Options {
        let RlOptions {
            num_samples, device_batch_size, max_new_tokens, temperature, top_k, train_stop, ..
        } = self.options;
        rollout::Options { num_samples, device_batch_size, max_new_tokens, temperature, top_k, train_stop }
    }
    /// The answers of a draw as passes with their first weights.
    fn draw(&mut self, gpt: &Gpt, number: usize, step: usize) -> Result<Vec<Pass>> {
        let pad = self.tokenizer.special(Special::AssistantEnd);
        let RlOptions { examples_per_step: n, device_batch_size, seed, .. } = self.options;
        let (mut reward, mut length, mut mixed) = (0.0, 0.0, 0.0);
        let problems: Vec<usize> = (0..n).map(|e| (number * n + e) % self.task.len()).collect();
        let seed = |problem, chunk| rollout_seed(number, problem, chunk) ^ seed ^ SEED;
        let draw = self.drawing();
        let mut drawn = Vec::new();
        for rollout in Rollout::draw_all(gpt, &self.tokenizer, self.task.as_ref(), &problems, &draw, seed)? {
            let advantages = advantages(&rollout.rewards);
            drawn.extend(passes(&rollout.sequences, &advantages, device_batch_size, n, pad));
            reward += rollout.mean_reward() / n as f64;
            length += rollout.mean_length() / n as f64;
            mixed += f64::from(u8::from(advantages.iter().any(|&a| a != 0.0))) / n as f64;
            self.forward_tokens += rollout.forward_tokens;
            self.record(step, &rollout)?;
        }
        let figures = [("reward", reward), ("sequence_length", length), ("informative", mixed)];
        self.figures = figures.map(|(name, value)| (name.to_string(), value)).to_vec();
        Ok(drawn)
    }
    /// A pass with the log-probabilities that later updates compare with.
    fn hold(&mut self, gpt: &Gpt, pass: Pass) -> Result<Held> {
        let old = self.log_probabilities(gpt, &pass)?;
        let mut reference = Vec::new();
        if self.options.kl > 0.0 {
            let Some(frozen) = self.reference.take() else {
                return Err(TrainError::Config("a penalty needs a reference policy to compare with".into()));
            };
            let known = self.log_probabilities(&frozen, &pass);
            self.reference = Some(frozen);
            reference = known?;
        }
        Ok(Held { pass, old, reference })
    }
    fn log_probabilities(&mut self, gpt: &Gpt, pass: &Pass) -> Result<Vec<f64>> {
        self.forward_tokens += pass.rows.ids.len();
        log_probabilities(gpt, pass, self.device)
    }
    /// Queue the held passes with the weights that they have under the policy as it is; if they are `fresh`, it drew them.
    fn reweigh(&mut self, gpt: &Gpt, fresh: bool) -> Result<()> {
        let trust = Trust { clip: self.options.clip, kl: self.options.kl };
        let mut moved = Moved::default();
        let held = std::mem::take(&mut self.held);
        for held in &held {
            let now = if fresh { held.old.clone() } else { self.log_probabilities(gpt, &held.pass)? };
            self.queue.push_back(held.reweighed(&now, trust, &mut moved));
        }
        self.held = held;
        let tokens = moved.tokens.max(1) as f64;
        for (name, value) in [("kl", moved.kl / tokens), ("clipped", moved.clipped as f64 / tokens)] {
            self.figures.push((name.into(), value));
        }
        Ok(())
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
    /// The rollouts of a draw follow from its number; they are saved only while they are used again.
    fn position(&self) -> Value {
        match self.held.is_empty() {
            true => json!({}),
            false => json!({ "held": self.held }),
        }
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        self.queue.clear();
        self.held = match position.get("held") {
            None => Vec::new(),
            Some(held) => serde_json::from_value(held.clone())
                .map_err(|e| TrainError::Config(format!("the saved answers cannot be read: {e}")))?,
        };
        Ok(())
    }
    fn prepare(&mut self, gpt: &Gpt, step: usize) -> Result<()> {
        self.queue.clear();
        self.figures.clear();
        self.forward_tokens = 0;
        let updates = self.options.updates;
        let passes =
            if step.is_multiple_of(updates) { self.draw(gpt, step / updates, step)? } else { Vec::new() };
        if updates == 1 && self.options.kl == 0.0 {
            self.queue.extend(passes);
            return Ok(());
        }
        if !passes.is_empty() {
            self.held = passes.into_iter().map(|pass| self.hold(gpt, pass)).collect::<Result<_>>()?;
        }
        self.reweigh(gpt, step.is_multiple_of(updates))?;
        if updates == 1 {
            self.held.clear();
        }
        Ok(())
    }
    fn forward_tokens(&self) -> usize {
        self.forward_tokens
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
            updates: 1,
            clip: 0.0,
            kl: 0.0,
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
        refuse(|o| o.updates = 0, "at least 1");
        refuse(|o| o.clip = 0.2, "--updates 2");
        refuse(|o| (o.clip, o.updates) = (1.0, 2), "less than 1");
        refuse(|o| o.kl = f64::NAN, "at least 0");
        let empty =
            Rl::new(options.clone(), Box::new(Talk::of("t", vec![])), None, &bytes, Device::Cpu, None);
        assert!(empty.is_err());
    }
}
