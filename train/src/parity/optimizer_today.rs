//! Five steps of today's optimizers on recorded gradients, rule by rule: `muon.*` and `adamw.*`, whose hyperparameters are in the
//! dump. `p{i}_bf16.*` are of Polar Express in bf16; `final_state.*` are the states after the last step.

use super::input::{Tensors, json};
use super::report::{Checked, Reporter, Stop, Tolerance, fail};
use crate::optim::{
    AdamWState, MuonParts, NorMuonState, NorMuonUpdate, NsDtype, beside, normuon_numbers, normuon_step,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use tensor::{AdamWParams, Tensor, TensorError};

/// Weights after f32 steps, and states.
const WEIGHTS: Tolerance = Tolerance::MaxAbs(1e-5);
/// Weights after steps that iterate in bf16.
const WEIGHTS_BF16: Tolerance = Tolerance::MaxAbs(5e-3);

#[derive(Deserialize)]
struct Info {
    hyperparams_per_step: Vec<Step>,
    muon_base: Muon,
    adamw_groups: BTreeMap<String, AdamW>,
}

#[derive(Deserialize)]
struct Step {
    lr_mult: f64,
    muon_momentum: f64,
    muon_weight_decay: f64,
}

#[derive(Deserialize)]
struct Muon {
    lr: f64,
}

#[derive(Deserialize)]
struct AdamW {
    betas: (f64, f64),
    weight_decay: f64,
    lr: f64,
    eps: f64,
}

pub(super) fn check(dir: &Path, data: &Tensors, report: &mut Reporter<'_>) -> Checked {
    let info: Info = json(&dir.join("info.json"))?;
    let mut known = 0;
    for (name, p0) in data.below("p0.") {
        known += match name.split_once('.') {
            Some(("muon", _)) => {
                muon(data, &info, name, p0, NsDtype::F32, report)?
                    + muon(data, &info, name, p0, NsDtype::Bf16, report)?
            }
            Some(("adamw", group)) => adamw(data, &info, name, group, p0, report)?,
            _ => return fail(format!("data.safetensors: p0.{name} is of no known rule")),
        };
    }
    if known == 0 { fail("data.safetensors has no p0.*") } else { Ok(()) }
}

fn muon(
    data: &Tensors,
    info: &Info,
    name: &str,
    p0: &Tensor,
    ns: NsDtype,
    report: &mut Reporter<'_>,
) -> Checked<usize> {
    let (tag, tolerance) = if ns == NsDtype::Bf16 { ("_bf16", WEIGHTS_BF16) } else { ("", WEIGHTS) };
    let parts = MuonParts::default();
    let (mut p, mut state) = (p0.copied()?, NorMuonState::new(p0, parts)?);
    for (i, step) in info.hyperparams_per_step.iter().enumerate() {
        let g = data.get(&format!("grad{i}.{name}"))?;
        let lr = info.muon_base.lr * step.lr_mult;
        let update = NorMuonUpdate { state: &mut state, p: &mut p, g: g.clone() };
        let numbers = normuon_numbers(p0.dims(), lr, step.muon_momentum, step.muon_weight_decay, parts)?;
        normuon_step(vec![update], &beside(p0, &numbers)?, ns, parts)?;
        let stored = format!("p{}{tag}.{name}", i + 1);
        report.tensors(&stored, &p, data.get(&stored)?, tolerance);
    }
    if ns == NsDtype::F32 {
        let (group, at) = place(name)?;
        for (what, ours) in [("momentum_buffer", &state.buf), ("second_momentum_buffer", &state.second)] {
            let stored = format!("final_state.{what}.{group}");
            let theirs = data.get(&stored)?.narrow(0, at, 1)?.contiguous()?.reshape(ours.dims())?;
            report.tensors(&format!("{stored}[{at}]"), ours, &theirs, WEIGHTS);
        }
    }
    Ok(1)
}

/// The states of a shape are stored as one stack: `muon.tall.2` is number 2 of `tall`.
fn place(name: &str) -> Checked<(&str, usize)> {
    let parts = name.strip_prefix("muon.").and_then(|n| n.rsplit_once('.'));
    let place = parts.and_then(|(group, at)| Some((group, at.parse().ok()?)));
    place.ok_or_else(|| Stop::Fail(format!("data.safetensors: {name} has no place in a group")))
}

fn adamw(
    data: &Tensors,
    info: &Info,
    name: &str,
    group: &str,
    p0: &Tensor,
    report: &mut Reporter<'_>,
) -> Checked<usize> {
    let Some(h) = info.adamw_groups.get(group) else {
        return fail(format!("info.json has no AdamW group {group}"));
    };
    let (mut p, mut state) = (p0.copied()?, AdamWState::new(p0)?);
    for (i, rates) in info.hyperparams_per_step.iter().enumerate() {
        let g = data.get(&format!("grad{i}.{name}"))?;
        let ((beta1, beta2), step) = (h.betas, i as u32 + 1);
        let (lr, eps, weight_decay) = (h.lr * rates.lr_mult, h.eps, h.weight_decay);
        let h = AdamWParams { lr, beta1, beta2, eps, weight_decay, step };
        let factors = beside(p0, &h.factors().map_err(TensorError::from)?)?;
        state.step(&mut p, None, g, &factors)?;
        let stored = format!("p{}.{name}", i + 1);
        report.tensors(&stored, &p, data.get(&stored)?, WEIGHTS);
    }
    for (what, ours) in [("exp_avg", &state.m), ("exp_avg_sq", &state.v)] {
        let stored = format!("final_state.{what}.{group}");
        report.tensors(&stored, ours, data.get(&stored)?, WEIGHTS);
    }
    Ok(1)
}
