//! `nanochat bench train`: whole training steps, timed.
//!
//! A step is forward, loss, backward, clipping (classic alone), AdamW and Muon, as in training; the batch of random tokens is drawn
//! outside the clock, reading the loss is inside. With `--serve-steps` the steps are run as standard input asks for them,
//! so that another program can be measured in alternation with this one (`benches/torch/paired.py`).

use super::facts::{self, Watch, number};
use super::steps::{Bench, Shape};
use crate::commands::shared::NsArg;
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use anyhow::{Context, bail};
use kernels::measure;
use serde_json::{Value, json};
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use tensor::{Device, memory};
use train::optim::NsDtype;

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
    #[command(flatten)]
    pub(super) shape: Shape,
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
    facts::check_file(&args.json_file, globals)?;
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
    let watch = Watch::begin();
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
    let watched = watch.end();
    progress.status("measuring the roof …");
    let result = result(bench, &steps_ms, watched, args, globals);
    progress.clear();
    facts::show(&result, &summary(&result), args.json_file.as_deref(), globals)
}

/// All figures, under the names that the PyTorch side uses.
fn result(bench: &Bench, steps_ms: &[f64], watched: Value, args: &Args, globals: &Globals) -> Value {
    let config = bench.gpt.config();
    let (spread, tokens) = (facts::spread(steps_ms), bench.tokens_per_step() as f64);
    let median = number(&spread, "/median");
    // the roof that is measured is the CPU's
    let peak = (globals.device() == Device::Cpu).then(|| measure::roofline().peak(facts::dtype(globals).1));
    let flops_per_s = 1e3 * config.flops_per_token() as f64 * tokens / median;
    let mut all = facts::place(globals);
    facts::join(&mut all, watched);
    facts::join(
        &mut all,
        json!({
            "ns_dtype": if args.ns_dtype.chosen() == NsDtype::Bf16 { "bf16" } else { "f32" },
            "shape": {
                "depth": config.n_layer, "n_embd": config.n_embd, "n_head": config.n_head,
                "n_kv_head": config.n_kv_head, "head_dim": config.head_dim(), "seq_len": config.sequence_len,
                "batch": bench.rows, "vocab": config.vocab_size,
            },
            "ms": spread,
            "median_step_ms": median,
            "tokens_per_s": 1e3 * tokens / median,
            "gflops": 1e-9 * flops_per_s,
            "peak_gflops": peak.map(|peak| 1e-9 * peak),
            "of_peak": peak.map(|peak| flops_per_s / peak),
            "peak_tensor_bytes": memory::stats(globals.device()).peak_bytes,
            "steps_ms": steps_ms,
            "loss": finite(bench.loss),
        }),
    );
    all
}

fn summary(r: &Value) -> String {
    format!(
        "nanochat {} {} {}, {} threads, {}: median {:.1} ms/step ({:.1} to {:.1}), {:.0} tokens/s, {:.1} GFLOP/s{}, \
         loss {:.4}, peak tensor memory {:.0} MB, process +{:.0} MB",
        r["version"].as_str().unwrap_or_default(),
        r["simd"].as_str().unwrap_or_default(),
        r["dtype"].as_str().unwrap_or_default(),
        r["threads"],
        r["build"].as_str().unwrap_or_default(),
        number(r, "/ms/median"),
        number(r, "/ms/min"),
        number(r, "/ms/max"),
        number(r, "/tokens_per_s"),
        number(r, "/gflops"),
        r["of_peak"].as_f64().map_or(String::new(), |part| format!(" ({:.0} % of peak)", 100.0 * part)),
        number(r, "/loss"),
        number(r, "/peak_tensor_bytes") / 1e6,
        number(r, "/rss_growth_bytes") / 1e6,
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
