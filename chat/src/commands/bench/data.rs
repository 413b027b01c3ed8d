//! `nanochat bench data`: how fast rows are prepared, and whether the training step waits for them.
//!
//! Preparation is all that happens between a shard and a batch: reading a row group, decompressing it, encoding its documents,
//! and cutting or packing them into rows, on one thread. A training step on real rows and preparation alone take turns, so
//! that the machine is the same to both. In the training the loader works ahead on its own thread, as in `train base`; the
//! time that the step spends asking for its batch is what it waits.

use super::facts::{self, Watch, number};
use super::steps::{Bench, Shape};
use crate::commands::shared::{NsArg, load_tokenizer};
use crate::globals::{Globals, Usage};
use crate::output::Progress;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokenizer::{Tokenizer, TrainOptions};
use train::data::ahead::Ahead;
use train::data::best_fit::{self, BestFit};
use train::data::flat::{FlatStream, Step};
use train::data::parquet::{GROUP, write_texts};
use train::data::shards::{Shards, Split};
use train::data::source::{Rank, Source, TOKENIZER_BATCH};
use train::data::{Dataset, Loader};
use train::synth::{self, SynthOptions};

/// `bench data`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat bench data                                       generated documents, depth 4\n  \
nanochat bench data --data climbmix --tokenizer default   your shards and your vocabulary\n  \
nanochat bench data --json result.json                    the result in a file, too\n\n\
`times training` is the median, over rounds, of preparation's tokens per second over training's."
)]
pub struct Args {
    /// With --json: write the result to this file
    #[arg(value_name = "FILE")]
    json_file: Option<PathBuf>,
    #[command(flatten)]
    shape: Shape,
    /// Tokens per row
    #[arg(long, aliases = ["sequence_len", "max-seq-len", "seq-len"], value_name = "T", default_value_t = 512)]
    sequence_len: usize,
    /// Rows per step
    #[arg(long, aliases = ["device_batch_size", "batch"], value_name = "B", default_value_t = 8)]
    device_batch_size: usize,
    /// Data set of shards (default: generated documents)
    #[arg(long, value_name = "NAME", requires = "tokenizer")]
    data: Option<String>,
    /// Vocabulary (default: learnt from the generated documents)
    #[arg(long, value_name = "NAME", requires = "data")]
    tokenizer: Option<String>,
    /// How often training and preparation take turns
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Training steps of a turn
    #[arg(long, value_name = "N", default_value_t = 3)]
    steps: usize,
}

/// Seconds that preparation has at a turn.
const TURN: f64 = 0.5;
/// Generated documents.
const DOCUMENTS: usize = 20_000;

/// Measure and report.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    facts::check_file(&args.json_file, globals)?;
    if [args.sequence_len, args.device_batch_size, args.rounds, args.steps].contains(&0) {
        bail!(Usage("--sequence-len, --device-batch-size, --rounds and --steps must be at least 1".into()));
    }
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("documents and vocabulary …");
    let scratch = Scratch::new();
    let (shards, tokenizer) = match (&args.data, &args.tokenizer) {
        (Some(data), Some(tokenizer)) => {
            let data = Dataset::open(&globals.layout()?.data(data))?;
            if !data.is_sharded() {
                bail!(Usage(
                    "--data: only shards are read piece by piece; import the texts with --shards".into()
                ));
            }
            (Shards::open(data.dir(), Split::Train)?, load_tokenizer(&globals.layout()?, tokenizer)?)
        }
        _ => generated(&scratch.0, args.shape.vocab_size, globals.seed)?,
    };
    let config = args.shape.config(args.sequence_len)?;
    let config = model::GptConfig { vocab_size: tokenizer.vocab_size(), ..config };
    let (generation, ns) = (args.shape.generation, NsArg::default().chosen());
    let mut bench =
        Bench::with(config, generation, args.device_batch_size, ns, globals.seed, globals.gpt_options())?;
    let mut kinds = Vec::new();
    for name in ["flat", "best-fit"] {
        let make = || loader(name, &shards, &tokenizer);
        kinds.push(Kind { name, alone: make()?, ahead: Ahead::new(make()?), turns: Vec::new() });
    }
    progress.status("warming up …");
    for kind in &mut kinds {
        kind.turn(&mut bench, 1, 0.0)?;
        kind.turns.clear();
    }
    let watch = Watch::begin();
    for round in 0..args.rounds {
        progress.status(&format!("round {} of {} …", round + 1, args.rounds));
        kinds.iter_mut().try_for_each(|kind| kind.turn(&mut bench, args.steps, TURN))?;
    }
    let watched = watch.end();
    progress.clear();
    let mut result = facts::place(globals);
    facts::join(&mut result, watched);
    let c = bench.gpt.config();
    facts::join(
        &mut result,
        json!({
            "shape": {"depth": c.n_layer, "n_embd": c.n_embd, "vocab": c.vocab_size, "seq_len": c.sequence_len, "batch": bench.rows},
            "data": args.data.as_deref().unwrap_or("generated"),
            "rounds": args.rounds,
            "loaders": kinds.iter().map(Kind::result).collect::<Vec<_>>(),
        }),
    );
    facts::show(&result, &table(&result), args.json_file.as_deref(), globals)?;
    Ok(ExitCode::SUCCESS)
}

/// A folder that is gone with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        Scratch(std::env::temp_dir().join(format!("nanochat-bench-data-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // it may not exist
    }
}

