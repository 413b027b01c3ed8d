//! Five optimizer steps on recorded gradients.
//!
//! `synthetic` dumps name the rule of every matrix (`adamw.*`, `muon.*`) and are run through the rules one by one. Dumps
//! of a whole model are run through clipping and [`Optimizer`], as in training. Each variant starts from `p0`: `bf16ns`
//! iterates in bf16, `wd0.1` decays the AdamW weights.

use super::input::{Tensors, json};
use super::report::{Checked, Reporter, Stop, Tolerance, fail};
use crate::optim::{
    AdamWState, Hyper, MuonState, MuonUpdate, NsDtype, Optimizer, StepSettings, beside, clip_grad_norm,
    muon_numbers, muon_step,
};
use ::model::scaling::{ClassicLrs, width_lr_scale};
use autograd::Parameter;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tensor::{AdamWParams, DType, Tensor, TensorError};

/// Weights after f32 steps.
const WEIGHTS: Tolerance = Tolerance::MaxAbs(1e-5);
/// Weights after steps that iterate in bf16.
const WEIGHTS_BF16: Tolerance = Tolerance::MaxAbs(5e-3);
/// Gradients after clipping.
const CLIPPED: Tolerance = Tolerance::RelL2(1e-5);
/// Clipping of the classic generation.
const MAX_NORM: f64 = 1.0;

/// What a dump says about its steps.
struct Info {
    steps: Vec<Rates>,
    adamw: AdamW,
}

#[derive(Deserialize)]
struct AdamW {
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
}

/// One step: a multiplier of all learning rates, or the rates.
struct Rates {
    muon_momentum: f64,
    multiplier: Option<f64>,
    absolute: Option<ClassicLrs>,
}

impl Info {
    fn read(json: &Value) -> Checked<Info> {
        let lists = ["hyperparams_per_step", "steps"].iter().filter_map(|key| json.get(key)?.as_array());
        let Some(steps) = lists.into_iter().find(|l| !l.is_empty()) else {
            return fail("info.json has no hyperparams_per_step");
        };
        let steps = steps.iter().map(Rates::read).collect::<Checked<_>>()?;
        let adamw = match json.get("adamw") {
            Some(adamw) => serde_json::from_value(adamw.clone())?,
            None => {
                let Hyper { betas, eps, weight_decay, .. } = Hyper::classic(1);
                AdamW { betas, eps, weight_decay }
            }
        };
        Ok(Info { steps, adamw })
    }
}

impl Rates {
    /// Under the names of this kind of dump, of the schedules, or of the original's options.
    fn read(json: &Value) -> Checked<Rates> {
        let number = |names: &[&str]| names.iter().find_map(|name| json.get(name)?.as_f64());
        let Some(muon_momentum) = number(&["muon_momentum"]) else {
            return fail("info.json: a step has no muon_momentum");
        };
        let multiplier = number(&["lr_mult", "lrm", "lr_multiplier"]);
        let wte = number(&["wte_lr", "embedding_lr"]);
        let (lm_head, matrices) =
            (number(&["lm_head_lr", "unembedding_lr"]), number(&["muon_lr", "matrix_lr"]));
        let absolute = match (wte, lm_head, matrices) {
            (Some(wte), Some(lm_head), Some(matrices)) => Some(ClassicLrs { wte, lm_head, matrices }),
            _ => None,
        };
        Ok(Rates { muon_momentum, multiplier, absolute })
    }
    fn absolute(&self) -> Checked<ClassicLrs> {
        let missing = || Stop::Fail("info.json: a step lacks muon_lr, lm_head_lr or wte_lr".into());
        self.absolute.ok_or_else(missing)
    }
}

/// One way to run the steps.
#[derive(Clone, Copy)]
struct Variant<'a> {
    /// What stands between the step number and the tensor's name: `.`, `_bf16ns.`, `_wd0.1.`
    tag: &'a str,
    ns: NsDtype,
    weight_decay: f64,
}

impl Variant<'_> {
    fn tolerance(&self) -> Tolerance {
        if self.ns == NsDtype::Bf16 { WEIGHTS_BF16 } else { WEIGHTS }
    }
}

