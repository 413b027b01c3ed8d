//! One model: logits, losses, the gradient of every weight, activations and rotary tables.
//!
//! The dump holds random weights (none zero), ids, targets (−1 = ignored) and what the original made of them, with rotary
//! tables in f32 and, as `*_bf16rope`, with tables rounded to bf16. Dumps of the current family have the whole computation in
//! bf16 instead, as `*_bf16compute`.

use super::input::{Tensors, json, model_config};
use super::report::{Checked, Reporter, Tolerance, fail};
use ::model::observe::{Blind, Observer};
use ::model::{Family, Gpt, GptConfig, GptOptions, RopeTable};
use autograd::Tape;
use autograd::ops::lm_head_loss::mean_weights;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tensor::{DType, Device, Tensor};

/// Logits, losses per token, activations, tables.
pub(super) const VALUES: Tolerance = Tolerance::MaxAbs(1e-4);
/// The mean loss.
const LOSS: Tolerance = Tolerance::MaxAbs(1e-5);
/// The summed loss.
const LOSS_SUM: Tolerance = Tolerance::RelL2(1e-5);
/// Logits of a computation in bf16, which differ by the order of sums.
const LOGITS_BF16: Tolerance = Tolerance::MaxAbs(0.35);
/// Its mean loss.
const LOSS_BF16: Tolerance = Tolerance::MaxAbs(2e-2);
/// One weight's gradient.
const GRADIENT: Tolerance = Tolerance::RelL2(1e-4);
/// The norm of a gradient that is zero but for rounding.
const ZERO_GRADIENT: Tolerance = Tolerance::MaxAbs(1e-5);

#[derive(Deserialize)]
struct Dump {
    config: Value,
    #[serde(default)]
    zero_grads: Vec<String>,
}

/// What the model is asked.
struct Question {
    config: GptConfig,
    weights: Vec<(String, Tensor)>,
    /// (B, T)
    ids: Tensor,
    /// (B·T)
    targets: Tensor,
}

pub(super) fn check(dir: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: Dump = json(&dir.join("config.json"))?;
    let config = model_config(&dump.config)?;
    let stored = Tensors::read(&dir.join("weights.safetensors"))?;
    let weights = stored.weights(&config, "")?;
    if let Some(name) = stored.map.keys().find(|k| !weights.iter().any(|(name, _)| name == *k)) {
        return fail(format!("weights.safetensors: {name} is not part of the model"));
    }
    let io = Tensors::read(&dir.join("io.safetensors"))?;
    let (ids, targets) = (io.get("input_ids")?.clone(), io.get("targets")?);
    if ids.rank() != 2 || ids.dims() != targets.dims() || ids.numel() == 0 {
        return fail(format!(
            "io.safetensors: ids {:?} and targets {:?} must be (B, T)",
            ids.dims(),
            targets.dims()
        ));
    }
    let targets = targets.reshape(&[ids.numel()])?;
    let expected = Tensors::read(&dir.join("expected.safetensors"))?;
    let acts = Tensors::read(&dir.join("acts.safetensors"))?;
    let question = Question { config, weights, ids, targets };

    let mut ours = question.answer()?;
    ours.extend(question.rounded()?);
    outputs(&ours, &expected, &dump.zero_grads, report)?;
    activations(&ours, &acts, report);
    Ok(())
}

impl Question {
    fn gpt(&self, options: GptOptions) -> Checked<Gpt> {
        Ok(Gpt::from_weights(self.config.clone(), self.weights.clone(), options)?)
    }

    /// Logits (B, T, V), the mean loss, and the rotary tables of the first positions.
    fn summary(&self, gpt: &Gpt, observer: &mut dyn Observer) -> Checked<[Tensor; 4]> {
        let (b, t) = (self.ids.dim(0), self.ids.dim(1));
        let hidden = gpt.hidden(&self.ids, None, observer)?;
        let logits = gpt.logits(hidden.value())?.reshape(&[b, t, self.config.vocab_size])?;
        let (mean, _) = mean_weights(&self.targets, DType::F32)?;
        let [loss, _] = gpt.loss(&self.ids, &self.targets, &mean, None)?;
        let (cos, sin) = (gpt.rotary().cos.narrow(0, 0, t)?, gpt.rotary().sin.narrow(0, 0, t)?);
        Ok([logits, loss.value().reshape(&[1])?, cos, sin])
    }

    /// What the original makes with its usual roundings: of the tables alone, or of everything.
    fn rounded(&self) -> Checked<BTreeMap<String, Tensor>> {
        let (compute, tag, tables) = match self.config.family {
            Family::Current => (DType::Bf16, "bf16compute", false),
            _ => (DType::F32, "bf16rope", true),
        };
        let gpt = self.gpt(GptOptions { compute, rope_table: RopeTable::Bf16, ..GptOptions::default() })?;
        let [logits, loss, cos, sin] = self.summary(&gpt, &mut Blind)?;
        let mut out = BTreeMap::from([(format!("logits_{tag}"), logits), (format!("loss_{tag}"), loss)]);
        if tables {
            out.extend([("cos_bf16".to_string(), cos), ("sin_bf16".to_string(), sin)]);
        }
        Ok(out)
    }

