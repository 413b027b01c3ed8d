//! Twenty real training steps: losses of every micro-batch, weights after some steps.
//!
//! Two runs: ours (f32 rotary tables and Newton–Schulz) against the original with the same choice, and both in bf16
//! against the original as it is.

use super::input::{Tensors, json, model_config};
use super::report::{Checked, Reporter, Tolerance, fail};
use crate::optim::{Hyper, NsDtype, Optimizer, StepSettings, clip_grad_norm};
use crate::schedule::{Trapezoid, classic_muon_momentum, current_muon_momentum, current_muon_weight_decay};
use ::model::scaling::{ClassicLrs, CurrentLrs};
use ::model::{Gpt, GptConfig, GptOptions, RopeTable};
use autograd::Tape;
use autograd::ops::lm_head_loss::mean_weights;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tensor::{DType, Device, Tensor};

/// Losses of the first five steps.
const EARLY: Tolerance = Tolerance::MaxAbs(1e-4);
/// Losses of all steps, classic and current.
const ALL: Tolerance = Tolerance::MaxAbs(1e-3);
const ALL_CURRENT: Tolerance = Tolerance::MaxAbs(2e-3);
/// Weights after the first step.
const FIRST_STEP: Tolerance = Tolerance::MaxAbs(1e-4);
/// Losses in bf16 against the original as it is, which itself is up to 4e-3 from f32.
const STOCK: Tolerance = Tolerance::MaxAbs(5e-3);
/// Schedules.
const SCHEDULE: Tolerance = Tolerance::MaxAbs(1e-12);
/// How many steps count as early.
const EARLY_STEPS: usize = 5;

#[derive(Deserialize)]
struct Info {
    grad_accum: usize,
    num_iterations: u64,
    steps: Vec<Step>,
    hparams: Recipe,
    unmodified_source_bf16rope_bf16ns_losses: Option<Vec<Vec<f64>>>,
}

#[derive(Deserialize)]
struct Step {
    micro_losses: Vec<f64>,
    logged_train_loss: f64,
    lrm: f64,
    muon_momentum: f64,
    muon_weight_decay: Option<f64>,
    grad_norm: f64,
}

#[derive(Deserialize)]
struct Recipe {
    unembedding_lr: f64,
    embedding_lr: f64,
    matrix_lr: f64,
    weight_decay: f64,
    grad_clip: Option<f64>,
    #[serde(default)]
    warmup_ratio: f64,
    /// Of the current generation, like the two below.
    scalar_lr: Option<f64>,
    #[serde(default)]
    warmup_steps: u64,
    warmdown_ratio: f64,
    final_lr_frac: f64,
}

impl Recipe {
    fn hyper(&self, n_embd: usize, ns: NsDtype) -> Hyper {
        if let Some(scalar_lr) = self.scalar_lr {
            let lrs = CurrentLrs::tuned(self.embedding_lr, self.unembedding_lr, scalar_lr, self.matrix_lr);
            return Hyper { ns, ..Hyper::current(lrs.scaled_to(n_embd, 1.0)) };
        }
        let lrs =
            ClassicLrs { wte: self.embedding_lr, lm_head: self.unembedding_lr, matrices: self.matrix_lr };
        let classic = Hyper::classic(n_embd);
        Hyper { lrs: lrs.scaled_to(n_embd), weight_decay: self.weight_decay, ns, ..classic }
    }
    fn settings(&self, n: u64, step: u64) -> StepSettings {
        let Recipe { warmdown_ratio, final_lr_frac, .. } = *self;
        if self.scalar_lr.is_some() {
            let lr = Trapezoid::current(n, self.warmup_steps, warmdown_ratio, final_lr_frac);
            return StepSettings {
                lr_multiplier: lr.lr_multiplier(step),
                muon_momentum: current_muon_momentum(step, &lr),
                muon_weight_decay: current_muon_weight_decay(step, n, self.weight_decay),
            };
        }
        let lr = Trapezoid::classic(n, self.warmup_ratio, warmdown_ratio, final_lr_frac);
        StepSettings {
            lr_multiplier: lr.lr_multiplier(step),
            muon_momentum: classic_muon_momentum(step),
            muon_weight_decay: 0.0,
        }
    }
}

