//! `nanochat bench serve`: how long people wait, and how much is answered, for so many of them at a time.
//!
//! For every concurrency the same requests are served twice. By the engine alone, with so many of them always in
//! flight; and by the whole server, over loopback, to clients that read the stream and ask again when it ends. The
//! first tells what batching brings, the difference what HTTP costs. Beside it stands processor time per token: of the thread
//! that speaks HTTP, and of the model's thread between two rounds. The model is random, prompts are random and
//! different, so nothing is reused; every answer has the same length.

use super::clients::{self, Call};
use super::facts::{self, Watch, number};
use super::generation::random_model;
use super::steps::Shape;
use crate::commands::shared::Weights;
use crate::globals::{Globals, Usage};
use crate::output::Progress;
use crate::serve::{self, Config, Defaults, Worker};
use anyhow::{Context, bail};
use kernels::philox::Philox;
use model::Gpt;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokenizer::Tokenizer;
use tokio::sync::oneshot;
use train::engine::gpt::{GptForward, page_bytes};
use train::engine::{Engine, Limits, Request, Sampling, What};
use train::report::chart::{Axis, Line, Scale, chart};

/// `bench serve`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat bench serve                                  depth 4, 1 to 32 at a time\n  \
nanochat bench serve --depth 12 --concurrency 1,8 --quantize int8\n  \
nanochat bench serve --json result.json --svg result.svg"
)]
pub struct Args {
    /// With --json: write the result to this file
    #[arg(value_name = "FILE")]
    json_file: Option<PathBuf>,
    #[command(flatten)]
    shape: Shape,
    /// Requests at a time, one measurement each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16, 32])]
    concurrency: Vec<usize>,
    /// Tokens of a prompt
    #[arg(long, value_name = "N", default_value_t = 64)]
    prompt: usize,
    /// Tokens of an answer
    #[arg(long = "new", value_name = "N", default_value_t = 64)]
    new_tokens: usize,
    /// Requests of each client
    #[arg(long, value_name = "N", default_value_t = 2)]
    requests: usize,
    /// Draw the throughput into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    weights: Weights,
}

/// The random stream of prompts.
const STREAM: u64 = 0x5E_12E;
/// Prompt tokens that are read between two decoding steps.
const CHUNK: usize = 256;

/// Measure and report.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    facts::check_file(&args.json_file, globals)?;
    let sizes = [args.prompt, args.new_tokens, args.requests];
    if sizes.contains(&0) || args.concurrency.is_empty() || args.concurrency.contains(&0) {
        bail!(Usage("--concurrency, --prompt, --new and --requests must be at least 1".into()));
    }
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("drawing weights …");
    let config = args.shape.config(args.prompt + args.new_tokens)?;
    let gpt = random_model(config, args.weights.quantize(), globals)?;
    let tokenizer = made_up(gpt.config().vocab_size)?;
    let watch = Watch::begin();
    alone(&gpt, &tokenizer, args, 1)?; // warm up
    let mut levels = Vec::with_capacity(args.concurrency.len());
    for &n in &args.concurrency {
        progress.status(&format!("{n} at a time …"));
        let engine = alone(&gpt, &tokenizer, args, n)?;
        let server = served(&gpt, &tokenizer, args, n)?;
        let per_token = |part: &Value| 1e6 / number(part, "/tokens_per_s");
        let overhead = per_token(&server) - per_token(&engine);
        levels.push(json!({ "concurrency": n, "engine": engine, "server": server, "overhead_us_per_token": overhead }));
    }
    progress.clear();
    let mut result = facts::place(globals);
    facts::join(&mut result, watch.end());
    facts::join(
        &mut result,
        json!({
            "shape": facts::shape(gpt.config(), args.prompt, args.new_tokens),
            "cache_bytes": page_bytes(&gpt) * pages(args, args.concurrency.iter().copied().max().unwrap_or(1)),
            "levels": levels,
        }),
    );
    if let Some(file) = &args.svg {
        std::fs::write(file, picture(&result)).with_context(|| format!("writing {}", file.display()))?;
    }
    facts::show(&result, &table(&result), args.json_file.as_deref(), globals)?;
    Ok(ExitCode::SUCCESS)
}

/// A vocabulary of so many made-up words.
pub fn made_up(vocab_size: usize) -> anyhow::Result<Tokenizer> {
    let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
    let words =
        (0..vocab_size.saturating_sub(Tokenizer::MIN_VOCAB_SIZE)).map(|i| format!(" w{i}").into_bytes());
    Ok(Tokenizer::from_ranks(bytes.chain(words).collect())?)
}

