//! `nanochat data`: generate or import data sets here; `data/download.rs` and `data/inspect.rs` are the other two.

mod download;
mod inspect;

use crate::globals::Globals;
use crate::output;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use train::data::documents;
use train::synth::{self, SynthOptions, TwinSizes, write_core, write_twins};

/// Data commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Write the generated world: documents, conversations and an exam
    #[command(after_help = "Example:\n  nanochat data synth --seed 1")]
    Synth(SynthArgs),
    /// Make a data set of text, jsonl or parquet files
    #[command(
        after_help = "Examples:\n  nanochat data import novel.txt --name novel\n  nanochat data import corpus/ notes.jsonl --name mine\n  nanochat data import corpus/ --name mine --shards    parquet shards, for data larger than memory"
    )]
    Import(ImportArgs),
    /// Fetch a public data set, or the files of a manifest; the same command continues
    #[command(
        after_help = "Examples:\n  nanochat data download climbmix -n 8\n  nanochat data download tasks\n  nanochat data download --manifest files.json --name mine"
    )]
    Download(download::DownloadArgs),
    /// Count rows, lengths and tokens of a data set or a file
    #[command(
        after_help = "Examples:\n  nanochat data inspect synth\n  nanochat data inspect shard_00000.parquet --tokenizer default"
    )]
    Inspect(inspect::InspectArgs),
}

/// `data synth`.
#[derive(Args)]
pub struct SynthArgs {
    /// Name of the data set
    #[arg(long, default_value = "synth", value_name = "NAME")]
    name: String,
    /// Training documents
    #[arg(long, default_value_t = SynthOptions::default().documents)]
    documents: usize,
    /// Training conversations
    #[arg(long, default_value_t = SynthOptions::default().conversations)]
    conversations: usize,
    /// Exam questions of each kind, as far as there are so many
    #[arg(long, default_value_t = SynthOptions::default().test_per_kind)]
    test_per_kind: usize,
    /// Training rows of each twin of a public task
    #[arg(long, default_value_t = TwinSizes::default().train)]
    task_rows: usize,
}

/// `data import`.
#[derive(Args)]
pub struct ImportArgs {
    /// Files or folders: UTF-8 text, or .jsonl with one document per line
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Name of the data set
    #[arg(long, default_value = "imported", value_name = "NAME")]
    name: String,
    /// Write parquet shards, which training reads piece by piece
    #[arg(long)]
    shards: bool,
}

/// Run a data command.
pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<ExitCode> {
    let layout = globals.layout()?;
    match command {
        Command::Download(args) => return download::run(args, globals),
        Command::Inspect(args) => return inspect::run(args, globals),
        Command::Synth(args) => {
            let options = SynthOptions {
                seed: globals.seed,
                documents: args.documents,
                conversations: args.conversations,
                test_per_kind: args.test_per_kind,
                ..SynthOptions::default()
            };
            let world = synth::generate(&options);
            let dir = layout.data(&args.name);
            world.write_jsonl(&dir)?;
            let sizes = TwinSizes { train: args.task_rows, ..TwinSizes::default() };
            write_twins(options.seed, sizes, &dir.join("tasks"))?;
            write_core(options.seed, sizes.test, &dir.join("eval_bundle"))?;
            let counts = world.counts();
            if globals.json {
                output::line(&json!({"dir": dir, "counts": counts}).to_string())?;
            } else if !globals.quiet {
                output::line(&format!(
                    "world of seed {}: {} documents ({:.1} MB), {} conversations, {} exam questions, in {}",
                    options.seed,
                    counts.documents,
                    counts.document_chars as f64 / 1e6,
                    counts.conversations,
                    world.tests.len(),
                    dir.display()
                ))?;
            }
        }
        Command::Import(args) => {
            let dir = layout.data(&args.name);
            let made = documents::import_as(&args.paths, &dir, args.shards)?;
            if globals.json {
                output::line(
                    &json!({"dir": dir, "files": made.files, "documents": made.documents,
                        "validation_documents": made.validation_documents, "chars": made.chars})
                    .to_string(),
                )?;
            } else if !globals.quiet {
                output::line(&format!(
                    "data set {:?}: {} documents and {} for validation, {} characters from {} files, in {}",
                    args.name,
                    made.documents,
                    made.validation_documents,
                    made.chars,
                    made.files,
                    dir.display()
                ))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
