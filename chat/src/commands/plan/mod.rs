//! `nanochat plan`: would it fit on that GPU, and what would a training step do there?
//!
//! The real training step runs on the device `dry-run`: the same model, tape, optimizer and launches, but nothing is computed and
//! memory is counted, not there. So peak memory is what the step would allocate, not a formula for it; launches are those that CUDA
//! would get; and the time is a bound from below, from bytes, operations and the GPU's data sheet.

pub mod full;
mod gpu;
mod rows;
mod table;

use super::bench::steps::{Bench, Shape};
use super::shared::NsArg;
use crate::globals::{Globals, Precision, Usage};
use crate::output::{self, Progress};
use anyhow::bail;
use model::GptOptions;
use std::process::ExitCode;
use tensor::{DType, Device};

/// `plan`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat plan --depth 20 --vocab 65536 --seq-len 2048 --batch 32     does the speedrun's model fit an H100?\n  \
nanochat plan --depth 12 --gpu rtx4090                               and a smaller one a smaller GPU?\n  \
nanochat plan --depth 12 --json                                      every kernel, as JSON\n\n\
Nothing is computed and no GPU is needed. Activations are bf16 unless --dtype says otherwise. The time is a lower bound: each\n\
kernel at the data sheet's bandwidth or peak, whichever takes longer. A real step takes longer."
)]
pub struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Tokens per row
    #[arg(long, aliases = ["sequence_len", "max-seq-len", "seq-len"], value_name = "T", default_value_t = 2048)]
    sequence_len: usize,
    /// Rows of a micro-batch
    #[arg(long, aliases = ["device_batch_size", "batch"], value_name = "B", default_value_t = 8)]
    device_batch_size: usize,
    /// The GPU: h100, h200, a100, a100-40gb, l40s, l4, rtx4090, rtx3090
    #[arg(long, default_value = "h100", value_name = "NAME")]
    gpu: String,
    /// Memory of the GPU that others need: the driver's context, libraries, the screen; in 10⁹ bytes
    #[arg(long, default_value_t = 1.5, value_name = "GB")]
    reserve: f64,
    /// Precision of Muon's Newton-Schulz iteration
    #[arg(long, value_enum, default_value_t)]
    ns_dtype: NsArg,
}

/// Plan a step and say so.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let gpu = gpu::named(&args.gpu).map_err(Usage)?;
    if args.device_batch_size == 0 || args.sequence_len == 0 {
        bail!(Usage("--device-batch-size and --sequence-len must be at least 1".into()));
    }
    let compute = if globals.dtype == Some(Precision::F32) { DType::F32 } else { DType::Bf16 };
    let options = GptOptions { device: Device::DryRun, compute, ..globals.gpt_options() };
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("drawing weights …");
    let sizes = (args.sequence_len, args.device_batch_size);
    let mut bench = Bench::of(&args.shape, sizes, args.ns_dtype.chosen(), globals.seed, options)?;
    progress.status("trying steps …");
    let room = 1e9 * (gpu.memory_gb - args.reserve);
    let plan = rows::plan(&mut bench, args.device_batch_size, room)?;
    progress.clear();
    let report = table::Report { plan, gpu, room, config: bench.gpt.config().clone(), compute };
    match globals.json {
        true => output::line(&report.json().to_string())?,
        false => output::text(&report.text())?,
    }
    Ok(ExitCode::SUCCESS)
}