pub(super) fn check(dir: &Path, report: &mut Reporter<'_>) -> Checked {
    let raw: Value = json(&dir.join("info.json"))?;
    let data = Tensors::read(&dir.join("data.safetensors"))?;
    let current = ["resid_lambdas", "ve_gate", "final_state.", "_bf16."];
    if data.map.keys().any(|k| current.iter().any(|c| k.contains(c))) {
        return super::optimizer_today::check(dir, &data, report);
    }
    let info = Info::read(&raw)?;
    let start: Vec<(&str, &Tensor)> = data.below("p0.").collect();
    if start.is_empty() {
        return fail("data.safetensors has no p0.*");
    }
    if let Some((name, _)) = start.iter().find(|(_, t)| t.rank() != 2 || t.dtype() != DType::F32) {
        return fail(format!("data.safetensors: p0.{name} is not an f32 matrix"));
    }
    let whole_model = start.iter().any(|(name, _)| *name == "lm_head.weight");
    for tag in tags(&data, report) {
        let variant = variant(&tag, &info)?;
        let ours = match whole_model {
            true => model_steps(&data, &info, variant, report)?,
            false => rule_steps(&data, &info, variant)?,
        };
        compare(&data, variant, &ours, report)?;
    }
    Ok(())
}

/// The variants in the dump, by what follows the step number; anything else in it is not understood.
fn tags(data: &Tensors, report: &mut Reporter<'_>) -> BTreeSet<String> {
    let mut tags = BTreeSet::new();
    for name in data.map.keys() {
        if ["grad", "clipped"].iter().any(|p| name.starts_with(p)) {
            continue;
        }
        let rest = name.strip_prefix('p').map(|r| r.trim_start_matches(|c: char| c.is_ascii_digit()));
        let names = data.below("p0.").map(|(n, _)| n);
        // The longest name that fits leaves the shortest tag.
        let tag = rest.and_then(|r| names.filter_map(|n| r.strip_suffix(n)).min_by_key(|tag| tag.len()));
        match tag {
            Some(tag) => _ = tags.insert(tag.to_string()),
            None => report.exact(name, fail("data.safetensors: a tensor that is not understood")),
        }
    }
    tags
}

fn variant<'a>(tag: &'a str, info: &Info) -> Checked<Variant<'a>> {
    let weight_decay = info.adamw.weight_decay;
    let decay = tag.strip_prefix("_wd").and_then(|w| w.strip_suffix('.')).and_then(|w| w.parse().ok());
    match (tag, decay) {
        (".", _) => Ok(Variant { tag, ns: NsDtype::F32, weight_decay }),
        ("_bf16ns.", _) => Ok(Variant { tag, ns: NsDtype::Bf16, weight_decay }),
        (_, Some(weight_decay)) => Ok(Variant { tag, ns: NsDtype::F32, weight_decay }),
        _ => fail(format!("data.safetensors: the variant {tag} is not understood")),
    }
}

/// Weights by step and name.
type History = BTreeMap<(usize, String), Tensor>;

fn gradient<'a>(data: &'a Tensors, step: usize, name: &str, p: &Tensor) -> Checked<&'a Tensor> {
    let g = data.get(&format!("grad{step}.{name}"))?;
    if g.dims() == p.dims() && g.dtype() == p.dtype() {
        Ok(g)
    } else {
        fail(format!("data.safetensors: grad{step}.{name} is not of the weight's shape"))
    }
}

/// Each matrix by the rule that its name starts with.
fn rule_steps(data: &Tensors, info: &Info, variant: Variant<'_>) -> Checked<History> {
    let mut history = History::new();
    for (name, p0) in data.below("p0.") {
        let mut p = p0.copied()?;
        let (mut adamw, mut muon) = (AdamWState::new(&p)?, MuonState::new(&p)?);
        for (i, rates) in info.steps.iter().enumerate() {
            let g = gradient(data, i, name, &p)?;
            let lrs = rates.absolute()?;
            if name.starts_with("muon.") {
                let update = MuonUpdate { state: &mut muon, p: &mut p, g: g.clone() };
                let numbers = beside(p0, &muon_numbers(p0.dims(), lrs.matrices, rates.muon_momentum)?)?;
                muon_step(vec![update], &numbers, variant.ns)?;
            } else {
                let lr = match name {
                    _ if name.starts_with("adamw.lm_head") => lrs.lm_head,
                    _ if name.starts_with("adamw.wte") => lrs.wte,
                    _ => return fail(format!("data.safetensors: p0.{name} is of no known group")),
                };
                let ((beta1, beta2), eps) = (info.adamw.betas, info.adamw.eps);
                let (weight_decay, step) = (variant.weight_decay, i as u32 + 1);
                let h = AdamWParams { lr, beta1, beta2, eps, weight_decay, step };
                let factors = beside(p0, &h.factors().map_err(TensorError::from)?)?;
                adamw.step(&mut p, None, g, &factors)?;
            }
            history.insert((i + 1, name.to_string()), p.copied()?);
        }
    }
    Ok(history)
}

