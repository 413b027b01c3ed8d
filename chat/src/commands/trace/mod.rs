//! `nanochat trace`: training steps of a fresh model, with every intermediate value named, measured and explained.
//!
//! The result is one Markdown document. The model tells what it computes through `model::Observer` ([`forward`]); what
//! lies beyond the blocks is in [`head`]. Nothing is computed for the document that training would not compute, except
//! the logits, which training never keeps.

mod clock;
mod compare;
mod document;
mod forward;
mod head;
mod numbers;
mod scaling;
mod tokens;

use super::shared::load_tokenizer;
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use anyhow::{Context, bail};
use autograd::Tape;
use document::Document;
use forward::Narrator;
use model::observe::Blind;
use model::{Gpt, GptConfig, RopeTable};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokenizer::Tokenizer;
use tokens::Tokens;
use train::data::Batch;
use train::optim::{Hyper, Optimizer, StepSettings, clip_grad_norm};
use train::schedule::classic_muon_momentum;

/// Vocabulary of the original, used where no tokenizer says otherwise.
const VOCAB: usize = 65_536;

/// `trace`.
#[derive(clap::Args)]
#[command(
    after_help = "The model is fresh (--seed), activations are f32 (--dtype) and the rotary tables are rounded to bf16, as in \
the original.\n\nExamples:\n  nanochat trace --depth 4 --out trace.md           the document\n  \
nanochat trace --json items.json --out trace.md   and its numbers, as a list of items\n  \
nanochat trace --json                             the numbers alone, on standard output\n  \
nanochat trace --text novel.txt --tokenizer default --sequence-len 256\n  \
nanochat trace --optimizer-step --every-iteration    watch the zeros disappear\n  \
nanochat trace --compare a.json b.json            do two dumps agree?"
)]
pub struct Args {
    /// With --json: write the items to this file, beside the document
    #[arg(value_name = "FILE")]
    json_file: Option<PathBuf>,
    /// Blocks; width and heads follow from it
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// Number of token ids (default: the tokenizer's, or 65536 without one)
    #[arg(long, alias = "vocab_size", value_name = "V")]
    vocab_size: Option<usize>,
    /// Tokens of context
    #[arg(long, aliases = ["sequence_len", "max-seq-len"], value_name = "T", default_value_t = 1024)]
    sequence_len: usize,
    /// Forward and backward passes; details are printed for the first
    #[arg(long, value_name = "N", default_value_t = 3)]
    iterations: usize,
    /// Trace this text instead of drawn token ids
    #[arg(long, value_name = "FILE", requires = "tokenizer")]
    text: Option<PathBuf>,
    /// Tokenizer for --text: its name, or its folder
    #[arg(long, value_name = "NAME|DIR", requires = "text")]
    tokenizer: Option<String>,
    /// Print the details of every iteration
    #[arg(long)]
    every_iteration: bool,
    /// Update the weights after each iteration; without this, all iterations see the initial weights
    #[arg(long)]
    optimizer_step: bool,
    /// Keep the rotary tables in f32 (here --rope-table has no say)
    #[arg(long)]
    f32_tables: bool,
    /// Write the document to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Compare two dumps written with --json; exit code 1 if they differ
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["text", "out", "json_file"])]
    compare: Option<Vec<PathBuf>>,
    /// For --compare: allowed difference, relative for numbers above 1 and absolute below
    #[arg(long, value_name = "X", default_value_t = 1e-5)]
    tolerance: f64,
}

