//! `nanochat report`: a run and those it came from, as one HTML page and as Markdown.

use super::doctor;
use super::shared::find_run;
use crate::globals::{Globals, Usage};
use crate::output;
use anyhow::{Context, bail};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use train::report::{Machine, collect, page, tensorboard, text};

/// `report`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat report --run rl                      report.html and report.md in the run's folder\n  nanochat report --run rl --price 24 --out .    with what it cost at 24 an hour\n  nanochat report --run rl --tensorboard logs    then: tensorboard --logdir logs"
)]
pub struct Args {
    /// The last run of the line (default: the most recent)
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Price of the machine per hour, for the cost of the training
    #[arg(long, value_name = "DOLLARS")]
    price: Option<f64>,
    /// Folder for the pages (default: the run's)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the curves of every run of the line into this folder, too, for TensorBoard
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
}

/// Run the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    if args.price.is_some_and(|p| !(p.is_finite() && p >= 0.0)) {
        bail!(Usage("--price must be a number of at least 0".into()));
    }
    let layout = globals.layout()?;
    let name = find_run(&layout, args.run.as_deref())?;
    let line = collect(&layout, &name)?;
    let machine = Machine {
        cpu: doctor::in_short(),
        threads: kernels::par::threads(),
        simd: kernels::simd::level().name().into(),
        system: std::env::consts::OS.into(),
    };
    let dir = args.out.clone().unwrap_or_else(|| layout.run(&name).dir);
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let (html, markdown) =
        (page::html(&line, &machine, args.price), text::markdown(&line, &machine, args.price));
    let paths = [dir.join("report.html"), dir.join("report.md")];
    for (path, page) in paths.iter().zip([html, markdown]) {
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    for (run, dir) in line.runs.iter().zip(args.tensorboard.iter().cycle()) {
        let dir = dir.join(&run.name);
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let path = dir.join(tensorboard::FILE);
        std::fs::write(&path, tensorboard::events(run)).with_context(|| path.display().to_string())?;
    }
    match globals.json {
        true => output::line(&json!({"html": paths[0], "markdown": paths[1]}).to_string())?,
        false => output::line(&format!("{}\n{}", paths[0].display(), paths[1].display()))?,
    }
    Ok(ExitCode::SUCCESS)
}