/// A whole model: clip, then the optimizer as in training.
fn model_steps(data: &Tensors, info: &Info, v: Variant<'_>, report: &mut Reporter<'_>) -> Checked<History> {
    let mut params = Vec::new();
    for (name, p0) in data.below("p0.") {
        params.push(Parameter::new(name, p0.copied()?));
    }
    let (lrs, multipliers) = schedule(data, info)?;
    let AdamW { betas, eps, .. } = info.adamw;
    let hyper = Hyper { lrs, betas, eps, weight_decay: v.weight_decay, ns: v.ns, ..Hyper::classic(1) };
    let mut optimizer = Optimizer::new(&params, hyper)?;
    let mut history = History::new();
    for (i, rates) in info.steps.iter().enumerate() {
        for p in &params {
            p.grad().add(gradient(data, i, &p.name, p.value())?.copied()?)?;
        }
        clip_grad_norm(&params, MAX_NORM)?;
        for p in params.iter().filter(|_| v.tag == ".") {
            let name = format!("clipped{i}.{}", p.name);
            if let (Some(theirs), Some(ours)) = (data.map.get(&name), p.grad().get()) {
                report.tensors(&name, &ours, theirs, CLIPPED);
            }
        }
        let settings = StepSettings {
            lr_multiplier: multipliers[i],
            muon_momentum: rates.muon_momentum,
            muon_weight_decay: 0.0,
        };
        optimizer.step(&mut params, settings)?;
        for p in &params {
            history.insert((i + 1, p.name.clone()), p.value().copied()?);
        }
    }
    Ok(history)
}

/// Learning rates before the schedule, and every step's multiplier.
fn schedule(data: &Tensors, info: &Info) -> Checked<(ClassicLrs, Vec<f64>)> {
    let steps = &info.steps;
    let n_embd = data.get("p0.lm_head.weight")?.dim(1);
    if let Some(multipliers) = steps.iter().map(|r| r.multiplier).collect::<Option<Vec<f64>>>() {
        return Ok((ClassicLrs::default().scaled_to(n_embd), multipliers));
    }
    let all = steps.iter().map(Rates::absolute).collect::<Checked<Vec<ClassicLrs>>>()?;
    let Some(first) = all.first().copied() else { return fail("info.json has no steps") };
    let multipliers: Vec<f64> = all.iter().map(|l| l.matrices / first.matrices).collect();
    let proportional = |(l, m): (&ClassicLrs, &f64)| {
        (l.wte - m * first.wte).abs() <= 1e-9 * first.wte
            && (l.lm_head - m * first.lm_head).abs() <= 1e-9 * first.lm_head
    };
    if !all.iter().zip(&multipliers).all(proportional) {
        return fail("info.json: the learning rates do not change by one multiplier");
    }
    // Rates may be written down before or after scaling by width. AdamW's first step moves a weight by lr, so it tells.
    let (p0, p1) = (data.get("p0.lm_head.weight")?.to_f64_vec(), data.get("p1.lm_head.weight")?.to_f64_vec());
    let moved = p0.iter().zip(&p1).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
    let distance = |lr: f64| (moved / lr).ln().abs();
    let scaled = distance(first.lm_head * width_lr_scale(n_embd)) < distance(first.lm_head);
    Ok((if scaled { first.scaled_to(n_embd) } else { first }, multipliers))
}

fn compare(data: &Tensors, v: Variant<'_>, ours: &History, report: &mut Reporter<'_>) -> Checked {
    let mut compared = 0;
    let in_variant = |weight: &str| {
        let end = format!("{}{weight}", v.tag);
        data.map.keys().any(|k| k.starts_with('p') && k.ends_with(&end))
    };
    for ((step, weight), p) in ours {
        let name = format!("p{step}{}{weight}", v.tag);
        match data.map.get(&name) {
            Some(theirs) => report.tensors(&name, p, theirs, v.tolerance()),
            None if v.tag == "." || in_variant(weight) => {
                report.exact(&name, fail("data.safetensors lacks it"))
            }
            None => continue, // AdamW's weights do not depend on Newton–Schulz, so they have no such variant
        }
        compared += 1;
    }
    if compared == 0 { fail(format!("nothing to compare in variant {}", v.tag)) } else { Ok(()) }
}