fn pages(args: &Args, rows: usize) -> usize {
    rows * (args.prompt + args.new_tokens).div_ceil(model::cache::PAGE_LEN)
}

fn engine<'a>(
    gpt: &'a Gpt,
    tokenizer: &Tokenizer,
    args: &Args,
    rows: usize,
) -> anyhow::Result<Engine<GptForward<'a>>> {
    let limits = Limits { rows, waiting: rows, chunk: CHUNK, context: args.prompt + args.new_tokens };
    Ok(Engine::new(GptForward::new(gpt, pages(args, rows))?, tokenizer, limits))
}

/// Prompt number `i`: ordinary tokens only.
fn prompt(args: &Args, tokenizer: &Tokenizer, i: usize) -> Vec<u32> {
    let mut rng = Philox::new(i as u64, STREAM);
    (0..args.prompt).map(|_| rng.below(tokenizer.num_mergeable() as u32)).collect()
}

/// The engine alone, always with `n` requests in flight.
fn alone(gpt: &Gpt, tokenizer: &Tokenizer, args: &Args, n: usize) -> anyhow::Result<Value> {
    let mut engine = engine(gpt, tokenizer, args, n)?;
    let (total, mut asked, mut tokens) = (n * args.requests, 0, 0);
    let begun = Instant::now();
    while asked < total || !engine.is_idle() {
        let stats = engine.stats();
        let busy = stats.running + stats.waiting;
        for _ in busy..n.min(busy + total - asked) {
            engine.submit(Request::greedy(prompt(args, tokenizer, asked), args.new_tokens))?;
            asked += 1;
        }
        let events = engine.step()?;
        tokens += events.iter().filter(|event| matches!(event.what, What::Token(_))).count();
    }
    Ok(json!({ "tokens": tokens, "tokens_per_s": tokens as f64 / begun.elapsed().as_secs_f64() }))
}

/// The whole server, with `n` clients.
fn served(gpt: &Gpt, tokenizer: &Tokenizer, args: &Args, n: usize) -> anyhow::Result<Value> {
    let engine = engine(gpt, tokenizer, args, n)?;
    let (worker, rounds) = Worker::new(tokenizer.clone());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("listening on loopback")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (config, watcher) = (config(args, n), worker.watcher());
    let (stop, stopped) = oneshot::channel::<()>();
    let web = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve::serve(listener, worker, config, async { drop(stopped.await) }).await;
            std::io::Result::Ok(())
        })?;
        std::io::Result::Ok(cpu_us())
    });
    let body = |i: usize| {
        let request = json!({
            "prompt": prompt(args, tokenizer, i), "max_tokens": args.new_tokens, "temperature": 0, "stream": true,
            "stream_options": { "include_usage": true },
        });
        request.to_string()
    };
    let bodies: Vec<Vec<String>> =
        (0..n).map(|client| (0..args.requests).map(|k| body(client + n * k)).collect()).collect();
    let crowd = std::thread::spawn(move || {
        let calls = clients::run(address, bodies);
        drop(stop);
        calls
    });
    rounds.run(engine)?;
    let calls = crowd.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
    let cpu = web.join().map_err(|_| anyhow::anyhow!("the web server panicked"))??;
    let mut waits = waits(&calls?);
    let tokens = number(&waits, "/tokens");
    waits["cpu_us_per_token"] = json!(cpu.map(|us| us / tokens));
    waits["books_us_per_token"] = json!(1e6 * watcher().between / tokens);
    Ok(waits)
}

/// Processor time of this thread, in microseconds (Linux).
fn cpu_us() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(stat.split(' ').next()?.parse::<f64>().ok()? / 1e3)
}

fn config(args: &Args, n: usize) -> Config {
    let context = args.prompt + args.new_tokens;
    let long = Duration::from_secs(3600);
    let sampling = Sampling::greedy();
    let (model, max_tokens) = ("random".to_string(), args.new_tokens);
    Config {
        defaults: Defaults { model, sampling, max_tokens, context, max_samples: 1 },
        api_key: None,
        cors: None,
        body_limit: 1 << 20,
        connections: n,
        header_timeout: long,
        queue_timeout: long,
        timeout: long,
        grace: Duration::ZERO,
        local_only: true,
    }
}

