//! `nanochat eval chat`: the tasks of ChatCORE and their mean.

use crate::commands::shared;
use crate::globals::Globals;
use crate::output::{self, Progress};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use train::chat_eval::suite::{self, Limits};
use train::chat_eval::{chat_core, generative};
use train::tasks::human_eval::RunProgram;

/// `eval chat`.
#[derive(Args)]
pub struct ChatArgs {
    /// Run to evaluate (default: the most recent)
    #[arg(long, short = 'i', value_name = "NAME")]
    run: Option<String>,
    /// Tasks, with | between (default: all that can be scored)
    #[arg(long, short = 'a', value_name = "NAMES")]
    task_name: Option<String>,
    /// Folder of task data (default: that of the run's data set, or the shared one)
    #[arg(long, value_name = "DIR")]
    tasks: Option<PathBuf>,
    /// Temperature (0: the likeliest token)
    #[arg(long, short = 't', default_value_t = 0.0)]
    temperature: f32,
    /// Most tokens of an answer
    #[arg(long, short = 'm', alias = "max_new_tokens", default_value_t = 512)]
    max_new_tokens: usize,
    /// Answers to a problem; one right one is enough
    #[arg(long, short = 'n', alias = "num_samples", default_value_t = 1)]
    num_samples: usize,
    /// Draw from so many of the likeliest tokens (0 = all)
    #[arg(long, short = 'k', alias = "top_k", default_value_t = 50)]
    top_k: usize,
    /// Prompts at once in tasks with letters
    #[arg(long, short = 'b', alias = "batch_size", default_value_t = 8)]
    batch_size: usize,
    /// Run what the model writes, for HumanEval: in a sandbox without network and files (isolated), or with limits of time
    /// and memory only (limits)
    #[cfg(unix)]
    #[arg(long, value_name = "WALLS", num_args = 0..=1, default_missing_value = "isolated")]
    run_code: Option<crate::sandbox::Walls>,
    /// Most problems of each task (0 = all)
    #[arg(long, short = 'x', alias = "max_problems", default_value_t = 0)]
    max_problems: usize,
    #[command(flatten)]
    weights: shared::Weights,
}

/// Score the tasks, print the table, keep it beside the run.
pub fn run(args: &ChatArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    let names = suite::names(args.task_name.as_deref())?;
    let loaded =
        shared::load_run(globals, args.run.as_deref(), None)?.for_inference(args.weights.quantize())?;
    let layout = globals.layout()?;
    let data = loaded.state.options["data"].as_str().unwrap_or("synth");
    let dir = args.tasks.clone().unwrap_or_else(|| layout.tasks(data));
    let limits = Limits {
        batch: args.batch_size,
        max_categorical: args.max_problems,
        max_generative: args.max_problems,
        generate: generative::Options {
            max_new_tokens: args.max_new_tokens,
            num_samples: args.num_samples.max(1),
            temperature: args.temperature,
            top_k: args.top_k,
            seed: globals.seed,
        },
    };
    let runner = runner(args)?;
    let mut progress = Progress::new(globals.quiet || globals.json, 1);
    let mut scores = Vec::new();
    if !globals.json {
        output::line(&format!(
            "{:<14} {:>8} {:>9} {:>9} {:>9}",
            "task", "problems", "accuracy", "guessing", "centred"
        ))?;
    }
    let mut left_out = Vec::new();
    for name in names {
        if name == "HumanEval" && args.task_name.is_none() && runner.is_none() {
            left_out.push("HumanEval (what a model writes is run with --run-code only)");
            continue;
        }
        let task = suite::open(&name, &dir, runner.clone())?;
        let mut report = |done: usize, of: usize| {
            progress.status(&format!("{name}: {done} of {of} problems"));
            true
        };
        let score = suite::evaluate(&loaded.gpt, &loaded.tokenizer, task.as_ref(), &limits, &mut report)?;
        progress.clear();
        if !globals.json {
            output::line(&format!(
                "{name:<14} {:>8} {:>9.4} {:>9.4} {:>9.4}",
                score.asked,
                score.accuracy(),
                score.baseline,
                score.centred()
            ))?;
        }
        scores.push(score);
    }
    let whole = args.task_name.is_none() && scores.len() + left_out.len() == suite::ALL.len();
    let core = whole.then(|| chat_core(&scores));
    let rows: Vec<_> = scores
        .iter()
        .map(|s| json!({"task": s.task, "asked": s.asked, "right": s.right, "accuracy": s.accuracy(), "centred": s.centred()}))
        .collect();
    let result = json!({"run": loaded.run, "step": loaded.state.step, "chat_core": core, "tasks": rows, "left_out": left_out});
    if whole {
        let path = layout.run(&loaded.run).dir.join(format!("chat_{:06}.json", loaded.state.step));
        std::fs::write(&path, format!("{result}\n")).with_context(|| path.display().to_string())?;
    }
    if globals.json {
        output::line(&result.to_string())?;
    } else if let Some(core) = core {
        let without =
            if left_out.is_empty() { String::new() } else { format!(", without {}", left_out.join(", ")) };
        output::line(&format!("ChatCORE metric: {core:.4}{without}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Who runs programs, if anybody does.
fn runner(args: &ChatArgs) -> anyhow::Result<Option<Arc<dyn RunProgram>>> {
    #[cfg(unix)]
    if let Some(walls) = args.run_code {
        use crate::sandbox::{PATIENCE, Sandbox, Walls};
        if walls == Walls::Limits {
            output::error(
                "what the model writes can read your files and use the network (--run-code limits)",
            );
        }
        return Ok(Some(Arc::new(Sandbox::new(walls, PATIENCE)?)));
    }
    let _ = args;
    Ok(None)
}
