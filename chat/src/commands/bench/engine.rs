//! `nanochat bench engine`: what the engine costs beyond the loop that a single answer needs.
//!
//! The engine keeps books: pages, penalties, stop texts, tool calls, text, events. The loop of `bench decode` knows nothing of
//! all that. Both draw tokens with one model, in turn, a few steps each, so that the machine is the same to both; the ratio
//! of their times is the engine's overhead. A clock around the model alone says how much of a step is spent outside it.
//! Last, a conversation goes on: its second turn must read its new tokens and nothing else.

use super::facts::{self, Watch, number};
use super::generation::{Generation, TOP_K, random_model};
use super::sampling;
use super::server::made_up;
use super::steps::Shape;
use crate::commands::shared::Weights;
use crate::globals::{Globals, Usage};
use crate::output::Progress;
use anyhow::bail;
use kernels::philox::Philox;
use model::{Gpt, ModelError};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tensor::Tensor;
use tokenizer::Tokenizer;
use train::engine::forward::{Forward, Seat};
use train::engine::gpt::GptForward;
use train::engine::{Engine, Limits, Request, Sampling, What};

/// `bench engine`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  nanochat bench engine                        depth 4, 1 row and 8\n  \
nanochat bench engine --depth 12 --vocab-size 32768 --dtype bf16\n  \
nanochat bench engine --json result.json     the result in a file, too\n\n\
`beyond the loop` is the median, over pairs of a few steps of each, of the engine's time over the loop's, less one.")]
pub struct Args {
    /// With --json: write the result to this file
    #[arg(value_name = "FILE")]
    json_file: Option<PathBuf>,
    #[command(flatten)]
    shape: Shape,
    /// Rows at a time, one measurement each
    #[arg(long, value_name = "B,...", value_delimiter = ',', default_values_t = [1, 8])]
    batch: Vec<usize>,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 256)]
    prompt: usize,
    /// Tokens drawn for every row
    #[arg(long = "new", value_name = "N", default_value_t = 128)]
    new_tokens: usize,
    /// How often the rows begin again behind their prompts
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    weights: Weights,
}

/// Steps of each before it is the other's turn.
const BLOCK: usize = 4;
/// The random stream of prompts and of the conversation's second question.
const STREAM: u64 = 0x2_7042;
/// Tokens of that question.
const QUESTION: usize = 24;

/// Measure and report.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    facts::check_file(&args.json_file, globals)?;
    let sizes = [args.prompt, args.rounds, args.new_tokens / (4 * BLOCK)];
    if sizes.contains(&0) || args.batch.is_empty() || args.batch.contains(&0) {
        bail!(Usage("--batch, --prompt and --rounds must be at least 1, --new at least 16".into()));
    }
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("drawing weights …");
    let config = args.shape.config(2 * (args.prompt + args.new_tokens) + QUESTION)?;
    let gpt = Rc::new(random_model(config, args.weights.quantize(), globals)?);
    let tokenizer = made_up(gpt.config().vocab_size)?;
    let watch = Watch::begin();
    let mut levels = Vec::with_capacity(args.batch.len());
    for &rows in &args.batch {
        progress.status(&format!("{rows} at a time …"));
        let pairs = pairs(&gpt, &tokenizer, args, rows, globals.seed)?;
        levels.push(level(rows, &pairs));
    }
    progress.status("a second turn …");
    let second = second_turn(&gpt, &tokenizer, args, globals.seed)?;
    let watched = watch.end();
    progress.clear();
    let mut result = facts::place(globals);
    facts::join(&mut result, watched);
    facts::join(
        &mut result,
        json!({
            "shape": facts::shape(gpt.config(), args.prompt, args.new_tokens),
            "levels": levels,
            "second_turn": second,
            "sampling": sampling::times(gpt.config().vocab_size, globals.seed)?,
        }),
    );
    facts::show(&result, &table(&result), args.json_file.as_deref(), globals)?;
    Ok(ExitCode::SUCCESS)
}

/// A model and a clock that runs while it computes.
struct Clocked<'a> {
    gpt: GptForward<'a>,
    spent: Duration,
}

impl Clocked<'_> {
    fn time<T>(&mut self, what: impl FnOnce(&mut Self) -> T) -> T {
        let start = Instant::now();
        let done = what(self);
        self.spent += start.elapsed();
        done
    }
}

