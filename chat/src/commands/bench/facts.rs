//! What every benchmark of a whole model says besides its times: where it ran, how the times spread, how much memory the
//! work took, and what it reaches of what this machine can do.

use super::load::Load;
use crate::commands::doctor;
use crate::globals::{Globals, Precision};
use crate::output;
use anyhow::{Context, bail};
use kernels::DType;
use kernels::measure::clock::Timing;
use model::GptConfig;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Refuse a file name that would do nothing.
pub fn check_file(file: &Option<PathBuf>, globals: &Globals) -> anyhow::Result<()> {
    if let (Some(file), false) = (file, globals.json) {
        let file = file.display();
        bail!(crate::globals::Usage(format!("{file}: use `--json {file}` to write the result there")));
    }
    Ok(())
}

/// The dtype of a run, as both sides of a comparison call it.
pub fn dtype(globals: &Globals) -> (&'static str, DType) {
    match globals.precision() {
        Precision::F32 => ("f32", DType::F32),
        Precision::Bf16 => ("bf16", DType::Bf16),
    }
}

/// The model that was served, and the lengths of its requests.
pub fn shape(c: &GptConfig, prompt: usize, new: usize) -> Value {
    json!({
        "depth": c.n_layer, "n_embd": c.n_embd, "n_head": c.n_head, "vocab": c.vocab_size,
        "prompt": prompt, "new": new,
    })
}

/// Where and with what a run was made.
pub fn place(globals: &Globals) -> Value {
    json!({
        "impl": "nanochat",
        "version": env!("CARGO_PKG_VERSION"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "machine": doctor::in_short(),
        "device": globals.device().to_string(),
        "simd": kernels::simd::level().name(),
        "dtype": dtype(globals).0,
        "threads": kernels::par::threads(),
    })
}

/// Median, range and the middle half of some times.
pub fn spread(ms: &[f64]) -> Value {
    let mut sorted = ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted.get((part * sorted.len().saturating_sub(1) as f64).round() as usize).copied();
    let median = Timing::of(sorted.clone()).map(|t| t.median);
    json!({ "median": median, "min": at(0.0), "quarter": at(0.25), "three_quarters": at(0.75), "max": at(1.0) })
}

/// Add the fields of `more` to those of `all`.
pub fn join(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}

/// Memory of this process and the load of others, watched from a moment on.
pub struct Watch {
    resident: Option<u64>,
    load: Load,
}

impl Watch {
    /// From now on: call it before the first step.
    pub fn begin() -> Watch {
        Watch { resident: resident("VmRSS"), load: Load::begin() }
    }
    /// How far the most memory that this process ever had lies above what it had at the beginning (Linux), and the
    /// cores that other programs used meanwhile.
    pub fn end(self) -> Value {
        let growth = resident("VmHWM").zip(self.resident).map(|(peak, then)| peak.saturating_sub(then));
        json!({ "rss_growth_bytes": growth, "other_cores": self.load.other_cores() })
    }
}

/// A size in `/proc/self/status`, in bytes.
fn resident(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Show a result the way it was asked for: a line for people, JSON to a file or alone on standard output.
pub fn show(result: &Value, line: &str, file: Option<&Path>, globals: &Globals) -> anyhow::Result<()> {
    if file.is_some() || !globals.json {
        output::line(line)?;
    }
    let text = serde_json::to_string_pretty(result)? + "\n";
    match file {
        Some(path) => fs::write(path, text).with_context(|| format!("writing {}", path.display()))?,
        None if globals.json => output::text(&text)?,
        None => {}
    }
    Ok(())
}

/// A number of a result, by its path.
pub fn number(result: &Value, path: &str) -> f64 {
    result.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_names_the_middle_and_the_ends() {
        let s = spread(&[5.0, 1.0, 2.0, 4.0, 3.0]);
        let of = ["min", "quarter", "median", "three_quarters", "max"].map(|key| s[key].as_f64().unwrap());
        assert_eq!(of, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(spread(&[])["median"].is_null());
    }

    #[test]
    fn memory_growth_counts_from_the_beginning_of_the_watch() {
        let watch = Watch::begin();
        let before = watch.resident;
        let block = vec![1u8; 32 << 20];
        let growth = watch.end()["rss_growth_bytes"].as_u64();
        assert_eq!(growth.is_some(), before.is_some());
        assert!(growth.is_none_or(|bytes| bytes >= block.len() as u64), "{growth:?}");
    }
}
