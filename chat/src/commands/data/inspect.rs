//! `nanochat data inspect`: what a data set or a file holds: counts, lengths, samples and, with a tokenizer, tokens.

use crate::commands::shared;
use crate::globals::Globals;
use crate::output;
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use train::data::inspect::{Report, inspect};

/// `data inspect`.
#[derive(Args)]
pub struct InspectArgs {
    /// A parquet, jsonl or text file, a folder, or the name of a data set
    what: PathBuf,
    /// Count tokens, too, with this tokenizer
    #[arg(long, value_name = "NAME")]
    tokenizer: Option<String>,
    /// Samples to show
    #[arg(long, default_value_t = 3)]
    samples: usize,
}

/// Run it.
pub fn run(args: &InspectArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    let layout = globals.layout()?;
    let path = match args.what.exists() {
        true => args.what.clone(),
        false => layout.data(&args.what.to_string_lossy()),
    };
    if !path.exists() {
        bail!("neither a file nor a data set: {}", args.what.display());
    }
    let tokenizer =
        args.tokenizer.as_deref().map(|name| shared::load_tokenizer(&layout, name)).transpose()?;
    let report = inspect(&path, tokenizer.as_ref(), args.samples)?;
    match globals.json {
        true => output::line(&json!({"path": path, "report": report}).to_string())?,
        false => show(&path, &report)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(path: &Path, report: &Report) -> anyhow::Result<()> {
    output::line(&format!("{}", path.display()))?;
    for file in &report.files {
        let groups = file.row_groups.map_or(String::new(), |n| format!(", {n} row groups"));
        let columns = if file.columns.is_empty() {
            String::new()
        } else {
            format!(", columns {}", file.columns.join(" "))
        };
        output::line(&format!(
            "  {:<32} {:>9} rows, {:>11} characters{groups}{columns}",
            file.name, file.rows, file.chars
        ))?;
    }
    let l = &report.lengths;
    output::line(&format!(
        "{} rows, {} characters; lengths: least {}, middle {}, 90 % below {}, most {}",
        report.rows, report.chars, l.least, l.middle, l.ninety_percent, l.most
    ))?;
    for (bar, label) in l.bars() {
        output::line(&format!("  {label:>16} {bar}"))?;
    }
    if let Some(t) = &report.tokens {
        output::line(&format!(
            "{} tokens, {:.3} bytes per token, {} of {} ids occur",
            t.tokens, t.bytes_per_token, t.different, t.vocabulary
        ))?;
    }
    for sample in &report.samples {
        output::line(&format!("  | {}", sample.replace('\n', "\n  | ")))?;
    }
    Ok(())
}
