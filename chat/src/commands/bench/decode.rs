//! `nanochat bench decode`: reading a prompt and drawing tokens after it, timed apart.
//!
//! Prefill is one forward pass over the prompt of one row; then every row draws one token after the other from the cache,
//! as in chatting. Times include the sampling. With `--serve` the work is done as standard input asks for it, so that
//! another program can be measured in alternation (`benches/torch/paired.py`).

use super::facts::{self, Watch, number};
use super::generation::Generation;
use super::steps::Shape;
use crate::commands::shared::Weights;
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use anyhow::{Context, bail};
use kernels::measure;
use kernels::registry::Cost;
use serde_json::{Value, json};
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use tensor::Device;

/// `bench decode`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat bench decode                              depth 4, a prompt of 256 tokens, 128 new ones\n  \
nanochat bench decode --depth 12 --batch 8 --dtype bf16\n  \
nanochat bench decode --profile                    which kernels the time goes to\n  \
nanochat bench decode --quantize int8              matrices of int8\n  \
nanochat bench decode --json result.json           the result in a file, too\n  \
nanochat bench decode --serve                      then type `prefill 3`, `decode 32`, `quit`\n\n\
`of bound` is the time that reading every weight and the cache once would take, at the bandwidth that this machine was\n\
measured to have for so many bytes, divided by the time a token took."
)]
pub struct Args {
    /// With --json: write the result to this file
    #[arg(value_name = "FILE")]
    json_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) shape: Shape,
    /// Rows that continue the prompt together
    #[arg(long, aliases = ["rows", "device-batch-size"], value_name = "B", default_value_t = 1)]
    pub(super) batch: usize,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) prompt: usize,
    /// Tokens drawn for every row
    #[arg(long = "new", alias = "new-tokens", value_name = "N", default_value_t = 128)]
    pub(super) new_tokens: usize,
    #[command(flatten)]
    pub(super) weights: Weights,
    /// Timed prefills (one more goes before them)
    #[arg(long, value_name = "N", default_value_t = 3)]
    prefills: usize,
    /// Do what standard input asks for: `prefill N` and `decode N` are answered by a line of JSON, `quit` ends
    #[arg(long, conflicts_with_all = ["json_file", "prefills"])]
    serve: bool,
}

/// Untimed tokens before the timed ones.
const WARM_UP: usize = 4;

