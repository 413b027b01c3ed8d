//! `nanochat bench kernels`: every kernel of the registry on real shapes, under the roof of this machine.
//!
//! The measuring is in `kernels::measure`; here are the options, the progress, and what happens on Ctrl-C: what was
//! measured until then is shown. A new kernel appears by being in the registry.

use super::gpu;
use super::kernel_table::{self, Report, Row};
use super::load::Load;
use super::serve;
use crate::commands::shared::stop_flag;
use crate::globals::{DeviceArg, Globals, Precision, Usage};
use crate::output::{self, Progress};
use anyhow::{anyhow, bail};
use kernels::measure::Roofline;
use kernels::measure::clock::Limits;
use kernels::measure::run::{self, Bench, Case, Measured, ReferenceRate};
use kernels::{Cpu, DType, par};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tensor::Device;

/// `bench kernels`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat bench kernels                             everything: about three minutes\n  \
nanochat bench kernels --filter matmul             one operation\n  \
nanochat bench kernels --filter rms_norm_fwd/d12   one kernel, the shapes of one depth\n  \
nanochat bench kernels --dtype bf16 --threads 1    one dtype, one thread, under the roof of one thread\n  \
nanochat bench kernels --simd avx2 --seconds 1     other instructions, more patience\n  \
nanochat bench kernels --json > kernels.json       for programs\n  \
nanochat bench kernels --device cuda               the CUDA kernels on a GPU, into a JSON file\n\n\
`of roof` is the time that the machine's peak and bandwidth allow, divided by the time it took: 100 % cannot be beaten.\n\
`x definition` says how many times longer the naive f64 loops would take on one thread (timed on a small shape, scaled).\n\
Ctrl-C shows what was measured until then; the exit code is 130."
)]
pub struct Args {
    /// Only kernels and shapes with this in `kernel/shape`
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Seconds of timed runs per line; a slow kernel takes as long as it needs, once
    #[arg(long, value_name = "S", default_value_t = 0.2)]
    pub(super) seconds: f64,
    /// On a GPU: write the times as JSON to this file (default: nanochat-bench-kernels.json)
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Time what standard input asks for: `time KERNEL/SHAPE DTYPE SECONDS` is answered by a line of JSON, `quit` ends
    #[arg(long, conflicts_with = "seconds")]
    serve: bool,
}