    /// Everything a dump may hold of f32, under the dump's names.
    fn answer(&self) -> Checked<BTreeMap<String, Tensor>> {
        let gpt = self.gpt(GptOptions::default())?;
        let (b, t) = (self.ids.dim(0), self.ids.dim(1));
        let mut out = BTreeMap::new();
        let mut see = |name: &str, value: &autograd::Var| {
            if let Some(name) = dumped_name(name) {
                out.insert(name, value.value().clone());
            }
        };
        let [logits, _, cos, sin] = self.summary(&gpt, &mut see)?;
        let (mean, _) = mean_weights(&self.targets, DType::F32)?;
        let ones = Tensor::full(1.0, self.targets.dims(), DType::F32, Device::Cpu)?;
        let [sum, per_token] = gpt.loss(&self.ids, &self.targets, &ones, None)?;
        let tape = Tape::new();
        let [loss, _] = gpt.loss(&self.ids, &self.targets, &mean, Some(&tape))?;
        loss.backward(1.0)?;
        let named = [
            ("logits", logits),
            ("loss", loss.value().reshape(&[1])?),
            ("loss_sum", sum.value().reshape(&[1])?),
            ("loss_per_token", per_token.value().reshape(&[b, t])?),
            ("cos", cos),
            ("sin", sin),
        ];
        out.extend(named.map(|(name, t)| (name.to_string(), t)));
        for p in gpt.params() {
            let zeros = Tensor::zeros(p.value().dims(), DType::F32, Device::Cpu)?;
            out.insert(format!("grad.{}", p.name), p.grad().get().unwrap_or(zeros));
        }
        Ok(out)
    }
}

/// The dump's name of an observed value, if dumps hold it.
fn dumped_name(observed: &str) -> Option<String> {
    if observed == "wte_out" {
        return Some("act.wte_out".into());
    }
    if observed == "final_norm" {
        return Some("act.final_norm_out".into());
    }
    let (layer, what) = observed.strip_prefix("block")?.split_once('.')?;
    let name = match what {
        "in" => format!("block{layer}_in"),
        "out" => format!("block{layer}_out"),
        "attn_proj" => format!("attn{layer}_out"),
        "mlp_proj" => format!("mlp{layer}_out"),
        _ => return None,
    };
    Some(format!("act.{name}"))
}

/// Logits, losses and gradients: all that we make must be in the dump, and the other way round.
fn outputs(
    ours: &BTreeMap<String, Tensor>,
    expected: &Tensors,
    zero_grads: &[String],
    report: &mut Reporter<'_>,
) -> Checked {
    for (name, theirs) in &expected.map {
        let Some(our) = ours.get(name) else {
            report.exact(name, fail("expected.safetensors: a tensor that is not understood"));
            continue;
        };
        let tolerance = match name.as_str() {
            "loss" | "loss_bf16rope" => LOSS,
            "loss_bf16compute" => LOSS_BF16,
            "logits_bf16compute" => LOGITS_BF16,
            "loss_sum" => LOSS_SUM,
            _ if zero_grads.contains(name) => {
                let norm = our.sum_squares()?.sqrt();
                report.numbers_noted(name, &[norm], &[0.0], ZERO_GRADIENT, "norm of a zero gradient".into());
                continue;
            }
            _ if name.starts_with("grad.") => GRADIENT,
            _ => VALUES,
        };
        report.tensors(name, our, theirs, tolerance);
    }
    let wanted =
        |name: &&String| !name.starts_with("act.") && !name.starts_with("cos") && !name.starts_with("sin");
    for name in ours.keys().filter(wanted).filter(|name| !expected.map.contains_key(*name)) {
        report.exact(name, fail("expected.safetensors lacks it"));
    }
    Ok(())
}

fn activations(ours: &BTreeMap<String, Tensor>, acts: &Tensors, report: &mut Reporter<'_>) {
    for (name, theirs) in &acts.map {
        match ours.get(name) {
            Some(our) => report.tensors(name, our, theirs, VALUES),
            None => report.exact(name, fail("acts.safetensors: a tensor that is not understood")),
        }
    }
    let wanted =
        |name: &&String| name.starts_with("act.") || name.starts_with("cos") || name.starts_with("sin");
    for name in ours.keys().filter(wanted).filter(|name| !acts.map.contains_key(*name)) {
        report.exact(name, fail("acts.safetensors lacks it"));
    }
}

/// A model with the weights of a dump and rotary tables in f32.
pub(super) fn load(config: &GptConfig, weights: Vec<(String, Tensor)>) -> Checked<Gpt> {
    Ok(Gpt::from_weights(config.clone(), weights, GptOptions::default())?)
}

/// Softcapped logits (T, V) of one row of ids, the whole matrix.
pub(super) fn full_logits(gpt: &Gpt, ids: &[i32]) -> Checked<Tensor> {
    let ids = Tensor::ids(ids, &[1, ids.len()], Device::Cpu)?;
    let hidden = gpt.hidden(&ids, None, &mut Blind)?;
    Ok(gpt.logits(hidden.value())?)
}