/// Write the document, or compare two dumps.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    if let Some([a, b]) = args.compare.as_deref() {
        return compare(a, b, args.tolerance);
    }
    if let (Some(file), false) = (&args.json_file, globals.json) {
        let file = file.display();
        bail!(Usage(format!("{file}: use `--json {file}` for the items, `--out {file}` for the document")));
    }
    if args.iterations == 0 {
        bail!(Usage("--iterations 0: give at least 1".into()));
    }
    let (config, tokens) = input(args, globals)?;
    let mut doc = Document::default();
    trace(&mut doc, config, &tokens, args, globals)?;
    doc.finish()?;
    let json = || Ok::<_, serde_json::Error>(serde_json::to_string_pretty(&doc.items)? + "\n");
    if let Some(path) = &args.json_file {
        write(path, &json()?)?;
    }
    match (&args.out, globals.json && args.json_file.is_none()) {
        (Some(path), _) => write(path, &doc.text)?,
        (None, false) => output::text(&doc.text)?,
        (None, true) => {}
    }
    if globals.json && args.json_file.is_none() {
        output::text(&json()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The model's shape, and T + 1 token ids.
fn input(args: &Args, globals: &Globals) -> anyhow::Result<(GptConfig, Tokens)> {
    let tokenizer = args.tokenizer.as_deref().map(|name| match Path::new(name).join("meta.json").is_file() {
        true => Ok(Tokenizer::load(name)?),
        false => load_tokenizer(&globals.layout()?, name),
    });
    let tokenizer = tokenizer.transpose()?;
    let vocab = args.vocab_size.or(tokenizer.as_ref().map(Tokenizer::vocab_size)).unwrap_or(VOCAB);
    let config = GptConfig::classic_from_depth(args.depth, vocab, args.sequence_len)?;
    let count = args.sequence_len + 1;
    let tokens = match (&args.text, &tokenizer) {
        (Some(text), Some(tokenizer)) => tokens::of_text(text, tokenizer, vocab, count)?,
        _ => tokens::drawn(globals.seed, vocab, count),
    };
    Ok((config, tokens))
}

/// The whole document.
fn trace(
    doc: &mut Document,
    config: GptConfig,
    tokens: &Tokens,
    args: &Args,
    globals: &Globals,
) -> anyhow::Result<()> {
    let mut options = globals.gpt_options();
    options.rope_table = if args.f32_tables { RopeTable::F32 } else { RopeTable::Bf16 };
    let mut progress = Progress::new(globals.quiet, 1);
    progress.status("drawing the initial weights …");
    header(doc, &config, args.iterations, globals);
    doc.rule();
    scaling::section(doc, &config)?;
    doc.rule();
    let (t, steps) = (config.sequence_len, args.iterations);
    let mut gpt = Gpt::new(config, globals.seed, options)?;
    let batch = Batch::new(&tokens.ids[..t], &tokens.ids[1..], 1, t, options.device)?;
    let hyper = Hyper::classic(gpt.config().n_embd);
    let mut optimizer = args.optimizer_step.then(|| Optimizer::new(gpt.params(), hyper)).transpose()?;
    doc.heading(2, "STARTING TRAINING WITH INSTRUMENTATION");
    for i in 1..=steps {
        progress.status(&format!("iteration {i} of {steps} …"));
        doc.iteration = i;
        doc.banner(&format!("ITERATION {i}/{steps}"));
        let origin = (i == 1 || args.every_iteration).then_some(tokens.origin.as_str());
        let loss = iteration(doc, &gpt, &batch, origin)?;
        match &mut optimizer {
            Some(optimizer) => update(&mut gpt, optimizer)?,
            None => gpt.clear_grads(),
        }
        doc.text(&format!("**Iteration {i} complete.** Loss: {}", numbers::six(loss)));
        doc.rule();
    }
    progress.clear();
    takeaways(doc);
    Ok(())
}

/// Title, time, configuration.
fn header(doc: &mut Document, config: &GptConfig, iterations: usize, globals: &Globals) {
    doc.text("# nanochat: training steps, traced");
    doc.text(&format!("Generated: {} (UTC)", clock::now()));
    doc.text("**Configuration**");
    let GptConfig { n_layer, n_embd, n_head, sequence_len, vocab_size, .. } = config;
    doc.fact("Model", &format!("depth={n_layer}, d_model={n_embd}, n_heads={n_head}"));
    doc.fact("Vocabulary, sequence length", &format!("{vocab_size}, {sequence_len}"));
    let device = globals.device();
    doc.fact("Device", &format!("{device} ({device})"));
    doc.fact("Vector instructions", kernels::simd::level().name());
    doc.fact("Seed", &globals.seed.to_string());
    doc.fact("Iterations", &iterations.to_string());
    doc.end_facts();
}

/// One forward and backward pass; told in full where the `origin` of the tokens is given. Returns the loss.
fn iteration(doc: &mut Document, gpt: &Gpt, batch: &Batch, origin: Option<&str>) -> anyhow::Result<f64> {
    let tape = Tape::new();
    let x = match origin {
        Some(origin) => {
            head::input(doc, batch, origin)?;
            gpt.hidden(&batch.ids, Some(&tape), &mut Narrator::new(doc, gpt))?
        }
        None => gpt.hidden(&batch.ids, Some(&tape), &mut Blind)?,
    };
    if origin.is_some() {
        head::logits(doc, gpt, x.value(), &batch.targets)?;
    }
    let weight = gpt.params().last().context("a model has a head")?.var(Some(&tape))?;
    let [loss, _] = x.lm_head_loss(&weight, &batch.targets, &batch.weight, gpt.config().softcap)?;
    if origin.is_some() {
        head::loss(doc, loss.value(), gpt.config().vocab_size, batch.valid)?;
    }
    loss.backward(1.0)?;
    if origin.is_some() {
        head::gradients(doc, gpt);
    }
    Ok(loss.value().item()?)
}

/// One update of the weights, as in training.
fn update(gpt: &mut Gpt, optimizer: &mut Optimizer) -> anyhow::Result<()> {
    clip_grad_norm(gpt.params(), 1.0)?;
    let muon_momentum = classic_muon_momentum(u64::from(optimizer.steps));
    Ok(optimizer
        .step(gpt.params_mut(), StepSettings { lr_multiplier: 1.0, muon_momentum, muon_weight_decay: 0.0 })?)
}

/// What to remember.
fn takeaways(doc: &mut Document) {
    doc.heading(2, "TRAINING COMPLETE");
    doc.text("What to take away:");
    doc.text(
        "1. The residual stream keeps its shape from the embedding to the head; blocks only add to it.\n\
         2. Output projections start at zero, so a fresh model passes the embedding through every block unchanged.\n\
         3. Positions are rotations of queries and keys: lengths stay, and only distances matter.\n\
         4. Norms without weights, also on queries and keys, keep every value near unit size at any depth.\n\
         5. ReLU² switches off about half of the hidden units and stretches the rest.\n\
         6. A zero head makes all tokens equally likely: the first loss is ln V, and at first only the head learns.",
    );
}

fn compare(a: &Path, b: &Path, tolerance: f64) -> anyhow::Result<ExitCode> {
    let rows = compare::compare(&compare::read(a)?, &compare::read(b)?, tolerance);
    let differing: Vec<_> = rows.iter().filter_map(|r| Some((&r.item, r.difference.as_ref()?))).collect();
    for (item, difference) in &differing {
        output::line(&format!("DIFFERS  {item}: {difference}"))?;
    }
    output::line(&format!(
        "{} of {} items agree within {tolerance:e}",
        rows.len() - differing.len(),
        rows.len()
    ))?;
    Ok(ExitCode::from(u8::from(!differing.is_empty())))
}

#[cfg(test)]
mod tests;
