//! The loop that every stage shares: resume, step, log, save, evaluate, stop.

use super::report::{Reporter, StepLine};
use crate::bpb::BitsPerByte;
use crate::checkpoint::{self, Checkpoints, Progress, State, VERSION};
use crate::data::Batch;
use crate::error::{Result, TrainError};
use crate::metrics::Metrics;
use crate::optim::{Hyper, Optimizer, StepSettings};
use crate::run::RunDir;
use crate::trainer;
use kernels::planted;
use model::{Gpt, GptOptions};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What makes a stage: its data, schedule and evaluation.
pub trait Stage {
    /// `base`, `sft`.
    fn name(&self) -> &'static str;
    /// The next micro-batch.
    fn next_batch(&mut self) -> Result<Batch>;
    /// Micro-batches per step.
    fn micro_batches(&self) -> usize;
    /// The loader's position, for a checkpoint.
    fn position(&self) -> serde_json::Value;
    /// Continue from a saved position.
    fn seek(&mut self, position: &serde_json::Value) -> Result<()>;
    /// Learning-rate multiplier and Muon momentum of a step.
    fn settings(&self, step: usize) -> StepSettings;
    /// Bits per byte on held-out data.
    fn evaluate(&mut self, gpt: &Gpt) -> Result<BitsPerByte>;
    /// Called before each step: a stage that learns from what the model itself writes draws it here.
    fn prepare(&mut self, _: &Gpt, _step: usize) -> Result<()> {
        Ok(())
    }
    /// Figures of the last step besides its loss, for the metrics.
    fn figures(&self) -> Vec<(String, f64)> {
        Vec::new()
    }
    /// Something about the last step that a person should know, said once.
    fn notice(&mut self) -> Option<String> {
        None
    }
    /// Scores beside the bits per byte, when it is time to evaluate.
    fn examine(&mut self, _: &Gpt) -> Result<Vec<(String, f64)>> {
        Ok(Vec::new())
    }
    /// How many sample texts there are to show.
    fn sample_count(&self) -> usize {
        0
    }
    /// Sample texts to show, if the stage has any.
    fn samples(&mut self, _: &Gpt) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
}

/// What the loop needs besides a stage.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where checkpoints, metrics and options go.
    pub run: RunDir,
    /// Steps N.
    pub steps: usize,
    /// Largest gradient norm; 0 = no clipping.
    pub grad_clip: f64,
    /// Validate every so many steps (0 = only at the end).
    pub eval_every: usize,
    /// Write a checkpoint every so many steps (0 = only at the end).
    pub save_every: usize,
    /// Checkpoints kept.
    pub keep: usize,
    /// Show samples every so many steps (0 = only at the end).
    pub sample_every: usize,
    /// Continue the newest checkpoint of this run.
    pub resume: bool,
    /// The run's seed, for the checkpoint.
    pub seed: u64,
    /// Which tokenizer the ids belong to.
    pub tokenizer_fingerprint: u64,
    /// The options that decide the course of the run.
    pub options: serde_json::Value,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageSummary {
    /// Steps done.
    pub steps: usize,
    /// Last debiased training loss.
    pub loss: f64,
    /// Last validation bits per byte.
    pub val_bpb: Option<f64>,
    /// Seconds spent in steps, over all resumptions.
    pub seconds: f64,
    /// Input tokens of the steps done in this process.
    pub tokens: usize,
    /// Peak bytes of live tensors.
    pub peak_bytes: usize,
}

