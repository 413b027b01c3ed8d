//! What follows from the depth in the current generation: sizes, windows, counts, costs, batch, steps, rates and decays.

use super::report::{Checked, Reporter, Tolerance};
use super::tokenizer::same;
use crate::optim::{Hyper, Rule};
use ::model::GptConfig;
use ::model::scaling::{CURRENT_PARAM_DATA_RATIO, CurrentLrs, Dial, HorizonRequest, width_lr_scale};
use serde::Deserialize;
use std::collections::BTreeMap;

const FLOATS: Tolerance = Tolerance::RelL2(1e-12);
/// The weight decay that is scaled.
const WEIGHT_DECAY: f64 = 0.28;
/// Bytes of an f32.
const F32: usize = 4;

#[derive(Deserialize)]
pub(super) struct Derivation {
    variant: String,
    overrides: Overrides,
    depth: usize,
    vocab_size: usize,
    model_dim: usize,
    num_heads: usize,
    num_kv_heads: usize,
    window_sizes: Vec<usize>,
    param_counts: BTreeMap<String, u64>,
    #[serde(rename = "num_scaling_params(transformer_matrices+lm_head)")]
    scaling_params: u64,
    num_matmul_params: u64,
    estimate_flops_per_token: u64,
    target_tokens: u64,
    #[serde(rename = "D_REF")]
    reference_tokens: u64,
    total_batch_size: u64,
    batch_lr_scale: f64,
    weight_decay_scaled: f64,
    num_iterations: u64,
    total_tokens: u64,
    dmodel_lr_scale: f64,
    decode_flops: BTreeMap<String, u64>,
    prefill_flops: BTreeMap<String, u64>,
    kv_bytes_per_token_f32: u64,
    kv_read_bytes_f32: BTreeMap<String, u64>,
    optimizer_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Overrides {
    target_param_data_ratio: Option<f64>,
    window_pattern: Option<String>,
    max_seq_len: Option<usize>,
    total_batch_size: Option<u64>,
    target_flops: Option<f64>,
    num_iterations: Option<u64>,
}

#[derive(Deserialize)]
struct Group {
    kind: String,
    first: String,
    lr: f64,
    weight_decay: f64,
    betas: Option<(f64, f64)>,
}

pub(super) fn one(d: &Derivation, report: &mut Reporter<'_>) {
    let name = format!("{}, depth {}, vocabulary {}", d.variant, d.depth, d.vocab_size);
    if let Err(stop) = derive(d, &name, report) {
        report.stop(&name, stop);
    }
}

fn derive(d: &Derivation, name: &str, report: &mut Reporter<'_>) -> Checked {
    let o = &d.overrides;
    let mut config = GptConfig::current_from_depth(d.depth, d.vocab_size, o.max_seq_len.unwrap_or(2048))?;
    if let Some(pattern) = &o.window_pattern {
        config.window_pattern.clone_from(pattern);
    }
    config.validate()?;
    let ratio = o.target_param_data_ratio.unwrap_or(CURRENT_PARAM_DATA_RATIO);
    let dial = Dial::new(&config, ratio, o.total_batch_size)?;
    let request = HorizonRequest {
        num_iterations: o.num_iterations,
        target_flops: o.target_flops,
        param_data_ratio: Some(ratio),
    };
    let run = dial.horizon(&config, &request)?;
    shapes(d, &config)?;
    same("target_tokens", dial.target_tokens, d.target_tokens)?;
    same("D_REF", dial.reference_tokens, d.reference_tokens)?;
    same("total_batch_size", dial.batch_tokens, d.total_batch_size)?;
    same("num_iterations", run.iterations, d.num_iterations)?;
    same("total_tokens", run.tokens, d.total_tokens)?;
    costs(d, &config)?;
    report.exact(name, Ok(format!("{} parameters", config.num_params())));

    let decay = WEIGHT_DECAY * dial.weight_decay_scale;
    let ours = [dial.batch_lr_scale, decay, width_lr_scale(config.n_embd)];
    let theirs = [d.batch_lr_scale, d.weight_decay_scaled, d.dmodel_lr_scale];
    report.numbers(&format!("{name}: scales"), &ours, &theirs, FLOATS);
    let hyper = Hyper::current(CurrentLrs::default().scaled_to(config.n_embd, dial.batch_lr_scale));
    for group in &d.optimizer_groups {
        let (kind, ours) = match hyper.rule(&group.first) {
            Rule::AdamW { lr, betas: (b1, b2), weight_decay } => ("adamw", [lr, weight_decay, b1, b2]),
            Rule::Muon { lr } | Rule::NorMuon { lr } => ("muon", [lr, decay, 0.0, 0.0]),
        };
        same("kind", kind, group.kind.as_str())?;
        let (b1, b2) = group.betas.unwrap_or((0.0, 0.0));
        let theirs = [group.lr, group.weight_decay, b1, b2];
        report.numbers(&format!("{name}: {}", group.first), &ours, &theirs, FLOATS);
    }
    Ok(())
}

fn shapes(d: &Derivation, config: &GptConfig) -> Checked {
    same("model_dim", config.n_embd, d.model_dim)?;
    same("num_heads", config.n_head, d.num_heads)?;
    same("num_kv_heads", config.n_kv_head, d.num_kv_heads)?;
    let windows = (0..config.n_layer).map(|layer| config.window(layer).unwrap_or(usize::MAX)).collect();
    same("window_sizes", &windows, &d.window_sizes)?;
    let g = config.params_by_group();
    let counts = [
        ("wte", g.wte),
        ("value_embeds", g.value_embeds),
        ("lm_head", g.lm_head),
        ("transformer_matrices", g.transformer_matrices),
        ("scalars", g.scalars),
        ("total", config.num_params()),
    ];
    let counts: BTreeMap<String, u64> = counts.map(|(name, n)| (name.to_string(), n)).into();
    same("param_counts", &counts, &d.param_counts)?;
    same("scaling params", config.scaling_params(), d.scaling_params)?;
    same("num_matmul_params", config.matrix_params(), d.num_matmul_params)
}

/// A table by number of positions.
fn table(theirs: &BTreeMap<String, u64>, ours: impl Fn(usize) -> u64) -> BTreeMap<String, u64> {
    theirs.keys().map(|n| (n.clone(), n.parse().map_or(0, &ours))).collect()
}

fn costs(d: &Derivation, config: &GptConfig) -> Checked {
    same("estimate_flops_per_token", config.flops_per_token(), d.estimate_flops_per_token)?;
    same("decode_flops", &table(&d.decode_flops, |c| config.decode_flops(c)), &d.decode_flops)?;
    // The original makes logits of every position of a prompt; ours need those of the last.
    let head = 2 * config.params_by_group().lm_head;
    let prefill = |n: usize| config.prefill_flops(n) + head * (n as u64 - 1);
    same("prefill_flops", &table(&d.prefill_flops, prefill), &d.prefill_flops)?;
    same("kv_bytes_per_token", config.cache_bytes_per_token(F32), d.kv_bytes_per_token_f32)?;
    let read = |c| config.cache_read_bytes(c, F32);
    same("kv_read_bytes", &table(&d.kv_read_bytes_f32, read), &d.kv_read_bytes_f32)
}
