//! `nanochat serve`: a web page and an OpenAI-compatible API for one model.

use super::shared;
use crate::globals::{Globals, Usage};
use crate::output;
use crate::serve::{self, Config, Defaults, Worker};
use anyhow::{Context, bail};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;
use train::engine::gpt::{GptForward, page_bytes};
use train::engine::{Engine, Limits, Sampling};

/// `serve`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat serve                                   then open http://127.0.0.1:8000\n  \
nanochat serve --port 8080 --max-batch 8 --cache-memory 256\n  \
nanochat serve --host 0.0.0.0 --api-key SECRET   reachable from other machines, for who knows the token\n\n\
With any client of the OpenAI API:\n  \
curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\\n       \
-d '{\"messages\": [{\"role\": \"user\", \"content\": \"Who are you?\"}]}'\n\n\
Endpoints: /v1/chat/completions, /v1/completions, /v1/models, /health, /metrics (Prometheus), / (the page).\n\
Ctrl-C finishes the answers that are going on; a second one ends at once."
)]
pub struct Args {
    /// Run to serve (default: the most recent)
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Address to listen on; 0.0.0.0 for all of this machine's
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Port to listen on (0: any that is free)
    #[arg(short, long, default_value_t = 8000)]
    port: u16,
    /// Serve only who sends this token as `Authorization: Bearer`
    #[arg(long, env = "NANOCHAT_API_KEY", hide_env_values = true, value_name = "TOKEN")]
    api_key: Option<String>,
    /// Let web pages of this origin use the API (`*`: of any)
    #[arg(long, value_name = "ORIGIN")]
    cors: Option<String>,
    /// Temperature where a request names none
    #[arg(short, long, default_value_t = 0.8)]
    temperature: f32,
    /// Top-k where a request names none (0: all tokens)
    #[arg(short = 'k', long, default_value_t = 50)]
    top_k: usize,
    /// New tokens where a request names no number
    #[arg(short, long, default_value_t = 512)]
    max_tokens: usize,
    /// Rows that are generated together
    #[arg(long, default_value_t = 32, value_name = "B")]
    max_batch: usize,
    /// Requests that may wait; one more is sent away (429)
    #[arg(long, default_value_t = 128, value_name = "N")]
    queue: usize,
    /// Most memory of the key/value cache, in MiB
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    cache_memory: usize,
    /// Positions of prompt and answer together (default: what the model was trained on)
    #[arg(long, value_name = "T")]
    context: Option<usize>,
    /// Prompt tokens that are read between two decoding steps
    #[arg(long, default_value_t = 256, value_name = "N")]
    chunk: usize,
    /// Most seconds that a request may wait for its turn
    #[arg(long, default_value_t = 60, value_name = "S")]
    queue_timeout: u64,
    /// Most seconds that a request may take
    #[arg(long, default_value_t = 600, value_name = "S")]
    timeout: u64,
    /// Seconds that answers may go on after Ctrl-C
    #[arg(long, default_value_t = 10, value_name = "S")]
    grace: u64,
    #[command(flatten)]
    weights: shared::Weights,
}

/// Most bytes of a request.
const BODY_LIMIT: usize = 1 << 20;
/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections beyond those that wait or are served: pages that are only open.
const IDLE_CONNECTIONS: usize = 256;

