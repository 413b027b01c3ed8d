//! `nanochat bench train`: whole training steps, timed.
//!
//! A step is forward, loss, backward, clipping, AdamW and Muon, as in training; the batch of random tokens is drawn
//! outside the clock, reading the loss is inside. With `--serve-steps` the steps are run as standard input asks for them,
//! so that another program can be measured in alternation with this one (`benches/torch/paired.py`).

use super::steps::Bench;
use crate::globals::{Globals, Precision, Usage};
use crate::output::{self, Progress};
use anyhow::{Context, bail};
use kernels::measure::clock::Timing;
use serde_json::{Value, json};
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use tensor::{Device, memory};

/// Precision of Muon's Newton–Schulz iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum NsArg {
    /// 32-bit floats
    #[default]
    F32,
    /// bf16, as the original
    #[value(alias = "bfloat16")]
    Bf16,
}

/// `bench train`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat bench train                               depth 4, width 256, 8 rows of 512 tokens\n  \
nanochat bench train --depth 6 --steps 5 --json    the result as JSON\n  \
nanochat bench train --json result.json            both\n  \
nanochat bench train --serve-steps                 then type `step 3`, `quit`"
)]
pub struct Args {
    /// With --json: write the result to this file
    #[arg(value_name = "FILE")]
    json_file: Option<PathBuf>,
    /// Blocks
    #[arg(long, default_value_t = 4)]
    pub(super) depth: usize,
    /// Width of the residual stream (default: 64 per block)
    #[arg(long, alias = "n_embd", value_name = "C")]
    pub(super) n_embd: Option<usize>,
    /// Query heads (default: width / 128, rounded up)
    #[arg(long, alias = "n_head", value_name = "H")]
    pub(super) n_head: Option<usize>,
    /// Key and value heads (default: as many as query heads)
    #[arg(long, alias = "n_kv_head", value_name = "H")]
    pub(super) n_kv_head: Option<usize>,
    /// Number of token ids
    #[arg(long, aliases = ["vocab_size", "vocab"], value_name = "V", default_value_t = 4096)]
    pub(super) vocab_size: usize,
    /// Tokens per row
    #[arg(long, aliases = ["sequence_len", "max-seq-len", "seq-len"], value_name = "T", default_value_t = 512)]
    pub(super) sequence_len: usize,
    /// Rows per step
    #[arg(long, aliases = ["device_batch_size", "batch"], value_name = "B", default_value_t = 8)]
    pub(super) device_batch_size: usize,
    /// Timed steps
    #[arg(long, value_name = "N", default_value_t = 10)]
    steps: usize,
    /// Untimed steps before them
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: usize,
    /// Precision of Muon's Newton-Schulz iteration
    #[arg(long, value_enum, default_value_t)]
    pub(super) ns_dtype: NsArg,
    /// Run steps as standard input asks for them: `step N` is answered by a line of JSON, `quit` ends
    #[arg(long, conflicts_with_all = ["json_file", "steps", "warmup"])]
    serve_steps: bool,
}