/// What a run leaves.
#[derive(Default)]
struct Run {
    /// By step and micro-batch, before the update.
    losses: Vec<Vec<f64>>,
    /// Before clipping.
    norms: Vec<f64>,
    /// Weights after the steps asked for.
    weights: BTreeMap<usize, Vec<(String, Tensor)>>,
}

pub(super) fn check(dir: &Path, device: Device, report: &mut Reporter<'_>) -> Checked {
    let raw: Value = json(&dir.join("info.json"))?;
    let config = model_config(raw.get("config").unwrap_or(&Value::Null))?;
    let info: Info = json(&dir.join("info.json"))?;
    let batches = Tensors::read(&dir.join("batches.safetensors"))?;
    let weights = Tensors::read(&dir.join("weights.safetensors"))?;
    if let Some(name) = weights.map.keys().find(|k| snapshot(k).is_none()) {
        return fail(format!("weights.safetensors: {name} is not understood"));
    }
    if info.steps.is_empty() || info.grad_accum == 0 {
        return fail("info.json: no steps, or no micro-batches in a step");
    }
    let of = |rope_table| GptOptions { device, rope_table, ..GptOptions::default() };
    let ours = train(&info, &config, &batches, &weights, of(RopeTable::F32), NsDtype::F32)?;
    schedules(&info, report);
    losses(&info, &ours, report);
    snapshots(&weights, &ours, report);
    if let (Some(stock), Device::Cpu) = (&info.unmodified_source_bf16rope_bf16ns_losses, device) {
        let ours = train(&info, &config, &batches, &weights, of(RopeTable::Bf16), NsDtype::Bf16)?;
        report.numbers("losses, unmodified source (bf16)", &ours.losses.concat(), &stock.concat(), STOCK);
    }
    Ok(())
}

/// `p5.lm_head.weight` is of step 5.
fn snapshot(name: &str) -> Option<(usize, &str)> {
    let (step, name) = name.strip_prefix('p')?.split_once('.')?;
    Some((step.parse().ok()?, name))
}

fn train(
    info: &Info,
    config: &GptConfig,
    batches: &Tensors,
    weights: &Tensors,
    options: GptOptions,
    ns: NsDtype,
) -> Checked<Run> {
    let start = weights.weights(config, "p0.")?;
    let start = start.into_iter().map(|(name, w)| Ok((name, w.copied()?.to_device(options.device)?)));
    let mut gpt = Gpt::from_weights(config.clone(), start.collect::<Checked<Vec<_>>>()?, options)?;
    let r = &info.hparams;
    let mut optimizer = Optimizer::new(gpt.params(), r.hyper(config.n_embd, ns))?;
    let wanted: Vec<usize> = weights.map.keys().filter_map(|k| Some(snapshot(k)?.0)).collect();
    let mut run = Run::default();
    for step in 0..info.steps.len() {
        let micro = (0..info.grad_accum).map(|a| micro_batch(&gpt, batches, info.grad_accum, step, a));
        run.losses.push(micro.collect::<Checked<_>>()?);
        run.norms.push(clip_grad_norm(gpt.params(), r.grad_clip.unwrap_or(0.0))?.item()?);
        let settings = r.settings(info.num_iterations, step as u64);
        optimizer.step(gpt.params_mut(), settings)?;
        if wanted.contains(&(step + 1)) {
            let copy = |value: &Tensor| value.copied()?.to_device(Device::Cpu);
            let copies = gpt.params().iter().map(|p| Ok((p.name.clone(), copy(p.value())?)));
            run.weights.insert(step + 1, copies.collect::<Checked<_>>()?);
        }
    }
    Ok(run)
}

