//! `nanochat data download`: public data sets, or files that a manifest lists.

use crate::commands::shared::stop_flag;
use crate::download::fetch::agent;
use crate::download::{Manifest, Patience, download, manifest};
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// `data download`.
#[derive(Args)]
pub struct DownloadArgs {
    /// A known data set: fineweb-edu or climbmix; tasks: the files of ARC, MMLU, GSM8K, HumanEval and SmolTalk
    set: Option<String>,
    /// A JSON file that lists files instead
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    manifest: Option<PathBuf>,
    /// Training shards; the last shard of the series comes besides, for validation (default: all)
    #[arg(long, short = 'n')]
    num_files: Option<usize>,
    /// Files at once
    #[arg(long, short = 'w', default_value_t = 4)]
    workers: usize,
    /// Name of the data set here (default: that of the series or manifest)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Attempts without progress before a file is given up
    #[arg(long, default_value_t = Patience::default().attempts)]
    attempts: u32,
}

/// Run it.
pub fn run(args: &DownloadArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    let patience = Patience { attempts: args.attempts.max(1), ..Patience::default() };
    let tasks = args.set.as_deref() == Some(manifest::TASKS);
    let manifest = match (&args.set, &args.manifest) {
        _ if tasks => Manifest::tasks(&agent(&patience), manifest::HUB)?,
        (Some(set), _) => Manifest::series(set, args.num_files)?,
        (None, Some(path)) => Manifest::read(path)?,
        (None, None) => {
            let known = manifest::known().join(", ");
            bail!(Usage(format!("say what to download: {known}, or --manifest FILE")));
        }
    };
    let layout = globals.layout()?;
    let dir = match (tasks, &args.name) {
        (true, None) => layout.base().join("task_data"),
        (_, name) => layout.data(name.as_deref().unwrap_or(&manifest.name)),
    };
    let (total, mut progress) = (manifest.files.len(), Progress::new(globals.quiet || globals.json, 1));
    let done = download(&manifest, &dir, args.workers, patience, &stop_flag(), &mut |files, bytes| {
        progress.status(&format!("{files} of {total} files, {:.1} MB received", bytes as f64 / 1e6));
    });
    progress.clear();
    let done = done?;
    if globals.json {
        output::line(
            &json!({"dir": dir, "fetched": done.fetched, "present": done.present, "bytes": done.bytes})
                .to_string(),
        )?;
    } else if !globals.quiet {
        output::line(&format!(
            "{} files fetched ({:.1} MB), {} were there, in {}",
            done.fetched,
            done.bytes as f64 / 1e6,
            done.present,
            dir.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