impl Forward for Clocked<'_> {
    type Error = ModelError;
    fn pages(&self) -> usize {
        self.gpt.pages()
    }
    fn page_len(&self) -> usize {
        self.gpt.page_len()
    }
    fn vocab_size(&self) -> usize {
        self.gpt.vocab_size()
    }
    fn context(&self) -> usize {
        self.gpt.context()
    }
    fn feed(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<Tensor, ModelError> {
        self.time(|this| this.gpt.feed(rows, tokens))
    }
    fn fill(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<(), ModelError> {
        self.time(|this| this.gpt.fill(rows, tokens))
    }
    fn score(&mut self, row: &Seat<'_>, tokens: &[u32]) -> Result<Tensor, ModelError> {
        self.time(|this| this.gpt.score(row, tokens))
    }
    fn copy_page(&mut self, from: u32, to: u32) -> Result<(), ModelError> {
        self.time(|this| this.gpt.copy_page(from, to))
    }
}

fn engine<'a>(
    gpt: &'a Gpt,
    tokenizer: &Tokenizer,
    rows: usize,
    context: usize,
) -> anyhow::Result<Engine<Clocked<'a>>> {
    let limits = Limits { rows, waiting: rows, chunk: rows * context, context };
    let forward = Clocked { gpt: GptForward::for_rows(gpt, rows, context)?, spent: Duration::ZERO };
    Ok(Engine::new(forward, tokenizer, limits))
}

fn request(prompt: Vec<u32>, max_tokens: usize, seed: u64) -> Request {
    let sampling = Sampling { top_k: TOP_K, seed, ..Sampling::default() };
    Request { sampling, ..Request::greedy(prompt, max_tokens) }
}

/// Mean milliseconds of a few steps of the loop and of the engine, and the engine's outside of the model.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    bare: f64,
    engine: f64,
    outside: f64,
}

/// Both in turn, `rows` rows, until all rounds are over.
fn pairs(
    gpt: &Rc<Gpt>,
    tokenizer: &Tokenizer,
    args: &Args,
    rows: usize,
    seed: u64,
) -> anyhow::Result<Vec<Pair>> {
    let (prompt, new) = (args.prompt, args.new_tokens);
    let mut bare = Generation::with(gpt, rows, prompt, new, seed)?;
    let mut engine = engine(gpt, tokenizer, rows, prompt + new)?;
    let (mut pairs, mut asked) = (Vec::new(), 0);
    for _ in 0..args.rounds {
        bare.rewind();
        bare.step()?; // the rows behind the prompt are made outside the clock
        while !engine.is_idle() {
            engine.step()?; // what the round before left
        }
        for turn in 0..(new - 1) / BLOCK - 1 {
            fill_up(&mut engine, rows, prompt, new, &mut asked, seed)?;
            let mut pair = Pair::default();
            let order = [turn % 2 == 0, turn % 2 != 0];
            for engines_turn in order {
                if engines_turn {
                    let before = engine.forward().spent;
                    let start = Instant::now();
                    for _ in 0..BLOCK {
                        engine.step()?;
                    }
                    let (all, model) = (start.elapsed(), engine.forward().spent - before);
                    let ms = |time: Duration| 1e3 * time.as_secs_f64() / BLOCK as f64;
                    (pair.engine, pair.outside) = (ms(all), ms(all.saturating_sub(model)));
                } else {
                    for _ in 0..BLOCK {
                        pair.bare += bare.step()? / BLOCK as f64;
                    }
                }
            }
            if engine.stats().running == rows {
                pairs.push(pair); // else a row drew a token that ends it
            }
        }
    }
    Ok(pairs)
}

/// Ask until every row is taken and has read its prompt. Each has a prompt of its own, and is given time for it here.
fn fill_up(
    engine: &mut Engine<Clocked<'_>>,
    rows: usize,
    prompt: usize,
    new: usize,
    asked: &mut u64,
    seed: u64,
) -> anyhow::Result<()> {
    while engine.stats().running < rows {
        let stats = engine.stats();
        for _ in stats.running + stats.reading + stats.waiting..rows {
            *asked += 1;
            let prompt = words(engine.tokenizer(), prompt, seed.wrapping_add(*asked));
            engine.submit(request(prompt, new, *asked))?;
        }
        engine.step()?;
    }
    Ok(())
}

/// Ordinary tokens.
fn words(tokenizer: &Tokenizer, n: usize, seed: u64) -> Vec<u32> {
    let mut rng = Philox::new(seed, STREAM);
    (0..n).map(|_| rng.below(tokenizer.num_mergeable() as u32)).collect()
}

fn level(rows: usize, pairs: &[Pair]) -> Value {
    let of = |what: &dyn Fn(&Pair) -> f64| facts::spread(&pairs.iter().map(what).collect::<Vec<_>>());
    json!({
        "batch": rows, "pairs": pairs.len(),
        "bare_ms": of(&|p| p.bare), "engine_ms": of(&|p| p.engine),
        "outside_us": of(&|p| 1e3 * p.outside), "beyond": of(&|p| p.engine / p.bare - 1.0),
    })
}

