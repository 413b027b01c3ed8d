//! `nanochat parity`: compare with reference dumps.

use crate::globals::Globals;
use crate::output;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use train::parity::{self, Options, Row, Status};

/// `parity`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat parity goldens/model/g1\n  nanochat parity goldens --allow-skip"
)]
pub struct Args {
    /// Folders of reference data: one case, one kind or a whole tree
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Do not count cases as failures that need a file which is not here
    #[arg(long)]
    allow_skip: bool,
}

/// Compare and print a row per comparison; exit code 1 if anything differs.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let options = Options { allow_skip: args.allow_skip, device: globals.device(), ..Options::default() };
    let mut closed = None;
    let summary = parity::run(&args.paths, &options, &mut |row| {
        let shown = match (globals.json, globals.quiet && row.status == Status::Ok) {
            (true, _) => output::line(&as_json(row).to_string()),
            (false, true) => Ok(()),
            (false, false) => output::line(&row.to_string()),
        };
        closed = closed.take().or(shown.err());
    })?;
    if let Some(error) = closed {
        return Err(error.into());
    }
    match globals.json {
        true => output::line(
            &json!({"ok": summary.ok, "failed": summary.failed, "skipped": summary.skipped, "passed": summary.passed()})
                .to_string(),
        )?,
        false => output::line(&summary.to_string())?,
    }
    Ok(if summary.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn as_json(row: &Row) -> serde_json::Value {
    json!({
        "case": row.case, "name": row.name, "max_abs": row.max_abs, "rel_l2": row.rel_l2,
        "tolerance": row.tolerance.to_string(), "status": row.status.to_string(), "note": row.note,
    })
}
