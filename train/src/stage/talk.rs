//! Learning from conversations in full rows: midtraining of the classic generation (one stream, every token a target) and
//! fine-tuning of the current one (several conversations in a row, targets by mask).
//!
//! The rate follows the part of the steps that are done. The original follows its loader's progress, which counts micro-batches:
//! with gradient accumulation that ran past 1 within the first step, and the rate far below zero. Here steps are counted, and the
//! schedules clamp.

use super::looping::Stage;
use crate::bpb::BitsPerByte;
use crate::data::{Batch, Loader};
use crate::error::{Result, TrainError};
use crate::optim::StepSettings;
use crate::schedule::{SftLr, classic_mid_lr_multiplier, classic_muon_momentum};
use crate::stage::base::evaluate_loader;
use model::Gpt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tensor::Device;

/// Options that decide the course of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TalkOptions {
    /// Rows per micro-batch, B.
    pub device_batch_size: usize,
    /// Tokens per optimizer step; a multiple of B·T.
    pub total_batch_size: usize,
    /// Optimizer steps.
    pub num_iterations: usize,
    /// Learning rates as a share of the pretraining ones.
    pub init_lr_frac: f64,
    /// How they change.
    pub schedule: Schedule,
    /// Tokens validated per evaluation.
    pub eval_tokens: usize,
}

/// How learning rates change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Classic midtraining: full for four fifths, then falling to 0.
    Mid,
    /// Current fine-tuning.
    Sft {
        /// Share of rising rates.
        warmup_ratio: f64,
        /// Share of falling rates.
        warmdown_ratio: f64,
        /// Where they end.
        final_lr_frac: f64,
    },
}

/// The stage.
pub struct Talk {
    name: &'static str,
    options: TalkOptions,
    train: Box<dyn Loader>,
    validation: Option<Box<dyn Loader>>,
    token_bytes: Vec<u32>,
    sequence_len: usize,
    device: Device,
}

/// Micro-batches of a step.
pub fn micro_batches(device_batch_size: usize, total_batch_size: usize, t: usize) -> Result<usize> {
    let micro = device_batch_size * t;
    if micro == 0 || total_batch_size == 0 || !total_batch_size.is_multiple_of(micro) {
        let near = (total_batch_size / micro.max(1)).max(1) * micro;
        return Err(TrainError::Config(format!(
            "total batch size {total_batch_size} is not a multiple of device batch size {device_batch_size} × sequence length {t} = {micro}; use {near} or {}",
            near + micro,
        )));
    }
    Ok(total_batch_size / micro)
}

impl Talk {
    /// `name` is mid or sft; `sequence_len` is the model's T.
    pub fn new(
        name: &'static str,
        options: TalkOptions,
        train: Box<dyn Loader>,
        validation: Option<Box<dyn Loader>>,
        token_bytes: Vec<u32>,
        sequence_len: usize,
        device: Device,
    ) -> Result<Talk> {
        micro_batches(options.device_batch_size, options.total_batch_size, sequence_len)?;
        Ok(Talk { name, options, train, validation, token_bytes, sequence_len, device })
    }
}

impl Stage for Talk {
    fn name(&self) -> &'static str {
        self.name
    }
    fn next_batch(&mut self) -> Result<Batch> {
        self.train.rows(self.options.device_batch_size, self.sequence_len)?.on(self.device)
    }
    fn micro_batches(&self) -> usize {
        self.options.total_batch_size / (self.options.device_batch_size * self.sequence_len)
    }
    fn position(&self) -> Value {
        self.train.position()
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        self.train.seek(position)
    }
    fn settings(&self, step: usize) -> StepSettings {
        let progress = step as f64 / self.options.num_iterations.max(1) as f64;
        let multiplier = match self.options.schedule {
            Schedule::Mid => classic_mid_lr_multiplier(progress),
            Schedule::Sft { warmup_ratio, warmdown_ratio, final_lr_frac } => {
                SftLr { warmup_ratio, warmdown_ratio, final_lr_frac }.multiplier(progress)
            }
        };
        StepSettings {
            lr_multiplier: multiplier.max(0.0) * self.options.init_lr_frac,
            muon_momentum: classic_muon_momentum(step as u64),
            muon_weight_decay: 0.0,
        }
    }
    fn evaluate(&mut self, gpt: &Gpt) -> Result<BitsPerByte> {
        let Some(validation) = &mut self.validation else { return Ok(BitsPerByte::default()) };
        let TalkOptions { device_batch_size, eval_tokens, .. } = self.options;
        evaluate_loader(gpt, validation.as_mut(), &self.token_bytes, device_batch_size, eval_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::flat::{FlatStream, Step};
    use crate::data::loader_tests::byte_source;

    fn stage(schedule: Schedule, accumulation: usize, num_iterations: usize) -> Talk {
        let options = TalkOptions {
            device_batch_size: 2,
            total_batch_size: 2 * 8 * accumulation,
            num_iterations,
            init_lr_frac: 0.8,
            schedule,
            eval_tokens: 16,
        };
        let loader = Box::new(FlatStream::new(byte_source(9, 0), Step::Tokens));
        Talk::new("sft", options, loader, None, vec![], 8, Device::Cpu).unwrap()
    }

    #[test]
    fn footgun_iterations_are_steps_and_rates_never_negative_whatever_the_accumulation() {
        let sft = Schedule::Sft { warmup_ratio: 0.0, warmdown_ratio: 0.5, final_lr_frac: 0.0 };
        for schedule in [Schedule::Mid, sft] {
            for accumulation in [1, 7, 100] {
                let mut stage = stage(schedule, accumulation, 10);
                assert_eq!(stage.micro_batches(), accumulation);
                for step in 0..20 {
                    stage.next_batch().unwrap();
                    let rate = stage.settings(step).lr_multiplier;
                    assert!((0.0..=0.8).contains(&rate), "step {step}: {rate}");
                    assert_eq!(rate > 1e-9, step < 10, "step {step}: {rate}");
                }
            }
        }
    }

    #[test]
    fn a_total_batch_that_does_not_divide_names_those_that_do() {
        let error = micro_batches(2, 50, 8).unwrap_err().to_string();
        assert!(error.contains("use 48 or 64"), "{error}");
        assert_eq!(micro_batches(2, 64, 8).unwrap(), 4);
    }
}