/// Shards of the generated world, and a vocabulary learnt from it.
fn generated(dir: &Path, vocab_size: usize, seed: u64) -> anyhow::Result<(Shards, Tokenizer)> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let world = synth::generate(&SynthOptions {
        seed,
        documents: DOCUMENTS,
        conversations: 1,
        test_per_kind: 1,
        ..SynthOptions::default()
    });
    let options = TrainOptions { vocab_size, ..TrainOptions::default() };
    let (tokenizer, _) = Tokenizer::train(&world.documents, &options, &mut |_| {})?;
    let path = dir.join("shard_00000.parquet");
    write_texts(&path, &world.documents, GROUP)?;
    Ok((Shards::of(vec![path])?, tokenizer))
}

fn loader(name: &str, shards: &Shards, tokenizer: &Tokenizer) -> anyhow::Result<Box<dyn Loader>> {
    let source = Source::new(Box::new(shards.clone()), tokenizer, Rank::default(), TOKENIZER_BATCH)?;
    Ok(match name {
        "flat" => Box::new(FlatStream::new(source, Step::Tokens)),
        _ => Box::new(BestFit::new(source, best_fit::HELD)),
    })
}

/// One kind of loader, alone and in front of a training.
struct Kind {
    name: &'static str,
    alone: Box<dyn Loader>,
    ahead: Ahead,
    turns: Vec<Turn>,
}

/// What a turn showed.
struct Turn {
    /// Tokens per second, prepared.
    prepared: f64,
    /// Tokens per second, trained.
    trained: f64,
    /// Milliseconds of each step, and those of them before it had its batch.
    steps: Vec<[f64; 2]>,
}

impl Kind {
    fn turn(&mut self, bench: &mut Bench, steps: usize, seconds: f64) -> anyhow::Result<()> {
        let (b, t) = (bench.rows, bench.gpt.config().sequence_len);
        let device = bench.gpt.options().device;
        let mut times = Vec::with_capacity(steps);
        for _ in 0..steps {
            let mut waited = Duration::ZERO;
            let next = || {
                let asked = Instant::now();
                let batch = self.ahead.rows(b, t)?.on(device);
                waited += asked.elapsed();
                batch
            };
            let ms = bench.step_on(next)?;
            times.push([ms, 1e3 * waited.as_secs_f64()]);
        }
        let (begun, mut tokens) = (Instant::now(), 0);
        while tokens == 0 || begun.elapsed().as_secs_f64() < seconds {
            self.alone.rows(b, t)?;
            tokens += b * t;
        }
        let prepared = tokens as f64 / begun.elapsed().as_secs_f64();
        let trained = 1e3 * (steps * b * t) as f64 / times.iter().map(|[ms, _]| ms).sum::<f64>();
        self.turns.push(Turn { prepared, trained, steps: times });
        Ok(())
    }
    fn result(&self) -> Value {
        let each = |of: fn(&Turn) -> f64| facts::spread(&self.turns.iter().map(of).collect::<Vec<_>>());
        let steps: Vec<[f64; 2]> = self.turns.iter().flat_map(|turn| turn.steps.clone()).collect();
        let sum = |i: usize| steps.iter().map(|step| step[i]).sum::<f64>();
        json!({
            "loader": self.name,
            "prepared_tokens_per_s": each(|turn| turn.prepared),
            "trained_tokens_per_s": each(|turn| turn.trained),
            "times_training": each(|turn| turn.prepared / turn.trained),
            "waiting": sum(1) / sum(0),
            "longest_wait_ms": steps.iter().map(|step| step[1]).fold(0.0, f64::max),
            "steps": steps.len(),
        })
    }
}

/// A table that `cargo xtask results --data` puts into the document of results.
fn table(r: &Value) -> String {
    let mut out = format!(
        "d{}, V {}, {} rows of {}, {} {}, {} threads; {} rounds, {:.2} cores used by others\n\n",
        r["shape"]["depth"],
        r["shape"]["vocab"],
        r["shape"]["batch"],
        r["shape"]["seq_len"],
        r["simd"].as_str().unwrap_or_default(),
        r["dtype"].as_str().unwrap_or_default(),
        r["threads"],
        r["rounds"],
        number(r, "/other_cores"),
    );
    out += "| loader | prepared, tokens/s on one thread | trained, tokens/s | times training: median (range) | of a step, waiting for data | longest wait, ms |\n|---|---|---|---|---|---|\n";
    for kind in r["loaders"].as_array().into_iter().flatten() {
        let of = |path: &str| number(kind, path);
        out += &format!(
            "| {} | {:.0} | {:.0} | **{:.0}** ({:.0} to {:.0}) | {:.3} % | {:.2} |\n",
            kind["loader"].as_str().unwrap_or_default(),
            of("/prepared_tokens_per_s/median"),
            of("/trained_tokens_per_s/median"),
            of("/times_training/median"),
            of("/times_training/min"),
            of("/times_training/max"),
            100.0 * of("/waiting"),
            of("/longest_wait_ms"),
        );
    }
    out.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::globals::parsed;

    #[test]
    fn both_loaders_are_timed_and_the_table_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.json").display().to_string();
        let small = [
            "--json",
            &file,
            "--depth",
            "1",
            "--n-embd",
            "32",
            "--n-head",
            "1",
            "--vocab",
            "300",
            "--seq-len",
            "32",
            "--batch",
            "2",
            "--rounds",
            "1",
            "--steps",
            "2",
            "--quiet",
        ];
        let (args, globals) = parsed::<Args>(&small);
        run(&args, &globals).unwrap();
        let result: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for i in 0..2 {
            let loader = &result["loaders"][i];
            assert!(number(loader, "/times_training/median") > 0.0 && loader["steps"] == 2, "{result}");
            assert!((0.0..1.0).contains(&number(loader, "/waiting")), "{result}");
        }
        assert_eq!(table(&result).lines().filter(|line| line.starts_with('|')).count(), 4);
    }
}
