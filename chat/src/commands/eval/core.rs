//! `nanochat eval core`: the tasks of CORE and their mean.

use crate::commands::shared;
use crate::globals::Globals;
use crate::output::{self, Progress};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use train::core::{Bundle, GPT2, Scorer, centred, evaluate_task, mean, prompts::in_order};

/// `eval core`.
#[derive(Args)]
pub struct CoreArgs {
    /// Run to evaluate (default: the most recent)
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Folder of the bundle (default: that of the run's data set, or the shared one)
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Items of each task (0 = all); fewer also change the few-shot examples
    #[arg(long, alias = "max_per_task", default_value_t = 0)]
    max_per_task: usize,
    /// Positions in a forward pass (default: 512, on a GPU 16384)
    #[arg(long)]
    batch_tokens: Option<usize>,
    /// Each text by itself and whole, with logits at every position, as the original does it: slow, to compare with
    #[arg(long, conflicts_with = "batch_tokens")]
    one_by_one: bool,
    #[command(flatten)]
    weights: shared::Weights,
}

/// Score all tasks, print the table, keep it beside the run.
pub fn run(args: &CoreArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    let loaded =
        shared::load_run(globals, args.run.as_deref(), None)?.for_inference(args.weights.quantize())?;
    let layout = globals.layout()?;
    let data = loaded.state.options["data"].as_str().unwrap_or("synth");
    let bundle = Bundle::open(&args.bundle.clone().unwrap_or_else(|| layout.core_bundle(data)))?;
    let scorer = Scorer::new(&loaded.gpt, loaded.tokenizer.bos());
    let batch_tokens = args.batch_tokens.unwrap_or(scorer.batch_tokens).max(1);
    let scorer = Scorer { batch_tokens, one_by_one: args.one_by_one, ..scorer };
    let begun = Instant::now();
    let mut progress = Progress::new(globals.quiet || globals.json, 1);
    let mut rows = Vec::new();
    let mut csv = format!("{:<35}, {:<10}, {:<10}\n", "Task", "Accuracy", "Centered");
    if !globals.json {
        output::line(&format!(
            "{:<35} {:>7} {:>9} {:>9} {:>9}",
            "task", "items", "accuracy", "centred", "seconds"
        ))?;
    }
    for task in &bundle.tasks {
        let (items, since) = (in_order(task.rows()?, args.max_per_task), Instant::now());
        let mut report = |done: usize, of: usize| {
            progress.status(&format!("{}: {done} of {of} texts", task.label));
            true
        };
        let score =
            evaluate_task(&scorer, &loaded.tokenizer, &items, task.shots, &task.delimiter, &mut report)?;
        progress.clear();
        let took = since.elapsed().as_secs_f64();
        let (accuracy, centred) = (score.accuracy(), centred(score.accuracy(), task.baseline));
        if !globals.json {
            output::line(&format!(
                "{:<35} {:>7} {accuracy:>9.4} {centred:>9.4} {took:>9.2}",
                task.label,
                items.len()
            ))?;
            if score.not_scorable > 0 {
                output::line(&format!(
                    "  {} items count as wrong: the tokenizer joins their answer to the question",
                    score.not_scorable
                ))?;
            }
        }
        csv += &format!("{:<35}, {accuracy:<10.6}, {centred:<10.6}\n", task.label);
        rows.push(
            json!({"task": task.label, "items": items.len(), "accuracy": accuracy, "centred": centred}),
        );
    }
    let core = mean(&rows.iter().filter_map(|r| r["centred"].as_f64()).collect::<Vec<_>>());
    csv += &format!("{:<35}, {:<10}, {core:<10.6}\n", "CORE", "");
    let path = layout.run(&loaded.run).dir.join(format!("core_{:06}.csv", loaded.state.step));
    std::fs::write(&path, csv).with_context(|| path.display().to_string())?;
    let result = json!({"run": loaded.run, "step": loaded.state.step, "core": core, "tasks": rows});
    let path = path.with_extension("json");
    std::fs::write(&path, format!("{result}\n")).with_context(|| path.display().to_string())?;
    match globals.json {
        true => output::line(&result.to_string())?,
        false => output::line(&format!(
            "CORE metric: {core:.4} (the 1.6-billion GPT-2 has {GPT2:.4} on the published tasks), in {:.1} s",
            begun.elapsed().as_secs_f64()
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}