/// Run `stage` on `gpt` to its end. `stop` set from outside ends it after the current step, with a checkpoint.
pub fn run_stage(
    gpt: &mut Gpt,
    stage: &mut dyn Stage,
    hyper: Hyper,
    run: &RunOptions,
    reporter: &mut dyn Reporter,
    stop: &AtomicBool,
) -> Result<StageSummary> {
    std::fs::create_dir_all(&run.run.dir).map_err(TrainError::io(&run.run.dir))?;
    let checkpoints = run.run.checkpoints();
    let mut optimizer = Optimizer::new(gpt.params(), hyper)?;
    let mut at = Loop { progress: Progress::default(), step: 0, tokens: 0 };
    begin(gpt, stage, &mut optimizer, run, &checkpoints, &mut at, reporter)?;
    let mut metrics = Metrics::open(&run.run.metrics(), at.step)?;
    let device = gpt.options().device;
    tensor::memory::reset_peak(device);
    if at.step > 0 {
        // A run can end between a checkpoint and the validation and samples that follow it: they come now.
        let (evaluated, sampled) = (metrics.evaluated().cloned(), metrics.sampled());
        match evaluated {
            Some(line) => {
                at.validated(planted!("looping.validation_forgotten", line["val_bpb"].as_f64() => None))
            }
            None if planted!("looping.missed_validation_stays_missed", at.due(run.eval_every, run) => false) =>
            {
                validate(gpt, stage, &mut at, &mut metrics, reporter)?;
            }
            None => {}
        }
        if at.due(run.sample_every, run) {
            sample(gpt, stage, &at, sampled, &mut metrics, reporter)?;
        }
    }

    while at.step < run.steps {
        let begun = Instant::now();
        let settings = stage.settings(at.step);
        stage.prepare(gpt, at.step)?;
        let micro = stage.micro_batches();
        let mut waited = Duration::ZERO;
        let next = || {
            let asked = Instant::now();
            let batch = stage.next_batch();
            waited += asked.elapsed();
            batch
        };
        let result = trainer::step(gpt, &mut optimizer, micro, next, settings, run.grad_clip)?;
        let seconds = begun.elapsed().as_secs_f64();
        at.finish_step(&result, seconds);
        let line = at.line(run, gpt, &result, settings, seconds);
        reporter.step(&line);
        if let Some(notice) = stage.notice() {
            reporter.message(&format!("step {} | {notice}", at.step));
        }
        metrics.write(&with_figures(
            json!({
                "kind": "train", "stage": stage.name(), "step": at.step - 1, "loss": result.loss, "smooth_loss": line.loss,
                "lr_multiplier": settings.lr_multiplier, "grad_norm": result.grad_norm, "seconds": seconds,
                "data_seconds": waited.as_secs_f64(), "tokens_per_second": line.tokens_per_second, "gflops": line.gflops,
            }),
            stage.figures(),
        ))?;
        let stopping = stop.load(Ordering::Relaxed) && at.step < run.steps;
        if stopping || at.due(run.save_every, run) {
            metrics.sync()?;
            let state = at.state(stage, gpt, &optimizer, run);
            checkpoints.save(&state, gpt, optimizer.tensors(gpt.params()), run.keep)?;
        }
        if stopping {
            return Err(TrainError::Interrupted { step: at.step });
        }
        if at.due(run.eval_every, run) {
            validate(gpt, stage, &mut at, &mut metrics, reporter)?;
        }
        if at.due(run.sample_every, run) {
            sample(gpt, stage, &at, 0, &mut metrics, reporter)?;
        }
    }
    let summary = StageSummary {
        steps: at.step,
        loss: at.smooth_loss(),
        val_bpb: at.progress.val_bpb,
        seconds: at.progress.seconds,
        tokens: at.tokens,
        peak_bytes: tensor::memory::stats(device).peak_bytes,
    };
    reporter.done(&summary);
    Ok(summary)
}

fn validate(
    gpt: &Gpt,
    stage: &mut dyn Stage,
    at: &mut Loop,
    metrics: &mut Metrics,
    reporter: &mut dyn Reporter,
) -> Result<()> {
    let result = stage.evaluate(gpt)?;
    let scores = stage.examine(gpt)?;
    let mut line = json!({"kind": "eval", "stage": stage.name(), "step": at.step - 1});
    if result.targets > 0 {
        let bpb = result.value();
        at.validated(Some(bpb));
        reporter.message(&format!(
            "step {} | Validation bpb: {bpb:.4} | loss {:.4} per token",
            at.step,
            result.loss()
        ));
        line["val_bpb"] = json!(bpb);
        line["val_loss"] = json!(result.loss());
    }
    if !scores.is_empty() {
        let shown: Vec<String> = scores.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        reporter.message(&format!("step {} | {}", at.step, shown.join(" | ")));
    }
    metrics.write(&with_figures(line, scores))
}

/// Texts of the model as it is; the first `shown` of them are in the metrics already.
fn sample(
    gpt: &Gpt,
    stage: &mut dyn Stage,
    at: &Loop,
    shown: usize,
    metrics: &mut Metrics,
    reporter: &mut dyn Reporter,
) -> Result<()> {
    if shown > 0 && shown >= stage.sample_count() {
        return Ok(());
    }
    for (prompt, text) in stage.samples(gpt)?.into_iter().skip(shown) {
        reporter.message(&format!("sample | {prompt}{text}"));
        metrics.write(&json!({"kind": "sample", "step": at.step - 1, "prompt": prompt, "text": text}))?;
    }
    Ok(())
}

/// A line of metrics with more figures.
fn with_figures(mut line: serde_json::Value, figures: Vec<(String, f64)>) -> serde_json::Value {
    for (name, value) in figures {
        line[name] = json!(value);
    }
    line
}

/// The loop's own state.
struct Loop {
    progress: Progress,
    step: usize,
    tokens: usize,
}

/// Weight of the past in the moving average of the loss.
const SMOOTHING: f64 = 0.9;

