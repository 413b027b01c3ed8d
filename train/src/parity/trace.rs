//! Facts of the depth-4 trace that the project started from: parameters, moments of the rotary tables, the first loss.

use super::input::json;
use super::report::{Checked, Reporter, Tolerance, fail};
use super::tokenizer::same;
use ::model::{Gpt, GptConfig, GptOptions, RopeTable, RotaryTables};
use kernels::Bf16;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use tensor::{DType, Device, Tensor};

/// The trace's model.
const DEPTH: usize = 4;
const VOCAB: usize = 65_536;
const SEQUENCE_LEN: usize = 1024;
/// Moments are given to six digits.
const MOMENTS: Tolerance = Tolerance::MaxAbs(1e-6);
/// Moments summed in bf16 by the original: one unit of bf16 below 1.
const MOMENTS_BF16: Tolerance = Tolerance::MaxAbs(1.0 / 256.0);
/// ln V; the original's own sum in f32 is off by 3e-6.
const FIRST_LOSS: Tolerance = Tolerance::MaxAbs(5e-6);
/// Longer tables are not recorded.
const MAX_POSITIONS: usize = 1 << 17;

#[derive(Deserialize)]
struct Facts {
    params: u64,
    n_params_by: BTreeMap<String, u64>,
    rope: BTreeMap<String, BTreeMap<String, f64>>,
    ln_65536: f64,
    #[serde(rename = "ce_T")]
    losses: BTreeMap<String, f64>,
}

pub(super) fn check(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let facts: Facts = json(file)?;
    let config = GptConfig::classic_from_depth(DEPTH, VOCAB, SEQUENCE_LEN)?;
    report.exact("parameters", parameters(&facts, &config));
    for (name, recorded) in &facts.rope {
        rotary(name, recorded, &config, report)
            .unwrap_or_else(|stop| report.stop(&format!("rope {name}"), stop));
    }
    for (t, theirs) in &facts.losses {
        let name = format!("first loss, T {t}");
        match first_loss(t) {
            Ok(ours) => {
                report.numbers_noted(&name, &[ours], &[facts.ln_65536], FIRST_LOSS, "against ln V".into());
                report.numbers(&format!("{name}, original's sum"), &[ours], &[*theirs], FIRST_LOSS);
            }
            Err(stop) => report.stop(&name, stop),
        }
    }
    if facts.rope.is_empty() || facts.losses.is_empty() { fail("rope or ce_T is empty") } else { Ok(()) }
}

fn parameters(facts: &Facts, config: &GptConfig) -> Checked<String> {
    same("params", config.num_params(), facts.params)?;
    let groups = config.params_by_group();
    let ours = [("wte", groups.wte), ("lm_head", groups.lm_head), ("blocks", groups.transformer_matrices)];
    let ours: BTreeMap<String, u64> = ours.map(|(name, n)| (name.to_string(), n)).into();
    same("n_params_by", &ours, &facts.n_params_by)?;
    Ok(format!("{} parameters", facts.params))
}

/// `cos S=1024`: mean and unbiased standard deviation of a table's first rows.
fn rotary(
    name: &str,
    recorded: &BTreeMap<String, f64>,
    config: &GptConfig,
    report: &mut Reporter<'_>,
) -> Checked {
    let parts = name.split_once(" S=").and_then(|(which, s)| Some((which, s.parse::<usize>().ok()?)));
    let Some((which @ ("cos" | "sin"), positions)) = parts.filter(|(_, s)| (1..=MAX_POSITIONS).contains(s))
    else {
        return fail("not understood");
    };
    let table = |kind| -> Checked<Vec<f64>> {
        let tables = RotaryTables::new(config.rope_base, config.head_dim(), positions, kind, Device::Cpu)?;
        Ok(if which == "cos" { tables.cos } else { tables.sin }.to_f64_vec())
    };
    let (f32, bf16) = (moments(&table(RopeTable::F32)?), moments(&table(RopeTable::Bf16)?));
    let rounded = |x: f64| f64::from(Bf16::from_f32(x as f32).to_f32());
    for (key, &theirs) in recorded {
        let (ours, tolerance) = match key.as_str() {
            "f32_mean" | "f64_mean" => (f32.0, MOMENTS),
            "f32_std" | "f64_std" => (f32.1, MOMENTS),
            "bf16_values_mean(f64 acc)" | "bf16.float().mean" => (bf16.0, MOMENTS),
            "bf16_values_std(f64 acc)" | "bf16.float().std" => (bf16.1, MOMENTS),
            "bf16.mean()" => (rounded(bf16.0), MOMENTS_BF16),
            "bf16.std()" => (rounded(bf16.1), MOMENTS_BF16),
            _ => return fail(format!("{key} is not understood")),
        };
        report.numbers(&format!("rope {name} {key}"), &[ours], &[theirs], tolerance);
    }
    Ok(())
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

/// The loss of a model with its initial head, which is zero: every token is equally likely, whatever the model.
fn first_loss(t: &str) -> Checked<f64> {
    let Some(t) = t.parse().ok().filter(|t| (1..=SEQUENCE_LEN).contains(t)) else {
        return fail("not a length up to the trace's");
    };
    let tiny =
        GptConfig { vocab_size: VOCAB, sequence_len: SEQUENCE_LEN, n_layer: 1, ..GptConfig::default() };
    let tiny = GptConfig { n_head: 1, n_kv_head: 1, n_embd: 8, ..tiny };
    let gpt = Gpt::new(tiny, 42, GptOptions::default())?;
    let id = |i: usize| (i * 2_654_435_761 % VOCAB) as i32;
    let ids: Vec<i32> = (0..t).map(id).collect();
    let targets: Vec<i32> = (1..=t).map(id).collect();
    let (ids, targets) =
        (Tensor::ids(&ids, &[1, t], Device::Cpu)?, Tensor::ids(&targets, &[t], Device::Cpu)?);
    let mean = Tensor::full(1.0 / t as f64, &[t], DType::F32, Device::Cpu)?;
    let [loss, _] = gpt.loss(&ids, &targets, &mean, None)?;
    Ok(loss.value().item()?)
}