/// Throughput, and how the waiting times spread, in milliseconds.
fn waits(calls: &[Call]) -> Value {
    let tokens: usize = calls.iter().map(|call| call.tokens).sum();
    let begun = calls.iter().map(|call| call.begun).min();
    let ended = calls.iter().filter_map(|call| call.pieces.last().copied()).max();
    let seconds = begun.zip(ended).map_or(f64::NAN, |(begun, ended)| (ended - begun).as_secs_f64());
    let ms = |d: Duration| 1e3 * d.as_secs_f64();
    let first: Vec<f64> = calls.iter().filter_map(|c| c.pieces.first().map(|&t| ms(t - c.begun))).collect();
    let between: Vec<f64> =
        calls.iter().flat_map(|c| c.pieces.windows(2)).map(|pair| ms(pair[1] - pair[0])).collect();
    json!({
        "tokens": tokens, "tokens_per_s": tokens as f64 / seconds,
        "first_token_ms": percentiles(first), "token_ms": percentiles(between),
    })
}

fn percentiles(mut ms: Vec<f64>) -> Value {
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| ms.get((part * ms.len().saturating_sub(1) as f64).round() as usize).copied();
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": ms.last() })
}

fn table(result: &Value) -> String {
    let mut out = String::from(
        "at a time | engine tok/s | server tok/s | first token p50/p99 ms | token p50/p99 ms | HTTP µs/token | CPU µs/token: HTTP, books\n",
    );
    for level in result["levels"].as_array().map_or(&[][..], Vec::as_slice) {
        out += &format!(
            "{:>9} | {:>12.0} | {:>12.0} | {:>11.1} / {:>8.1} | {:>7.2} / {:>6.2} | {:>13.1} | {:>9.1}, {:.1}\n",
            level["concurrency"],
            number(level, "/engine/tokens_per_s"),
            number(level, "/server/tokens_per_s"),
            number(level, "/server/first_token_ms/p50"),
            number(level, "/server/first_token_ms/p99"),
            number(level, "/server/token_ms/p50"),
            number(level, "/server/token_ms/p99"),
            number(level, "/overhead_us_per_token"),
            number(level, "/server/cpu_us_per_token"),
            number(level, "/server/books_us_per_token"),
        );
    }
    let megabytes = |path| number(result, path) / 1e6;
    out += &format!(
        "cache {:.0} MB, memory +{:.0} MB",
        megabytes("/cache_bytes"),
        megabytes("/rss_growth_bytes")
    );
    out
}

fn picture(result: &Value) -> String {
    let levels = result["levels"].as_array().map_or(&[][..], Vec::as_slice);
    let line = |colour, name: &str| {
        let path = format!("/{name}/tokens_per_s");
        let points = levels.iter().map(|l| [number(l, "/concurrency"), number(l, &path)]).collect();
        Line { name: name.into(), points, colour }
    };
    let x = Axis { name: "requests at a time", scale: Scale::Log };
    let y = Axis { name: "tokens per second", scale: Scale::Zero };
    chart(x, y, &[line(0, "engine"), line(1, "server")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::globals::parsed;

    #[test]
    fn every_request_is_answered_to_its_last_token() {
        let line = "--depth 1 --n-embd 32 --n-head 2 --vocab 300 --prompt 70 --new 9 --requests 3";
        let (args, globals) = parsed::<Args>(&line.split(' ').collect::<Vec<_>>());
        let config = args.shape.config(79).unwrap();
        let gpt = random_model(config, None, &globals).unwrap();
        let tokenizer = made_up(300).unwrap();
        for n in [1, 5] {
            let (engine, server) =
                (alone(&gpt, &tokenizer, &args, n).unwrap(), served(&gpt, &tokenizer, &args, n).unwrap());
            assert_eq!(engine["tokens"], server["tokens"], "{engine} {server}");
            assert!(
                number(&engine, "/tokens") <= (n * 3 * 9) as f64
                    && number(&engine, "/tokens") > (n * 3 * 4) as f64
            );
            assert!(number(&server, "/first_token_ms/p50") > 0.0);
        }
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let p = percentiles((0..100).map(f64::from).collect());
        assert_eq!(
            [&p["p50"], &p["p90"], &p["p99"], &p["max"]],
            [&json!(50.0), &json!(89.0), &json!(98.0), &json!(99.0)]
        );
        assert!(percentiles(Vec::new())["p50"].is_null());
    }
}