/// Measure and show.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let cases = chosen(args, globals)?;
    if args.serve {
        serve::serve(&cases, std::io::stdin().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    let stop = stop_flag();
    match globals.device {
        DeviceArg::Cuda(number) => return gpu::run(args, &cases, number, &stop, globals),
        _ if args.output.is_some() => bail!(Usage("--output: it is for GPUs; use --json > FILE".into())),
        _ => {}
    }
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("measuring the roof …");
    let mut report = Report::new(roofs(args.seconds), args.seconds);
    progress.clear();
    let talk = !globals.json;
    let widths = kernel_table::Widths::of(&cases);
    if talk {
        output::text(&kernel_table::roof_lines(&report))?;
        output::line(&kernel_table::header(&widths))?;
    }
    let load = Load::begin();
    let mut reference: Option<(&str, Option<ReferenceRate>)> = None;
    for (i, case) in cases.iter().enumerate() {
        progress.status(&format!("{} of {}: {} {} …", i + 1, cases.len(), case.name(), case.dtype));
        let rate = match reference {
            Some((name, rate)) if name == case.info.name => rate,
            _ => reference.insert((case.info.name, ReferenceRate::measure(case.info))).1,
        };
        let measured = measure(case, report.roof(), args.seconds, &stop)?;
        progress.clear();
        let Some(measured) = measured else { break };
        let row = Row { case: case.clone(), measured, reference: rate.map(|rate| rate.seconds(case)) };
        if talk {
            output::line(&kernel_table::line(&row, &widths))?;
        }
        report.rows.push(row);
    }
    report.complete = report.rows.len() == cases.len();
    report.other_cores = load.other_cores();
    if let (true, Some(cores)) = (talk, report.other_cores) {
        output::line(&format!("\nother programs used {cores:.2} cores meanwhile"))?;
    }
    if globals.json {
        output::text(&(serde_json::to_string_pretty(&kernel_table::json(&report))? + "\n"))?;
    }
    Ok(if report.complete { ExitCode::SUCCESS } else { ExitCode::from(130) })
}

/// The cases that the options leave.
fn chosen(args: &Args, globals: &Globals) -> anyhow::Result<Vec<Case>> {
    if !(args.seconds > 0.0 && args.seconds <= 60.0) {
        bail!(Usage(format!("--seconds {}: give more than 0 and at most 60", args.seconds)));
    }
    if matches!(globals.device(), Device::Reference | Device::Emulated) {
        let device = globals.device();
        bail!(Usage(format!("--device {device}: it is for checking and has no speed; use cpu or cuda")));
    }
    let dtype = globals.dtype.map(|precision| match precision {
        Precision::F32 => DType::F32,
        Precision::Bf16 => DType::Bf16,
    });
    let mut cases = run::cases(kernels::kernels());
    cases.retain(|case| dtype.is_none_or(|d| case.dtype == d));
    cases.retain(|case| args.filter.as_deref().is_none_or(|part| case.name().contains(part)));
    if cases.is_empty() {
        let filter = args.filter.as_deref().unwrap_or_default();
        bail!(Usage(format!(
            "--filter {filter}: no kernel and shape has that in its name; `nanochat selftest --list` shows all kernels"
        )));
    }
    Ok(cases)
}

/// The roofs for one thread and for all, and for the powers of two between.
fn roofs(seconds: f64) -> Vec<Roofline> {
    let roof = || Roofline::measure(Duration::from_secs_f64(seconds));
    let all = par::threads();
    let fewer = std::iter::successors(Some(1), |n| Some(2 * n)).take_while(|n| *n < all);
    let mut roofs: Vec<Roofline> = Vec::new();
    for n in fewer.chain([all]) {
        let roof = if n == all { roof() } else { par::with_threads(n, roof) };
        roofs.push(roofs.last().map_or_else(|| roof.clone(), |fewer| roof.clone().at_least(fewer)));
    }
    roofs
}

/// One case; `None` when it was told to stop.
fn measure(
    case: &Case,
    roof: &Roofline,
    seconds: f64,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Measured>> {
    let stopped = || stop.load(Ordering::Relaxed);
    if stopped() {
        return Ok(None);
    }
    let mut bench = Bench::new(case).map_err(|e| anyhow!(e))?;
    let go_on = || if stopped() { Err("stopped".to_string()) } else { Ok(()) };
    match bench.time(&Cpu, Limits::seconds(seconds), go_on) {
        Ok(timing) => Ok(Some(Measured::new(case, timing, roof))),
        Err(_) if stopped() => Ok(None),
        Err(error) => bail!(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::globals::parsed;

    fn cases(options: &[&str]) -> anyhow::Result<Vec<Case>> {
        let (args, globals) = parsed::<Args>(options);
        chosen(&args, &globals)
    }

    #[test]
    fn the_filter_sees_kernel_and_shape_and_the_dtype_is_free_unless_given() {
        let filter = "rms_norm_fwd/d12.hidden"; // add_rms_norm_fwd has it in its name, too
        let all = cases(&["--filter", filter]).unwrap();
        assert!(all.len() >= 2 && all.iter().all(|c| c.name().contains(filter)));
        assert!([DType::F32, DType::Bf16].iter().all(|dtype| all.iter().any(|c| c.dtype == *dtype)));
        let half = cases(&["--filter", filter, "--dtype", "bf16"]).unwrap();
        assert!(half.len() == all.len() / 2 && half.iter().all(|c| c.dtype == DType::Bf16));
    }

    #[test]
    fn what_cannot_be_measured_is_bad_usage() {
        let options: [&[&str]; 4] =
            [&["--filter", "no such"], &["--seconds", "0"], &["--seconds", "NaN"], &["--device", "emulated"]];
        for options in options {
            let error = cases(options).err().unwrap();
            assert!(error.downcast_ref::<Usage>().is_some(), "{options:?}: {error}");
        }
    }

    #[test]
    fn a_case_that_is_told_to_stop_gives_nothing() {
        let case = &cases(&["--filter", "unary_neg"]).unwrap()[0];
        let roof = Roofline::measure(std::time::Duration::ZERO);
        assert!(measure(case, &roof, 0.001, &AtomicBool::new(true)).unwrap().is_none());
        let measured = measure(case, &roof, 0.001, &AtomicBool::new(false)).unwrap().unwrap();
        assert!(measured.memory_bound && measured.fraction > 0.0);
    }
}