/// Time one text, or serve.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    facts::check_file(&args.json_file, globals)?;
    if [args.batch, args.prompt, args.new_tokens, args.prefills].contains(&0) {
        bail!(Usage("--batch, --prompt, --new and --prefills must be at least 1".into()));
    }
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("drawing weights …");
    let mut generation = Generation::new(args, globals)?;
    progress.clear();
    match args.serve {
        true => serve(&mut generation, std::io::stdin().lock())?,
        false => measure(&mut generation, args, globals, &mut progress)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Answer requests, one line each, until `quit` or the end of input. A bad request is answered, too.
fn serve(generation: &mut Generation, requests: impl BufRead) -> anyhow::Result<()> {
    for request in requests.lines() {
        let request = request.context("reading a request")?;
        let reply = match request.split_whitespace().collect::<Vec<_>>()[..] {
            ["quit"] => return Ok(()),
            [what @ ("prefill" | "decode"), n] if n.parse::<usize>().is_ok() => {
                reply(generation, what, n.parse()?)?
            }
            _ => {
                json!({ "error": format!("expected `prefill N`, `decode N` or `quit`, got {request:?}") })
            }
        };
        output::line(&reply.to_string())?;
    }
    Ok(())
}

fn reply(generation: &mut Generation, what: &str, times: usize) -> anyhow::Result<Value> {
    let (tokens, ms): (_, anyhow::Result<Vec<f64>>) = match what {
        "prefill" => (generation.prompt_len(), (0..times).map(|_| generation.prefill()).collect()),
        _ => (generation.rows, (0..times).map(|_| generation.step()).collect()),
    };
    Ok(json!({ "ms": ms?, "tokens_per_step": tokens }))
}

/// The usual benchmark: warm up, time, report.
fn measure(
    generation: &mut Generation,
    args: &Args,
    globals: &Globals,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let watch = Watch::begin();
    progress.status("reading the prompt …");
    generation.prefill()?;
    let prefill_ms = (0..args.prefills).map(|_| generation.prefill()).collect::<anyhow::Result<Vec<_>>>()?;
    for _ in 0..WARM_UP {
        generation.step()?;
    }
    generation.rewind();
    let mut step_ms = Vec::with_capacity(args.new_tokens);
    for i in 0..args.new_tokens {
        if i % 16 == 0 {
            progress.status(&format!("token {} of {} …", i + 1, args.new_tokens));
        }
        step_ms.push(generation.step()?);
    }
    let watched = watch.end();
    progress.status("measuring the roof …");
    let result = result(generation, &prefill_ms, &step_ms, watched, globals);
    progress.clear();
    facts::show(&result, &summary(&result), args.json_file.as_deref(), globals)
}

/// All figures, under the names that the PyTorch side uses.
fn result(
    generation: &Generation,
    prefill_ms: &[f64],
    step_ms: &[f64],
    watched: Value,
    globals: &Globals,
) -> Value {
    let config = generation.gpt.config();
    let (_, dtype) = facts::dtype(globals);
    let (rows, prompt, context) =
        (generation.rows as f64, generation.prompt_len(), generation.middle_context());
    // the roof that is measured is the CPU's
    let roof = (globals.device() == Device::Cpu).then(measure::roofline);
    let part = |ms: &[f64], tokens: f64, cost: Cost| {
        let spread = facts::spread(ms);
        let seconds = 1e-3 * number(&spread, "/median");
        json!({
            "ms": spread, "tokens_per_s": tokens / seconds,
            "gflops": 1e-9 * cost.flops / seconds, "of_peak": roof.as_ref().map(|roof| cost.flops / roof.peak(dtype) / seconds),
            "gb_per_s": 1e-9 * cost.bytes / seconds,
            "of_bound": roof.as_ref().map(|roof| roof.fraction(cost, dtype, cost.bytes, seconds)),
        })
    };
    let bytes = generation.gpt.matrix_bytes() as f64;
    let cache = |tokens: usize| (config.cache_bytes_per_token(dtype.size()) * tokens as u64) as f64;
    let prefill = Cost { flops: config.prefill_flops(prompt) as f64, bytes: bytes + cache(prompt) };
    let decode =
        Cost { flops: rows * config.decode_flops(context) as f64, bytes: bytes + rows * cache(context) };
    let mut all = facts::place(globals);
    facts::join(&mut all, watched);
    facts::join(
        &mut all,
        json!({
            "shape": {
                "depth": config.n_layer, "n_embd": config.n_embd, "n_head": config.n_head,
                "n_kv_head": config.n_kv_head, "head_dim": config.head_dim(), "vocab": config.vocab_size,
                "batch": generation.rows, "prompt": prompt, "new": step_ms.len(),
            },
            "peak_gflops": roof.as_ref().map(|roof| 1e-9 * roof.peak(dtype)),
            "prefill": part(prefill_ms, prompt as f64, prefill),
            "decode": part(step_ms, rows, decode),
            "matrix_bytes": bytes,
            "steps_ms": step_ms,
        }),
    );
    all
}

fn summary(r: &Value) -> String {
    let part = |of: &str, what: &str| {
        r.pointer(of)
            .and_then(Value::as_f64)
            .map_or(String::new(), |part| format!(", {:.0} % of {what}", 100.0 * part))
    };
    format!(
        "nanochat {} {} {}, {} threads, {}: prefill {:.0} tokens/s ({:.1} GFLOP/s{}), decode {:.1} tokens/s \
         ({:.2} ms/token, {:.1} GB/s{}), memory +{:.0} MB",
        r["version"].as_str().unwrap_or_default(),
        r["simd"].as_str().unwrap_or_default(),
        r["dtype"].as_str().unwrap_or_default(),
        r["threads"],
        r["build"].as_str().unwrap_or_default(),
        number(r, "/prefill/tokens_per_s"),
        number(r, "/prefill/gflops"),
        part("/prefill/of_peak", "peak"),
        number(r, "/decode/tokens_per_s"),
        number(r, "/decode/ms/median"),
        number(r, "/decode/gb_per_s"),
        part("/decode/of_bound", "bound"),
        number(r, "/rss_growth_bytes") / 1e6,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::generation::tests::generation;

    #[test]
    fn both_kinds_of_work_are_served_with_their_tokens() {
        let mut g = generation(&["--batch", "3"]);
        for (what, tokens) in [("prefill", 5), ("decode", 3)] {
            let reply = reply(&mut g, what, 4).unwrap();
            assert_eq!(
                (reply["ms"].as_array().unwrap().len(), &reply["tokens_per_step"]),
                (4, &tokens.into())
            );
        }
    }
}
