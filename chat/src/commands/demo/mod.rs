//! `nanochat demo`: the whole path in one command. Data, tokenizer, pretraining, fine-tuning, exam, chat or page.
//!
//! Every stage is saved; the same command again continues where it was interrupted, or goes straight to the end.

mod exam;
mod recipe;
mod stages;

use super::chat::{self, Screen, Session};
use super::serve;
use super::shared::{self, Generation, Loaded};
use crate::globals::{Globals, Precision};
use crate::output;
use anyhow::Context;
use recipe::Recipe;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use train::data::{Dataset, documents};
use train::engine::Sampling;
use train::run::Layout;
use train::stage::report::duration;
use train::synth::{self, SynthOptions};

/// `demo`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat demo                        five to ten minutes on two cores, then a chat prompt\n  nanochat demo --dtype f32            the same in f32, also where bf16 is faster\n  nanochat demo < /dev/null            no prompt: five sample questions\n  nanochat demo --generation classic   the models of autumn 2025, in the same time\n  nanochat demo --text novel.txt       learn your own text, then continue what you type\n  nanochat demo --fresh                forget what an earlier demo learnt"
)]
pub struct Args {
    /// Learn these files or folders of UTF-8 text instead of the generated world
    #[arg(long, value_name = "PATH", num_args = 1..)]
    text: Vec<PathBuf>,
    /// Architecture and optimizer: each with numbers of its own, for the same time
    #[arg(long, value_enum, default_value_t = recipe::DEFAULT)]
    generation: Generation,
    /// Start over, deleting what an earlier demo of this seed made
    #[arg(long)]
    fresh: bool,
}

/// Run the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let layout = globals.layout()?;
    let begun = Instant::now();
    let generation = match args.generation {
        Generation::Classic => "",
        Generation::Current => "current-",
    };
    let name = if args.text.is_empty() {
        format!("demo-{generation}{}", globals.seed)
    } else {
        format!("demo-text-{generation}{:08x}-{}", text_key(&args.text)?, globals.seed)
    };
    if args.fresh {
        forget(&layout, &name)?;
    }
    let globals = &globals.with_fast_dtype();
    if globals.precision() == Precision::Bf16 {
        output::line(
            "bf16 activations, which this machine multiplies itself (--dtype f32: slower, other bits)",
        )?;
    }
    if args.text.is_empty() {
        world(&recipe::WORLD.of(args.generation), &layout, &name, globals, begun)
    } else {
        own_text(&args.text, &recipe::TEXT.of(args.generation), &layout, &name, globals, begun)
    }
}

fn world(
    recipe: &Recipe,
    layout: &Layout,
    name: &str,
    globals: &Globals,
    begun: Instant,
) -> anyhow::Result<ExitCode> {
    heading("1  A small world, generated")?;
    let data = stages::once(&layout.data(name), "manifest.json", || {
        let options = SynthOptions { seed: globals.seed, ..SynthOptions::default() };
        synth::generate(&options).write_jsonl(&layout.data(name)).map_err(Into::into)
    })?;
    let world = synth::Synth::read_jsonl(&data)?;
    let counts = world.counts();
    output::line(&format!(
        "{} documents ({:.1} MB), {} conversations, {} exam questions whose answers are never asked for in training",
        counts.documents,
        counts.document_chars as f64 / 1e6,
        counts.conversations,
        world.tests.len()
    ))?;
    for document in world.documents.iter().take(2) {
        output::line(&format!("  | {}", document.replace('\n', "\n  | ")))?;
    }
    let data = Dataset::open(&data)?;
    let tokenizer = stages::tokenizer(layout, name, &data, recipe, globals)?;
    stages::pretrain(layout, name, &data, &tokenizer, recipe, globals, &world_prompts())?;
    stages::finetune(layout, name, &data, &tokenizer, recipe, globals)?;

    heading("5  The exam: questions never seen in training")?;
    let run = format!("{name}-sft");
    let loaded = shared::load_run(globals, Some(&run), None)?.for_inference(None)?;
    exam::hold(&loaded, &world, &layout.run(&run).dir, globals)?;
    output::line(&format!("\nfrom nothing to here in {}", duration(begun.elapsed().as_secs_f64())))?;
    talk(&loaded, &world.sample_questions(), globals)?;
    Ok(ExitCode::SUCCESS)
}

