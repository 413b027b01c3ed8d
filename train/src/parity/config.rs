//! What follows from the depth: sizes, parameters, operations per token, steps, learning rates.

use super::input::json;
use super::report::{Checked, Reporter, Tolerance, fail};
use super::tokenizer::same;
use crate::schedule::Trapezoid;
use ::model::GptConfig;
use ::model::scaling::{CLASSIC_BATCH_TOKENS, ClassicLrs, Horizon, HorizonRequest, width_lr_scale};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The classic generation derives for this context.
const SEQUENCE_LEN: usize = 2048;
const FLOATS: Tolerance = Tolerance::RelL2(1e-12);
/// The part of the steps that the learning rate falls.
const WARMDOWN: f64 = 0.2;

#[derive(Deserialize)]
struct Derivation {
    depth: usize,
    vocab_size: usize,
    model_dim: usize,
    num_heads: usize,
    num_kv_heads: usize,
    head_dim: usize,
    num_params: u64,
    params_by_group: BTreeMap<String, u64>,
    estimate_flops_per_token: u64,
    total_batch_size: u64,
    num_iterations_ratio20: u64,
    total_tokens: u64,
    num_iterations_target_flops_1e18: u64,
    dmodel_lr_scale: f64,
    lrs: Lrs,
    warmdown_iters: u64,
    total_flops: f64,
}

#[derive(Deserialize)]
struct Lrs {
    lm_head: f64,
    wte: f64,
    muon_matrices: f64,
}

pub(super) fn check(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let rows: Vec<Value> = json(file)?;
    if rows.is_empty() {
        return fail("no derivations");
    }
    for (i, row) in rows.into_iter().enumerate() {
        if row.get("window_sizes").is_some() {
            match serde_json::from_value(row) {
                Ok(d) => super::dial::one(&d, report),
                Err(e) => report.exact(&format!("entry {i}"), fail(e.to_string())),
            }
            continue;
        }
        match serde_json::from_value::<Derivation>(row) {
            Ok(d) => one(&d, report),
            Err(e) => report.exact(&format!("entry {i}"), fail(e.to_string())),
        }
    }
    Ok(())
}

fn one(d: &Derivation, report: &mut Reporter<'_>) {
    let name = format!("depth {}, vocabulary {}", d.depth, d.vocab_size);
    match derive(d) {
        Err(stop) => report.stop(&name, stop),
        Ok((config, flops)) => {
            report.exact(&name, Ok(format!("{} parameters", d.num_params)));
            let lrs = ClassicLrs::default().scaled_to(config.n_embd);
            let ours = [flops, width_lr_scale(config.n_embd), lrs.lm_head, lrs.wte, lrs.matrices];
            let theirs = [d.total_flops, d.dmodel_lr_scale, d.lrs.lm_head, d.lrs.wte, d.lrs.muon_matrices];
            let names = ["operations", "learning rate scale", "lm_head rate", "wte rate", "matrix rate"];
            for (what, (ours, theirs)) in names.iter().zip(ours.iter().zip(theirs)) {
                report.numbers(&format!("{name}: {what}"), &[*ours], &[theirs], FLOATS);
            }
        }
    }
}

/// All whole numbers, which have to be equal; returns the operations of the whole run.
fn derive(d: &Derivation) -> Checked<(GptConfig, f64)> {
    let config = GptConfig::classic_from_depth(d.depth, d.vocab_size, SEQUENCE_LEN)?;
    same("model_dim", config.n_embd, d.model_dim)?;
    same("num_heads", config.n_head, d.num_heads)?;
    same("num_kv_heads", config.n_kv_head, d.num_kv_heads)?;
    same("head_dim", config.head_dim(), d.head_dim)?;
    same("num_params", config.num_params(), d.num_params)?;
    let groups: BTreeMap<String, u64> =
        serde_json::from_value(serde_json::to_value(config.params_by_group())?)?;
    same("params_by_group", &groups, &d.params_by_group)?;
    same("estimate_flops_per_token", config.flops_per_token(), d.estimate_flops_per_token)?;
    same("total_batch_size", CLASSIC_BATCH_TOKENS, d.total_batch_size)?;
    let run = Horizon::classic(&config, &HorizonRequest::default(), CLASSIC_BATCH_TOKENS)?;
    same("num_iterations_ratio20", run.iterations, d.num_iterations_ratio20)?;
    same("total_tokens", run.tokens, d.total_tokens)?;
    same(
        "warmdown_iters",
        Trapezoid::classic(run.iterations, 0.0, WARMDOWN, 0.0).warmdown,
        d.warmdown_iters,
    )?;
    let request = HorizonRequest { target_flops: Some(1e18), ..HorizonRequest::default() };
    let by_flops = Horizon::classic(&config, &request, CLASSIC_BATCH_TOKENS)?;
    same("num_iterations_target_flops_1e18", by_flops.iterations, d.num_iterations_target_flops_1e18)?;
    Ok((config, run.flops))
}