/// Run the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        seed: globals.seed,
        ..Sampling::default()
    };
    sampling.check().map_err(|refusal| Usage(refusal.to_string()))?;
    if [args.max_batch, args.queue, args.chunk, args.max_tokens, args.cache_memory].contains(&0) {
        bail!(Usage(
            "--max-batch, --queue, --chunk, --max-tokens and --cache-memory must be at least 1".into()
        ));
    }
    if args.api_key.as_ref().is_some_and(|key| key.trim().is_empty()) {
        bail!(Usage("--api-key is empty: give a token, or leave it out".into()));
    }
    // First, so that a port in use is known before the model is loaded.
    let address = SocketAddr::new(args.host, args.port);
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another --port"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;

    let loaded =
        shared::load_run(globals, args.run.as_deref(), None)?.for_inference(args.weights.quantize())?;
    let trained = loaded.gpt.config().sequence_len;
    let context = args.context.unwrap_or(trained).min(loaded.gpt.rotary().positions()).max(2);
    let limits = Limits { rows: args.max_batch, waiting: args.queue, chunk: args.chunk, context };
    let pages = pages(args, page_bytes(&loaded.gpt), context)?;
    let engine = Engine::new(GptForward::new(&loaded.gpt, pages)?, &loaded.tokenizer, limits);

    let defaults = Defaults {
        model: loaded.run.clone(),
        sampling,
        max_tokens: args.max_tokens.min(context - 1),
        context,
        max_samples: args.max_batch,
    };
    let config = Config {
        defaults,
        api_key: args.api_key.clone(),
        cors: args.cors.clone(),
        body_limit: BODY_LIMIT,
        connections: args.queue + args.max_batch + IDLE_CONNECTIONS,
        header_timeout: HEADER_TIMEOUT,
        queue_timeout: Duration::from_secs(args.queue_timeout),
        timeout: Duration::from_secs(args.timeout),
        grace: Duration::from_secs(args.grace),
        local_only: serve::is_local(&address),
    };
    announce(args, globals, &address, &loaded.run)?;
    let (worker, rounds) = Worker::new(loaded.tokenizer.clone());
    let (broken, engine_gone) = oneshot::channel();
    let quiet = globals.quiet;
    let web = std::thread::spawn(move || web(listener, worker, config, engine_gone, quiet));
    let ended = rounds.run(engine);
    drop(broken); // if the engine failed, there is nothing to serve
    let served = web.join().unwrap_or_else(|_| Err(std::io::Error::other("the web server panicked")));
    ended.context("the engine has stopped")?;
    served.context("serving")?;
    Ok(ExitCode::SUCCESS)
}

/// As [`run`], of one run and with everything else as it is without options, on any free port.
pub fn page(run_name: &str, globals: &Globals) -> anyhow::Result<()> {
    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }
    let words = ["serve", "--run", run_name, "--port", "0"];
    let alone = <Alone as clap::Parser>::try_parse_from(words)?;
    run(&alone.args, globals).map(drop)
}

/// Cache pages: no more than all rows can use twice over, no more than the memory allowed, and enough for one row.
fn pages(args: &Args, page_bytes: usize, context: usize) -> anyhow::Result<usize> {
    let row = context.div_ceil(model::cache::PAGE_LEN);
    let affordable = (args.cache_memory << 20) / page_bytes.max(1);
    if affordable < row {
        let need = (row * page_bytes).div_ceil(1 << 20);
        bail!(Usage(format!(
            "--cache-memory {}: one row of {context} tokens needs {need} MiB",
            args.cache_memory
        )));
    }
    Ok(affordable.min(2 * args.max_batch * row))
}

fn announce(args: &Args, globals: &Globals, address: &SocketAddr, run: &str) -> anyhow::Result<()> {
    let url = format!("http://{address}");
    if globals.json {
        output::line(&json!({ "url": url, "model": run }).to_string())?;
    } else if !globals.quiet {
        output::line(&format!("serving run {run:?} at {url} (API: {url}/v1); Ctrl-C ends"))?;
    }
    if !serve::is_local(address) && args.api_key.is_none() {
        output::error("anybody who reaches this address can use it; --api-key TOKEN asks for a token");
    }
    Ok(())
}

/// The thread that speaks HTTP.
fn web(
    listener: std::net::TcpListener,
    worker: Worker,
    config: Config,
    engine_gone: oneshot::Receiver<()>,
    quiet: bool,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let stop = async move {
            tokio::select! {
                () = interrupted() => {
                    if !quiet {
                        output::error("\nfinishing what is going on (Ctrl-C again to end at once)");
                    }
                    tokio::spawn(async {
                        interrupted().await;
                        std::process::exit(130);
                    });
                }
                _ = engine_gone => {}
            }
        };
        serve::serve(listener, worker, config, stop).await;
        Ok(())
    })
}

/// Ctrl-C, or the system's request to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
