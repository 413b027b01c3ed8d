//! Supervised fine-tuning: learn to answer, from conversations; only the assistant's tokens are targets.

use super::looping::Stage;
use crate::bpb::BitsPerByte;
use crate::data::{Batch, ConversationFeed, conversations};
use crate::error::{Result, TrainError};
use crate::optim::StepSettings;
use crate::schedule::linear_lr_multiplier;
use model::Gpt;
use serde::{Deserialize, Serialize};
use tensor::Device;
use tokenizer::Tokenizer;
use tokenizer::conversation::Conversation;

/// Muon's momentum, constant in this stage.
const MOMENTUM: f64 = 0.95;

/// Options that decide the course of a fine-tuning run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SftOptions {
    /// Conversations per micro-batch.
    pub device_batch_size: usize,
    /// Conversations per optimizer step; a multiple of the micro-batch.
    pub target_examples_per_step: usize,
    /// Optimizer steps.
    pub num_iterations: usize,
    /// All learning rates start at this share of the pretraining ones and fall linearly to 0.
    pub init_lr_frac: f64,
    /// Longest conversation in tokens; longer ones are cut.
    pub max_tokens: usize,
    /// Held-out conversations validated per evaluation.
    pub eval_conversations: usize,
    /// Order of conversations.
    pub seed: u64,
}

/// The stage.
pub struct Sft {
    options: SftOptions,
    train: ConversationFeed,
    validation: Option<ConversationFeed>,
    token_bytes: Vec<u32>,
    device: Device,
}

impl Sft {
    /// From conversations.
    pub fn new(
        options: SftOptions,
        train: &[Conversation],
        validation: &[Conversation],
        tokenizer: &Tokenizer,
        device: Device,
    ) -> Result<Sft> {
        let (examples, micro) = (options.target_examples_per_step, options.device_batch_size);
        if micro == 0 || examples == 0 || examples % micro != 0 {
            let near = (examples / micro.max(1)).max(1) * micro;
            return Err(TrainError::Config(format!(
                "{examples} examples per step are not a multiple of the device batch size {micro}; use {near}"
            )));
        }
        let feed = |c, seed| ConversationFeed::new(c, tokenizer, options.max_tokens, seed, examples);
        let validation = if validation.is_empty() { None } else { Some(feed(validation, None)?) };
        Ok(Sft {
            train: feed(train, Some(options.seed))?,
            validation,
            token_bytes: tokenizer.token_bytes(),
            device,
            options,
        })
    }
    /// The fewest steps, from the conversations that come next, of which the batches have `tokens` positions. The stage lasts so
    /// long from then on.
    pub fn last_for(&mut self, tokens: f64) -> Result<&SftOptions> {
        let (begin, batches) = (self.train.position(), self.micro_batches());
        let (mut steps, mut seen) = (0, 0.0);
        while seen < tokens || steps == 0 {
            for _ in 0..batches {
                seen += self.train.next(self.options.device_batch_size, Device::Cpu)?.tokens() as f64;
            }
            steps += 1;
        }
        self.train.seek(begin);
        self.options.num_iterations = steps;
        Ok(&self.options)
    }
    /// Steps of one pass over the conversations.
    pub fn steps_per_epoch(conversations: usize, examples_per_step: usize) -> usize {
        (conversations / examples_per_step.max(1)).max(1)
    }
}

impl Stage for Sft {
    fn name(&self) -> &'static str {
        "sft"
    }
    fn next_batch(&mut self) -> Result<Batch> {
        self.train.next(self.options.device_batch_size, self.device)
    }
    fn micro_batches(&self) -> usize {
        self.options.target_examples_per_step / self.options.device_batch_size
    }
    fn position(&self) -> serde_json::Value {
        serde_json::json!(self.train.position())
    }
    fn seek(&mut self, position: &serde_json::Value) -> Result<()> {
        let position = serde_json::from_value(position.clone());
        self.train.seek(position.map_err(|e| TrainError::Config(format!("loader position: {e}")))?);
        Ok(())
    }
    fn settings(&self, step: usize) -> StepSettings {
        let multiplier = linear_lr_multiplier(step as u64, self.options.num_iterations as u64);
        let lr_multiplier = multiplier * self.options.init_lr_frac;
        StepSettings { lr_multiplier, muon_momentum: MOMENTUM, muon_weight_decay: 0.0 }
    }
    fn evaluate(&mut self, gpt: &Gpt) -> Result<BitsPerByte> {
        let mut sums = BitsPerByte::default();
        let Some(feed) = &mut self.validation else { return Ok(sums) };
        feed.seek(conversations::Position::default());
        let b = self.options.device_batch_size;
        let batches = (self.options.eval_conversations.min(feed.len()) / b).max(1);
        for _ in 0..batches {
            sums.add(gpt, &feed.next(b, self.device)?, &self.token_bytes)?;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizer::conversation::{Message, Role};

    #[test]
    fn a_control_lasts_until_its_tokens_are_spent_and_begins_where_it_was() {
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let talk = |n: usize| Conversation {
            messages: vec![Message::new(Role::User, "?"), Message::new(Role::Assistant, "a".repeat(n))],
        };
        let talks: Vec<Conversation> = [3, 9, 5, 20].map(talk).into();
        let options = SftOptions {
            device_batch_size: 1,
            target_examples_per_step: 2,
            num_iterations: 1,
            init_lr_frac: 0.1,
            max_tokens: 100,
            eval_conversations: 0,
            seed: 3,
        };
        let mut stage = Sft::new(options, &talks, &[], &bytes, Device::Cpu).unwrap();
        stage.seek(&serde_json::json!({"epoch": 1, "item": 2})).unwrap();
        let begin = stage.position();
        let rest: usize = (0..2).map(|_| stage.next_batch().unwrap().tokens()).sum();
        let pass: usize = (0..4).map(|_| stage.next_batch().unwrap().tokens()).sum();
        for (tokens, steps) in
            [(0.0, 1), (1.0, 1), (rest as f64, 1), (rest as f64 + 1.0, 2), ((rest + pass) as f64, 3)]
        {
            stage.seek(&begin).unwrap();
            assert_eq!(stage.last_for(tokens).unwrap().num_iterations, steps, "{tokens}");
            assert_eq!(stage.position(), begin);
        }
    }
}