/// Time steps, or serve them.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    if let (Some(file), false) = (&args.json_file, globals.json) {
        let file = file.display();
        bail!(Usage(format!("{file}: use `--json {file}` to write the result there")));
    }
    if args.device_batch_size == 0 || args.steps == 0 {
        bail!(Usage("--device-batch-size and --steps must be at least 1".into()));
    }
    let mut bench = Bench::new(args, globals)?;
    match args.serve_steps {
        true => serve(&mut bench, std::io::stdin().lock())?,
        false => measure(&mut bench, args, globals)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Answer requests, one line each, until `quit` or the end of input. A bad request is answered, too.
fn serve(bench: &mut Bench, requests: impl BufRead) -> anyhow::Result<()> {
    for request in requests.lines() {
        let request = request.context("reading a request")?;
        let reply = match request.split_whitespace().collect::<Vec<_>>()[..] {
            ["quit"] => return Ok(()),
            ["step", n] => match n.parse() {
                Ok(steps) => steps_reply(bench, steps)?,
                Err(_) => refusal(&request),
            },
            _ => refusal(&request),
        };
        output::line(&reply.to_string())?;
    }
    Ok(())
}

fn steps_reply(bench: &mut Bench, steps: usize) -> anyhow::Result<Value> {
    let ms = (0..steps).map(|_| bench.step()).collect::<anyhow::Result<Vec<f64>>>()?;
    Ok(json!({ "ms": ms, "tokens_per_step": bench.tokens_per_step(), "loss": finite(bench.loss) }))
}

fn refusal(request: &str) -> Value {
    json!({ "error": format!("expected `step N` or `quit`, got {request:?}") })
}

/// JSON has no NaN.
fn finite(v: f64) -> Option<f64> {
    v.is_finite().then_some(v)
}

/// The usual benchmark: warm up, time, report.
fn measure(bench: &mut Bench, args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let to_stdout = globals.json && args.json_file.is_none();
    let talk = !globals.quiet && !to_stdout;
    let device = globals.device();
    let mut progress = Progress::new(globals.quiet, 1);
    for i in 0..args.warmup {
        progress.status(&format!("warming up, step {} of {} …", i + 1, args.warmup));
        bench.step()?;
    }
    memory::reset_peak(device);
    let mut steps_ms = Vec::with_capacity(args.steps);
    for i in 0..args.steps {
        progress.status(&format!("step {} of {} …", i + 1, args.steps));
        let ms = bench.step()?;
        progress.clear();
        steps_ms.push(ms);
        if talk {
            output::line(&format!("step {:3}  {ms:9.1} ms  loss {:.4}", i + 1, bench.loss))?;
        }
    }
    let result = result(bench, &steps_ms, args, globals, device);
    if talk || !globals.json {
        output::line(&summary(&result))?;
    }
    let text = serde_json::to_string_pretty(&result)? + "\n";
    match &args.json_file {
        Some(path) => std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?,
        None if to_stdout => output::text(&text)?,
        None => {}
    }
    Ok(())
}

/// All figures, under the names that the PyTorch side uses.
fn result(bench: &Bench, steps_ms: &[f64], args: &Args, globals: &Globals, device: Device) -> Value {
    let config = bench.gpt.config();
    let (median, tokens) =
        (Timing::of(steps_ms.to_vec()).map_or(f64::NAN, |t| t.median), bench.tokens_per_step() as f64);
    let dtype = if globals.precision() == Precision::Bf16 { "bf16" } else { "f32" };
    let ns_dtype = if args.ns_dtype == NsArg::Bf16 { "bf16" } else { "f32" };
    json!({
        "impl": "nanochat",
        "version": env!("CARGO_PKG_VERSION"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "device": device.to_string(),
        "simd": kernels::simd::level().name(),
        "dtype": dtype,
        "ns_dtype": ns_dtype,
        "threads": kernels::par::threads(),
        "shape": {
            "depth": config.n_layer, "n_embd": config.n_embd, "n_head": config.n_head,
            "n_kv_head": config.n_kv_head, "head_dim": config.head_dim(), "seq_len": config.sequence_len,
            "batch": bench.rows, "vocab": config.vocab_size,
        },
        "median_step_ms": median,
        "tokens_per_s": 1e3 * tokens / median,
        "gflops": config.flops_per_token() as f64 * tokens / (median * 1e6),
        "peak_tensor_bytes": memory::stats(device).peak_bytes,
        "steps_ms": steps_ms,
        "loss": finite(bench.loss),
    })
}

fn summary(r: &Value) -> String {
    let number = |key: &str| r[key].as_f64().unwrap_or(f64::NAN);
    format!(
        "nanochat {} {} {}, {} threads, {}: median {:.1} ms/step, {:.0} tokens/s, {:.1} GFLOP/s, loss {:.4}, peak tensor \
         memory {:.0} MB",
        r["version"].as_str().unwrap_or_default(),
        r["simd"].as_str().unwrap_or_default(),
        r["dtype"].as_str().unwrap_or_default(),
        r["threads"],
        r["build"].as_str().unwrap_or_default(),
        number("median_step_ms"),
        number("tokens_per_s"),
        number("gflops"),
        number("loss"),
        number("peak_tensor_bytes") / 1e6,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::steps::tests::bench;

    #[test]
    fn steps_take_time_and_train() {
        let mut bench = bench(&["--batch", "2"]);
        assert_eq!((bench.tokens_per_step(), bench.gpt.config().head_dim()), (16, 16));
        let before = bench.gpt.params()[1].value().to_f64_vec();
        let reply = steps_reply(&mut bench, 2).unwrap();
        let ms: Vec<f64> = serde_json::from_value(reply["ms"].clone()).unwrap();
        assert!(ms.len() == 2 && ms.iter().all(|t| *t > 0.0), "{reply}");
        assert_eq!(reply["tokens_per_step"], 16);
        assert!(reply["loss"].as_f64().unwrap() > 0.0);
        steps_reply(&mut bench, 1).unwrap();
        assert_ne!(bench.gpt.params()[1].value().to_f64_vec(), before, "the matrices have moved");
    }

    #[test]
    fn bad_requests_are_answered_with_an_error() {
        let reply = refusal("steps 3");
        assert!(reply["error"].as_str().unwrap().contains("steps 3"));
    }
}