/// Adds one micro-batch's part of the gradient; returns its mean loss.
fn micro_batch(gpt: &Gpt, batches: &Tensors, accumulate: usize, step: usize, a: usize) -> Checked<f64> {
    let at = step * accumulate + a;
    let (x, y) = (batches.get("x")?, batches.get("y")?);
    if x.rank() != 3 || x.dims() != y.dims() || at >= x.dim(0) {
        return fail(format!(
            "batches.safetensors: no micro-batch {at} in x {:?} and y {:?}",
            x.dims(),
            y.dims()
        ));
    }
    let (b, t) = (x.dim(1), x.dim(2));
    let (x, y) = (x.narrow(0, at, 1)?.reshape(&[b, t])?, y.narrow(0, at, 1)?.reshape(&[b * t])?);
    let device = gpt.options().device;
    let (x, y) = (x.contiguous()?.to_device(device)?, y.contiguous()?.to_device(device)?);
    let (mean, _) = mean_weights(&y, DType::F32)?;
    let tape = Tape::new();
    let [loss, _] = gpt.loss(&x, &y, &mean, Some(&tape))?;
    loss.backward(1.0 / accumulate as f64)?;
    Ok(loss.value().item()?)
}

fn schedules(info: &Info, report: &mut Reporter<'_>) {
    let steps = 0..info.steps.len() as u64;
    let ours: Vec<StepSettings> = steps.map(|s| info.hparams.settings(info.num_iterations, s)).collect();
    let mut compare = |name, ours: Vec<f64>, theirs: Vec<f64>| report.numbers(name, &ours, &theirs, SCHEDULE);
    compare(
        "learning rate multipliers",
        ours.iter().map(|s| s.lr_multiplier).collect(),
        info.steps.iter().map(|s| s.lrm).collect(),
    );
    compare(
        "Muon momentum",
        ours.iter().map(|s| s.muon_momentum).collect(),
        info.steps.iter().map(|s| s.muon_momentum).collect(),
    );
    if let Some(theirs) = info.steps.iter().map(|s| s.muon_weight_decay).collect() {
        compare("Muon weight decay", ours.iter().map(|s| s.muon_weight_decay).collect(), theirs);
    }
}

fn losses(info: &Info, ours: &Run, report: &mut Reporter<'_>) {
    let theirs: Vec<Vec<f64>> = info.steps.iter().map(|s| s.micro_losses.clone()).collect();
    let early = EARLY_STEPS.min(theirs.len());
    report.numbers("losses, steps 0-4", &ours.losses[..early].concat(), &theirs[..early].concat(), EARLY);
    let all = if info.hparams.scalar_lr.is_some() { ALL_CURRENT } else { ALL };
    report.numbers("losses, all steps", &ours.losses.concat(), &theirs.concat(), all);
    // The original logs the loss of the last micro-batch alone.
    let last: Vec<f64> = ours.losses.iter().filter_map(|l| l.last().copied()).collect();
    let logged: Vec<f64> = info.steps.iter().map(|s| s.logged_train_loss).collect();
    report.numbers("logged losses", &last, &logged, all);
    let norms: Vec<f64> = info.steps.iter().map(|s| s.grad_norm).collect();
    report.numbers("gradient norms before clipping", &ours.norms, &norms, Tolerance::Informational);
}

fn snapshots(weights: &Tensors, ours: &Run, report: &mut Reporter<'_>) {
    for (name, theirs) in &weights.map {
        let Some((step, param)) = snapshot(name).filter(|(step, _)| *step > 0) else { continue };
        let tolerance = if step == 1 { FIRST_STEP } else { Tolerance::Informational };
        let our = ours.weights.get(&step).and_then(|all| all.iter().find(|(n, _)| n == param));
        match our {
            Some((_, our)) => report.tensors(name, our, theirs, tolerance),
            None => report.exact(name, fail("weights.safetensors: no such weight or step")),
        }
    }
    let firsts = ours.weights.get(&1).into_iter().flatten().map(|(name, _)| format!("p1.{name}"));
    for name in firsts.filter(|name| !weights.map.contains_key(name)) {
        report.exact(&name, fail("weights.safetensors lacks it"));
    }
}