/// A question, its answer, and another question: what the second one costs with the first turn in the cache, and without.
fn second_turn(gpt: &Gpt, tokenizer: &Tokenizer, args: &Args, seed: u64) -> anyhow::Result<Value> {
    let context = gpt.config().sequence_len;
    let mut warm = engine(gpt, tokenizer, 1, context)?;
    let mut history = words(tokenizer, args.prompt, seed);
    warm.submit(request(history.clone(), args.new_tokens, seed))?;
    while !warm.is_idle() {
        let events = warm.step()?;
        history.extend(events.into_iter().filter_map(|event| match event.what {
            What::Token(token) => Some(token.id),
            _ => None,
        }));
    }
    let turn = history.len();
    history.extend(words(tokenizer, QUESTION, seed.wrapping_add(1)));
    let mut cold = engine(gpt, tokenizer, 1, context)?;
    let first_token = |engine: &mut Engine<Clocked<'_>>| -> anyhow::Result<(u64, f64)> {
        let before = engine.stats().read;
        engine.submit(request(history.clone(), 1, seed))?;
        let start = Instant::now();
        while !engine.is_idle() {
            engine.step()?;
        }
        Ok((engine.stats().read - before, 1e3 * start.elapsed().as_secs_f64()))
    };
    let ((read, ms), (read_cold, ms_cold)) = (first_token(&mut warm)?, first_token(&mut cold)?);
    Ok(json!({
        "history": turn, "new": QUESTION, "read": read, "ms": ms, "read_without": read_cold, "ms_without": ms_cold,
    }))
}

fn table(result: &Value) -> String {
    let mut out = String::from(
        "rows | loop ms/step | engine ms/step | beyond the loop (middle half) | outside the model µs/step | tokens/s\n",
    );
    for level in result["levels"].as_array().map_or(&[][..], Vec::as_slice) {
        let percent = |at: &str| 100.0 * number(level, &format!("/beyond/{at}"));
        out += &format!(
            "{:>4} | {:>12.3} | {:>14.3} | {:>+8.1} % ({:+.1} to {:+.1}) | {:>25.0} | {:>8.0}\n",
            level["batch"],
            number(level, "/bare_ms/median"),
            number(level, "/engine_ms/median"),
            percent("median"),
            percent("quarter"),
            percent("three_quarters"),
            number(level, "/outside_us/median"),
            1e3 * number(level, "/batch") / number(level, "/engine_ms/median"),
        );
    }
    let turn = |name: &str| number(result, &format!("/second_turn/{name}"));
    out += &format!(
        "a second turn of {} tokens after {}: {} read, first token after {:.1} ms; without the cache {} read, {:.1} ms",
        turn("new"),
        turn("history"),
        turn("read"),
        turn("ms"),
        turn("read_without"),
        turn("ms_without"),
    );
    out + "\n" + &sampling::line(&result["sampling"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::globals::parsed;

    fn model(more: &str) -> (Rc<Gpt>, Tokenizer, Args) {
        let line =
            format!("--depth 1 --n-embd 32 --n-head 2 --vocab 300 --prompt 70 --new 16 --rounds 2{more}");
        let (args, globals) = parsed::<Args>(&line.split(' ').collect::<Vec<_>>());
        let config = args.shape.config(2 * (70 + 16) + QUESTION).unwrap();
        (Rc::new(random_model(config, None, &globals).unwrap()), made_up(300).unwrap(), args)
    }

    #[test]
    fn engine_and_loop_take_turns_and_the_model_is_part_of_the_engines_time() {
        let (gpt, tokenizer, args) = model("");
        for rows in [1, 3] {
            let pairs = pairs(&gpt, &tokenizer, &args, rows, 7).unwrap();
            assert!(!pairs.is_empty());
            assert!(
                pairs.iter().all(|p| p.bare > 0.0 && p.outside > 0.0 && p.outside < p.engine),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn a_second_turn_reads_its_question_and_the_last_token_of_the_answer() {
        let (gpt, tokenizer, args) = model("");
        let second = second_turn(&gpt, &tokenizer, &args, 7).unwrap();
        let count = |name: &str| second[name].as_u64().unwrap();
        assert_eq!(count("read"), count("new") + 1, "{second}");
        assert_eq!(count("read_without"), count("history") + count("new"), "{second}");
    }

    #[test]
    fn the_overhead_is_the_median_of_pairs() {
        let pair = |bare, engine| Pair { bare, engine, outside: 0.1 };
        // The machine was slow in the second pair, to both; the third is an outlier.
        let level = level(1, &[pair(1.0, 1.02), pair(2.0, 2.04), pair(1.0, 5.0)]);
        assert!((number(&level, "/beyond/median") - 0.02).abs() < 1e-9, "{level}");
    }
}