impl Loop {
    /// Is the step just done one of every so many, or the last?
    fn due(&self, every: usize, run: &RunOptions) -> bool {
        self.step == run.steps || every > 0 && self.step.is_multiple_of(every)
    }
    fn validated(&mut self, bpb: Option<f64>) {
        let Some(bpb) = bpb else { return };
        self.progress.val_bpb = Some(bpb);
        self.progress.min_val_bpb = Some(self.progress.min_val_bpb.map_or(bpb, |m| m.min(bpb)));
    }
    fn finish_step(&mut self, result: &trainer::StepResult, seconds: f64) {
        self.progress.smooth_loss = SMOOTHING * self.progress.smooth_loss + (1.0 - SMOOTHING) * result.loss;
        self.progress.seconds += seconds;
        self.step += 1;
        self.tokens += result.tokens;
    }
    fn smooth_loss(&self) -> f64 {
        self.progress.smooth_loss / (1.0 - SMOOTHING.powi(self.step as i32))
    }
    fn line(
        &self,
        run: &RunOptions,
        gpt: &Gpt,
        result: &trainer::StepResult,
        settings: StepSettings,
        seconds: f64,
    ) -> StepLine {
        let rate = result.tokens as f64 / seconds.max(1e-9);
        StepLine {
            step: self.step,
            of: run.steps,
            loss: self.smooth_loss(),
            lr: settings.lr_multiplier,
            grad_norm: result.grad_norm,
            tokens_per_second: rate,
            gflops: rate * gpt.config().flops_per_token() as f64 / 1e9,
            eta_seconds: self.progress.seconds / self.step as f64 * (run.steps - self.step) as f64,
        }
    }
    fn state(&self, stage: &dyn Stage, gpt: &Gpt, optimizer: &Optimizer, run: &RunOptions) -> State {
        State {
            version: VERSION,
            stage: stage.name().into(),
            step: self.step,
            model_config: gpt.config().clone(),
            tokenizer_fingerprint: run.tokenizer_fingerprint,
            seed: run.seed,
            simd: kernels::simd::level().name().into(),
            optimizer_steps: optimizer.steps,
            options: run.options.clone(),
            loader: stage.position(),
            progress: self.progress,
        }
    }
}

/// Fresh start, or continuation of the newest checkpoint.
fn begin(
    gpt: &mut Gpt,
    stage: &mut dyn Stage,
    optimizer: &mut Optimizer,
    run: &RunOptions,
    checkpoints: &Checkpoints,
    at: &mut Loop,
    reporter: &mut dyn Reporter,
) -> Result<()> {
    if run.resume {
        checkpoints.tidy(run.keep)?;
    }
    let Some(folder) = checkpoints.latest()? else {
        if run.resume {
            reporter.message("no checkpoint yet: starting from the beginning");
        }
        let text = toml::to_string_pretty(&run.options).map_err(|e| TrainError::Config(e.to_string()))?;
        let path = run.run.config();
        return std::fs::write(&path, text).map_err(TrainError::io(&path));
    };
    if !run.resume {
        let why =
            "this run has checkpoints already: continue it with --resume, or choose another name with --run";
        return Err(TrainError::bad(&run.run.dir, why));
    }
    let state = checkpoint::load_state(&folder)?;
    check_same_course(&state, stage, gpt, run, &folder)?;
    let GptOptions { device, .. } = gpt.options();
    let weights = checkpoint::load_weights(&folder, &state.model_config, device)?;
    for (param, (_, weight)) in gpt.params_mut().iter_mut().zip(weights) {
        param.set(weight);
    }
    optimizer.restore(gpt.params(), &checkpoint::load_optimizer(&folder, device)?, state.optimizer_steps)?;
    planted!("looping.data_begins_anew", stage.seek(&state.loader) => Ok(()))?;
    (at.step, at.progress) = (state.step, state.progress);
    reporter.message(&format!("resumed at step {}", state.step));
    Ok(())
}

/// A resumed run must be the same run.
fn check_same_course(
    state: &State,
    stage: &dyn Stage,
    gpt: &Gpt,
    run: &RunOptions,
    folder: &std::path::Path,
) -> Result<()> {
    let simd = kernels::simd::level().name();
    let why = if state.stage != stage.name() {
        format!("the run is at stage {}, not {}", state.stage, stage.name())
    } else if state.model_config != *gpt.config() {
        "the checkpoint's model has another shape: repeat the options of the first start".into()
    } else if state.tokenizer_fingerprint != run.tokenizer_fingerprint {
        "the tokenizer has changed since: restore it, or start a new run".into()
    } else if state.options != run.options {
        format!(
            "options differ from the first start ({}): repeat them, or start a new run",
            difference(state, run)
        )
    } else if state.simd != simd {
        format!(
            "the run used --simd {}, this would use {simd}: bits would differ; pass --simd {}",
            state.simd, state.simd
        )
    } else {
        return Ok(());
    };
    Err(TrainError::bad(folder, why))
}

/// Names of the options that differ.
fn difference(state: &State, run: &RunOptions) -> String {
    let (Some(old), Some(new)) = (state.options.as_object(), run.options.as_object()) else {
        return "all".into();
    };
    let changed = new.iter().filter(|(k, v)| old.get(*k) != Some(v));
    changed
        .map(|(k, v)| format!("{k}: {} then, {v} now", old.get(k).unwrap_or(&json!(null))))
        .collect::<Vec<_>>()
        .join("; ")
}
