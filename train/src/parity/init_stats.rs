//! Initial weights: names, order, shapes and moments. The random numbers themselves are our own.

use super::input::{json, model_config};
use super::report::{Checked, Reporter, Stop, Tolerance, fail};
use ::model::init::{Start, start};
use ::model::{Gpt, GptOptions};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Dump {
    config: Value,
    buffers: BTreeMap<String, Buffer>,
    param_order_named_parameters: Vec<String>,
    params: BTreeMap<String, Moments>,
}

#[derive(Deserialize)]
struct Buffer {
    shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Moments {
    shape: Vec<usize>,
    std: f64,
    exact: Option<Vec<f64>>,
    all_zero: bool,
}

/// The mean of n draws has the standard deviation σ/√n.
const MEAN_SIGMAS: f64 = 4.0;
/// Standard deviations agree to this part.
const STD_PART: f64 = 0.02;

pub(super) fn check(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: Dump = json(file)?;
    let gpt = Gpt::new(model_config(&dump.config)?, 42, GptOptions::default())?;
    let names: Vec<&String> = gpt.params().iter().map(|p| &p.name).collect();
    let same = names.iter().copied().eq(&dump.param_order_named_parameters);
    let order =
        if same { Ok(format!("{} names", names.len())) } else { fail("the order or the names differ") };
    report.exact("param_order", order);
    for (name, buffer) in &dump.buffers {
        let table = [gpt.rotary().positions(), gpt.rotary().cos.dim(1)];
        let ok = ["cos", "sin"].contains(&name.as_str()) && buffer.shape == [1, table[0], 1, table[1]];
        let note = format!("{table:?}, the dump has {:?}", buffer.shape);
        report.exact(&format!("buffer {name}"), if ok { Ok(note) } else { fail(note) });
    }
    for p in gpt.params() {
        match dump.params.get(&p.name) {
            Some(_) if p.value().numel() == 0 => report.exact(&p.name, fail("has no elements")),
            Some(moments) if moments.shape != p.value().dims() => {
                let note = format!("shape {:?}, the dump has {:?}", p.value().dims(), moments.shape);
                report.exact(&p.name, fail(note));
            }
            Some(moments) => {
                let centre = match start(gpt.config(), &p.name, p.value().dims()) {
                    Start::Uniform(low, high) => (low + high) / 2.0,
                    _ => 0.0,
                };
                one(&p.name, centre, &p.value().to_f64_vec(), moments, report);
            }
            None => report.exact(&p.name, Err(Stop::Fail("the dump has no moments of it".into()))),
        }
    }
    Ok(())
}

/// `centre`: the mean of the distribution.
fn one(name: &str, centre: f64, values: &[f64], theirs: &Moments, report: &mut Reporter<'_>) {
    if let Some(exact) = &theirs.exact {
        return report.numbers(name, values, exact, Tolerance::MaxAbs(1e-6));
    }
    if theirs.all_zero {
        let zeros = vec![0.0; values.len()];
        return report.numbers_noted(name, values, &zeros, Tolerance::Exact, "zeros".into());
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let std = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    let most = MEAN_SIGMAS * theirs.std / n.sqrt();
    report.numbers(&format!("{name} mean"), &[mean], &[centre], Tolerance::MaxAbs(most));
    // Of n draws the standard deviation itself is uncertain by about 1/√(2n): a gate of 24 numbers has no better one.
    let part = STD_PART.max(MEAN_SIGMAS / (2.0 * n).sqrt());
    report.numbers(&format!("{name} std"), &[std], &[theirs.std], Tolerance::RelL2(part));
}
