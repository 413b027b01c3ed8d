//! The exam of the demo: a table of accuracies beside what guessing would score.

use crate::commands::shared::Loaded;
use crate::globals::Globals;
use crate::output::{self, Progress};
use anyhow::Context;
use serde_json::json;
use std::path::Path;
use train::exam;
use train::synth::Synth;

/// Ask all questions, print the table, save it as `exam.json` in the run's folder.
pub fn hold(loaded: &Loaded, world: &Synth, run: &Path, globals: &Globals) -> anyhow::Result<()> {
    let mut progress = Progress::new(globals.quiet, 1);
    let total = world.tests.len();
    let (scores, misses) = exam::take(&loaded.gpt, &loaded.tokenizer, &world.tests, &mut |done| {
        progress.status(&format!("exam: {done} of {total} questions"));
        true
    })?;
    progress.clear();
    let baselines = world.baselines();
    output::line("kind          questions    model   majority answer   random guess")?;
    output::line("-----------   ---------   ------   ---------------   ------------")?;
    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
    for score in &scores {
        let baseline = baselines.iter().find(|b| json!(b.kind).as_str() == Some(&score.kind));
        let (majority, random) = baseline.map_or((0.0, 0.0), |b| (b.majority, b.chance));
        output::line(&format!(
            "{:<11} {:>11} {:>8} {:>17} {:>14}",
            score.kind,
            score.asked,
            percent(score.accuracy()),
            percent(majority),
            percent(random)
        ))?;
    }
    for miss in misses.iter().take(4) {
        output::line(&format!(
            "  missed: {} -> {} (expected {})",
            miss.question,
            miss.reply.trim(),
            miss.expected
        ))?;
    }
    let rows: Vec<_> = scores
        .iter()
        .map(|s| json!({"kind": s.kind, "asked": s.asked, "right": s.right, "accuracy": s.accuracy()}))
        .collect();
    let path = run.join("exam.json");
    std::fs::write(&path, format!("{}\n", json!(rows))).with_context(|| path.display().to_string())?;
    if globals.json {
        output::line(&json!(rows).to_string())?;
    }
    Ok(())
}