fn world_prompts() -> Vec<String> {
    ["Once upon a time", "The capital of", "I am"].map(String::from).to_vec()
}

fn own_text(
    paths: &[PathBuf],
    recipe: &Recipe,
    layout: &Layout,
    name: &str,
    globals: &Globals,
    begun: Instant,
) -> anyhow::Result<ExitCode> {
    heading("1  Your text")?;
    let dir = layout.data(name);
    let dir = stages::once(&dir, documents::DOCUMENTS, || {
        let made = documents::import(paths, &dir)?;
        output::line(&format!("{} characters from {} files", made.chars, made.files))?;
        Ok(())
    })?;
    let data = Dataset::open(&dir)?;
    let (documents, held_out) = (data.documents()?, data.validation_documents()?);
    output::line(&format!("{} documents to learn, {} held out", documents.len(), held_out.len()))?;
    let tokenizer = stages::tokenizer(layout, name, &data, recipe, globals)?;
    let prompts: Vec<String> =
        held_out.iter().take(5).map(|d| opening(d)).filter(|p| !p.is_empty()).collect();
    stages::pretrain(layout, name, &data, &tokenizer, recipe, globals, &prompts)?;
    output::line(&format!("\nfrom nothing to here in {}", duration(begun.elapsed().as_secs_f64())))?;
    let loaded = shared::load_run(globals, Some(&format!("{name}-base")), None)?;
    stages::continue_text(&loaded, &prompts, globals)?;
    Ok(ExitCode::SUCCESS)
}

/// The first words of a held-out document.
fn opening(document: &str) -> String {
    document.split_whitespace().take(8).collect::<Vec<_>>().join(" ")
}

/// Chat on a terminal or a pipe; with standard input closed, five sample questions.
fn talk(loaded: &Loaded, samples: &[String; 5], globals: &Globals) -> anyhow::Result<()> {
    heading("6  Chat, here or in the browser")?;
    let sampling = Sampling { seed: globals.seed, ..Sampling::greedy() };
    let run = &loaded.run;
    output::line(&format!(
        "later: `nanochat chat --run {run}`; in the browser: `nanochat serve --run {run}`"
    ))?;
    if std::io::stdin().is_terminal() {
        output::line(&format!("ask things like:\n  {}", samples.join("\n  ")))?;
        output::text("\nEnter begins the chat here; `page` and Enter opens it to your browser: ")?;
        let mut choice = String::new();
        std::io::stdin().read_line(&mut choice).context("reading the choice")?;
        if choice.trim().eq_ignore_ascii_case("page") {
            return serve::page(run, globals);
        }
        return chat::talk(&mut Session::new(loaded, sampling, 128)?, globals);
    }
    let mut piped = String::new();
    std::io::Read::read_to_string(&mut std::io::stdin().lock(), &mut piped)
        .context("reading standard input")?;
    let questions: Vec<&str> = match piped.trim() {
        "" => samples.iter().map(String::as_str).collect(),
        _ => piped.lines().filter(|l| !l.trim().is_empty()).collect(),
    };
    for question in questions {
        output::text(&format!("you: {question}\nnanochat: "))?;
        Session::new(loaded, sampling, 128)?.ask(question, &mut Screen::new())?;
    }
    Ok(())
}

pub(super) fn heading(text: &str) -> std::io::Result<()> {
    output::line(&format!("\n== {text} {}", "=".repeat(70usize.saturating_sub(text.len()))))
}

/// A number for a set of text files: their names, sizes and times of change.
fn text_key(paths: &[PathBuf]) -> anyhow::Result<u32> {
    let mut hash: u32 = 0x811c_9dc5; // FNV-1a
    for path in paths {
        let meta = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        let changed = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let text = format!("{}|{}|{}", path.display(), meta.len(), changed.map_or(0, |d| d.as_nanos()));
        text.bytes().for_each(|b| hash = (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    }
    Ok(hash)
}

/// Delete what a demo made.
fn forget(layout: &Layout, name: &str) -> anyhow::Result<()> {
    let runs = [layout.run(&format!("{name}-base")).dir, layout.run(&format!("{name}-sft")).dir];
    for dir in runs.into_iter().chain([layout.data(name), layout.tokenizer(name)]) {
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
    }
    Ok(())
}
