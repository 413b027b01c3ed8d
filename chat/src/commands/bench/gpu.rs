//! `nanochat bench kernels --device cuda`: the time of every kernel's launches on a GPU.
//!
//! A kernel is called once, as in training; its launches are then repeated on the memory that they had, between two events of the GPU's
//! own clock. So copies between host and device are not in the time, and neither is the cost of launching where the GPU is busy. Data
//! that fits into the GPU's cache stays there between repetitions.

use super::kernel::Args;
use crate::commands::doctor;
use crate::globals::Globals;
use crate::output::{self, Progress};
use anyhow::anyhow;
use cuda::hardware::{Clock, Libraries};
use cuda::{Cuda, DriverError, Hardware, Replay};
use kernels::measure::clock::Timing;
use kernels::measure::run::{Bench, Case};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Batches of repetitions that are timed of each kernel.
const BATCHES: usize = 5;
/// A batch has at most so many repetitions.
const MOST: usize = 10_000;

/// One measured case.
struct Row {
    case: Case,
    /// What one call launches.
    launches: Vec<String>,
    /// Seconds of one call's launches.
    timing: Timing,
    clock: Clock,
}

/// Time the cases, show and write.
pub fn run(
    args: &Args,
    cases: &[Case],
    number: usize,
    stop: &AtomicBool,
    globals: &Globals,
) -> anyhow::Result<ExitCode> {
    let gpu = Cuda::new(Replay::new(Hardware::open(number, &Libraries::from_env())?));
    let facts = gpu.driver().inner().facts()?.clone();
    let talk = !globals.json;
    if talk {
        output::line(&format!(
            "{}, compute capability {}.{}\n",
            facts.name, facts.capability.0, facts.capability.1
        ))?;
    }
    let mut progress = Progress::new(globals.quiet, 1);
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for case in cases {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        progress.status(&format!("{} {} …", case.name(), case.dtype));
        let measured = measure(&gpu, case, args.seconds);
        progress.clear();
        match measured {
            Ok(row) => {
                if talk {
                    output::line(&line(&row))?;
                }
                rows.push(row);
            }
            // one kernel that is refused, for want of memory, must not hide the others
            Err(error) => {
                output::error(&format!("{} {}: {error:#}", case.name(), case.dtype));
                failures.push(json!({ "kernel": case.info.name, "label": case.sample.label, "error": format!("{error:#}") }));
            }
        }
    }
    let complete = rows.len() == cases.len();
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": doctor::in_short(),
        "gpu": { "name": facts.name, "compute_capability": [facts.capability.0, facts.capability.1], "driver": facts.driver,
                 "bytes": facts.memory, "cublas": gpu.driver().inner().blas().is_ok(),
                 "nvrtc": gpu.driver().inner().compiles() },
        "seconds_per_row": args.seconds,
        "complete": complete,
        "kernels": rows.iter().map(entry).collect::<Vec<_>>(),
        "failures": failures,
    });
    if globals.json {
        output::text(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(file) = output::report_file(args.output.as_deref(), "nanochat-bench-kernels.json", globals) {
        output::write_report(&file, &report, globals)?;
    }
    Ok(match (complete, stop.load(Ordering::Relaxed)) {
        (true, _) => ExitCode::SUCCESS,
        (_, true) => ExitCode::from(130),
        _ => ExitCode::FAILURE,
    })
}

/// About `seconds` of repetitions of one case's launches.
fn measure(gpu: &Cuda<Replay<Hardware>>, case: &Case, seconds: f64) -> anyhow::Result<Row> {
    let replay = gpu.driver();
    let mut bench = Bench::new(case).map_err(|e| anyhow!(e))?;
    replay.forget();
    bench.call(gpu).map_err(|e| anyhow!(e))?;
    let batch = |n: usize| -> Result<(f64, Clock), DriverError> {
        let (total, clock) = replay.inner().seconds(|| (0..n).try_for_each(|_| replay.again()))?;
        Ok((total / n as f64, clock))
    };
    let (one, _) = batch(1)?;
    let n = ((seconds / BATCHES as f64 / one.max(1e-7)) as usize).clamp(1, MOST);
    let mut times = Vec::new();
    let mut clock = Clock::Host;
    for _ in 0..BATCHES {
        let (time, by) = batch(n)?;
        times.push(time);
        clock = by;
    }
    let timing = Timing::of(times).ok_or_else(|| anyhow!("nothing was timed"))?;
    Ok(Row {
        case: case.clone(),
        launches: replay.names(),
        timing: Timing { runs: n * BATCHES, ..timing },
        clock,
    })
}

fn line(row: &Row) -> String {
    let (cost, t) = (row.case.cost(), row.timing);
    format!(
        "{:<44} {:5} {:>3} launches {:>10.2} µs ({:.2} to {:.2}) {:>9.1} GB/s {:>10.1} GFLOP/s",
        row.case.name(),
        row.case.dtype.to_string(),
        row.launches.len(),
        1e6 * t.median,
        1e6 * t.min,
        1e6 * t.max,
        1e-9 * cost.bytes / t.median,
        1e-9 * cost.flops / t.median,
    )
}

fn entry(row: &Row) -> Value {
    let (case, cost, t) = (&row.case, row.case.cost(), row.timing);
    json!({
        "kernel": case.info.name, "label": case.sample.label, "shape": case.shape(), "dtype": case.dtype.to_string(),
        "launches": row.launches, "ms": 1e3 * t.median, "min_ms": 1e3 * t.min, "max_ms": 1e3 * t.max, "runs": t.runs,
        "clock": row.clock.name(), "flops": cost.flops, "bytes": cost.bytes,
        "gflops": 1e-9 * cost.flops / t.median, "gb_per_s": 1e-9 * cost.bytes / t.median,
    })
}
