//! `nanochat tok`: train a tokenizer, encode and decode text, export the vocabulary.

use super::shared::load_tokenizer;
use crate::globals::Globals;
use crate::output::{self, Progress};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use tokenizer::{Tokenizer, TrainOptions};
use train::data::Dataset;

/// Tokenizer commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Learn a vocabulary from the documents of a data set
    #[command(after_help = "Example:\n  nanochat tok train --data synth --vocab-size 1024")]
    Train(TrainArgs),
    /// Text to token ids
    #[command(
        after_help = "Examples:\n  nanochat tok encode 'hello world'\n  cat file.txt | nanochat tok encode --pieces"
    )]
    Encode(EncodeArgs),
    /// Token ids to text
    #[command(after_help = "Example:\n  nanochat tok decode 104 105")]
    Decode(DecodeArgs),
    /// Write the vocabulary as tiktoken rank lines (base64, space, rank)
    #[command(after_help = "Example:\n  nanochat tok export --out ranks.tiktoken")]
    Export(ExportArgs),
}

/// Which tokenizer.
#[derive(Args)]
pub struct Which {
    /// Name of the tokenizer
    #[arg(long, default_value = "default", value_name = "NAME")]
    tokenizer: String,
}

/// `tok train`.
#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    which: Which,
    /// Name of the data set
    #[arg(long, default_value = "synth", value_name = "NAME")]
    data: String,
    /// Entries, the 9 special tokens included
    #[arg(long, default_value_t = 4096)]
    vocab_size: usize,
    /// Characters read from each document
    #[arg(long, default_value_t = 10_000)]
    doc_cap: usize,
    /// Characters read in all
    #[arg(long, default_value_t = 2_000_000_000)]
    max_chars: u64,
}

/// `tok encode`.
#[derive(Args)]
pub struct EncodeArgs {
    #[command(flatten)]
    which: Which,
    /// The text (default: standard input)
    text: Option<String>,
    /// Show the text of each token
    #[arg(long)]
    pieces: bool,
}

/// `tok decode`.
#[derive(Args)]
pub struct DecodeArgs {
    #[command(flatten)]
    which: Which,
    /// Token ids
    #[arg(required = true)]
    ids: Vec<u32>,
}

/// `tok export`.
#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// File to write (default: standard output)
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Run a tokenizer command.
pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<ExitCode> {
    let layout = globals.layout()?;
    match command {
        Command::Train(args) => {
            let documents = Dataset::open(&layout.data(&args.data))?.documents_up_to(args.max_chars)?;
            let dir = layout.tokenizer(&args.which.tokenizer);
            let options = TrainOptions {
                vocab_size: args.vocab_size,
                doc_cap: args.doc_cap,
                max_chars: args.max_chars,
            };
            let (tokenizer, report) = train_tokenizer(&documents, &options, globals.quiet)?;
            tokenizer.save(&dir)?;
            if let Some(warning) = report.warning() {
                output::error(&format!("warning: {warning}"));
            }
            if globals.json {
                output::line(&json!({"vocab_size": report.vocab_size, "documents": report.documents, "chars": report.chars, "dir": dir}).to_string())?;
            } else if !globals.quiet {
                output::line(&format!(
                    "tokenizer {:?}: {} entries from {} characters in {} documents, saved to {}",
                    args.which.tokenizer,
                    report.vocab_size,
                    report.chars,
                    report.documents,
                    dir.display()
                ))?;
            }
        }
        Command::Encode(args) => {
            let tokenizer = load_tokenizer(&layout, &args.which.tokenizer)?;
            let text = match &args.text {
                Some(text) => text.clone(),
                None => read_stdin()?,
            };
            print_ids(&tokenizer, &tokenizer.encode(&text), args.pieces, globals.json)?;
        }
        Command::Decode(args) => {
            let tokenizer = load_tokenizer(&layout, &args.which.tokenizer)?;
            output::line(&tokenizer.decode(&args.ids)?)?;
        }
        Command::Export(args) => {
            let tokenizer = load_tokenizer(&layout, &args.which.tokenizer)?;
            let mut bytes = Vec::new();
            tokenizer.export_tiktoken(&mut bytes)?;
            match &args.out {
                Some(path) => std::fs::write(path, bytes).with_context(|| path.display().to_string())?,
                None => output::text(&String::from_utf8_lossy(&bytes))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Train a tokenizer with progress on the terminal.
pub fn train_tokenizer(
    documents: &[String],
    options: &TrainOptions,
    quiet: bool,
) -> anyhow::Result<(Tokenizer, tokenizer::TrainReport)> {
    let mut progress = Progress::new(quiet, 1);
    let result = Tokenizer::train(documents, options, &mut |p| match p {
        tokenizer::Progress::Counting { documents, chars } => {
            progress.status(&format!("tokenizer: counting, {documents} documents, {chars} characters"));
        }
        tokenizer::Progress::Merging { done, wanted } => {
            progress.status(&format!("tokenizer: {done} of {wanted} merges"));
        }
        _ => {}
    });
    progress.clear();
    Ok(result?)
}

fn print_ids(tokenizer: &Tokenizer, ids: &[u32], pieces: bool, json: bool) -> anyhow::Result<()> {
    if json {
        output::line(&json!(ids).to_string())?;
    } else if pieces {
        for &id in ids {
            output::line(&format!("{id:>6}  {:?}", tokenizer.decode(&[id])?))?;
        }
    } else {
        output::line(&ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))?;
    }
    Ok(())
}

fn read_stdin() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("reading standard input")?;
    String::from_utf8(bytes).map_err(|e| {
        anyhow::anyhow!(
            "standard input is not UTF-8: byte {} begins no character",
            e.utf8_error().valid_up_to()
        )
    })
}
