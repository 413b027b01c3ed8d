//! `nanochat plan`: would it fit on that GPU, and what would a training step, or a step of decoding, do there?
//!
//! The real step runs on the device `dry-run`: the same model, tape, optimizer or cache, and launches, but nothing is computed and
//! memory is counted, not there. So peak memory is what the step would allocate, not a formula for it; launches are those that CUDA
//! would get; and the time is a bound from below, from bytes, operations and the GPU's data sheet.

mod decode;
mod decode_table;
pub mod full;
mod gpu;
mod operations;
mod rows;
mod table;

use super::bench::steps::{Bench, Shape};
use super::shared::{NsArg, Weights};
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
nanochat plan --depth 12 --json                                      every kernel, as JSON\n  \
nanochat plan --decode --depth 20 --vocab 65536 --batch 64           how many tokens/s at most, for how many chats?\n  \
nanochat plan --decode --depth 20 --context 16000 --gpu l4           and with long ones?\n\n\
Nothing is computed and no GPU is needed. Activations are bf16 unless --dtype says otherwise. The time is a lower bound: each\n\
kernel at the data sheet's bandwidth or peak, whichever takes longer. A real step takes longer. With --decode the weights are\n\
packed once, as for chat and serve, and a step draws one token for each row."
)]
pub struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Plan a step of decoding instead of training: one token for each row, from a full cache
    #[arg(long)]
    decode: bool,
    /// With --decode: tokens in each row's cache, the new one included (default: --sequence-len)
    #[arg(long, value_name = "T", requires = "decode")]
    context: Option<usize>,
    #[command(flatten)]
    weights: Weights,
    /// Tokens per row; with --decode those that the model was trained with
    #[arg(long, aliases = ["sequence_len", "max-seq-len", "seq-len"], value_name = "T", default_value_t = 2048)]
    sequence_len: usize,
    /// Rows of a micro-batch, or rows that are decoded together
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
    let room = 1e9 * (gpu.memory_gb - args.reserve);
    if args.decode {
        return decoding(args, globals, options, gpu, room);
    }
    if args.weights.quantize().is_some() {
        bail!(Usage("--quantize is for models that draw tokens: add --decode".into()));
    }
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("drawing weights …");
    let sizes = (args.sequence_len, args.device_batch_size);
    let mut bench = Bench::of(&args.shape, sizes, args.ns_dtype.chosen(), globals.seed, options)?;
    progress.status("trying steps …");
    let plan = rows::plan(&mut bench, args.device_batch_size, room)?;
    progress.clear();
    let report = table::Report { plan, gpu, room, config: bench.gpt.config().clone(), compute };
    match globals.json {
        true => output::line(&report.json().to_string())?,
        false => output::text(&report.text())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Plan a step of decoding and say so.
fn decoding(
    args: &Args,
    globals: &Globals,
    options: GptOptions,
    gpu: gpu::Gpu,
    room: f64,
) -> anyhow::Result<ExitCode> {
    let (trained, context) = (args.sequence_len, args.context.unwrap_or(args.sequence_len));
    if context == 0 {
        bail!(Usage("--context must be at least 1: the new token is counted".into()));
    }
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("packing weights …");
    let config = args.shape.config(trained)?;
    let decoder = decode::Decoder::new(config, args.weights.quantize(), globals.seed, options)?;
    let positions = decoder.positions();
    if context > positions {
        let more = (context * trained).div_ceil(positions);
        bail!(Usage(format!(
            "--context {context} is too long: a model of --sequence-len {trained} has {positions} positions; \
             use --context {positions} or less, or --sequence-len {more} or more"
        )));
    }
    progress.status("trying steps …");
    let plan = decoder.plan(args.device_batch_size, context, room)?;
    progress.clear();
    let (config, compute) = (decoder.config().clone(), options.compute);
    let report = decode_table::Report { plan, gpu, room, config, positions, compute };
    match globals.json {
        true => output::line(&report.json().to_string())?,
        false => output::text(&report.text())?,
    }
    Ok(ExitCode::SUCCESS)
}
