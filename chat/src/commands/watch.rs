//! `nanochat watch`: a run as it goes, in the terminal, from nothing but its metrics file. So it works on finished runs, too.

use super::shared::find_run;
use crate::globals::Globals;
use crate::output;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use train::report::Run;
use train::report::answers::{Answered, LOG, first_and_last};
use train::report::collect::read;
use train::stage::report::duration;

/// `watch`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat watch base\n  nanochat watch rl --once    one picture, for a log\n  nanochat watch rl --answers    what it answered in its first and last step, and what was rewarded"
)]
pub struct Args {
    /// The run (default: the most recent)
    run: Option<String>,
    /// Show it once and end
    #[arg(long)]
    once: bool,
    /// Show the answers of the first and the last step of a run of `train rl`, each different one once, and end
    #[arg(long)]
    answers: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    every: f64,
}

/// Columns of a curve.
const WIDTH: usize = 60;
/// What is shown, where the run has it.
const SHOWN: &[&str] = &[
    "smooth_loss",
    "val_bpb",
    "reward",
    "pass@1",
    "kl",
    "clipped",
    "lr_multiplier",
    "grad_norm",
    "tokens_per_second",
];

/// Run the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let layout = globals.layout()?;
    let name = find_run(&layout, args.run.as_deref())?;
    let dir = layout.run(&name).dir;
    if !dir.join("metrics.jsonl").is_file() {
        anyhow::bail!("{} has no metrics; known runs: {}", dir.display(), layout.runs().join(", "));
    }
    if args.answers {
        let answered = first_and_last(&dir);
        if answered.is_empty() {
            anyhow::bail!("{} has no answers: {LOG} is written by `train rl`", dir.display());
        }
        answered.iter().flat_map(Answered::lines).try_for_each(|line| output::line(&line))?;
        return Ok(ExitCode::SUCCESS);
    }
    let live = std::io::stdout().is_terminal() && !args.once;
    loop {
        let picture = picture(&read(&dir, &name));
        if !live {
            output::line(&picture)?;
            return Ok(ExitCode::SUCCESS);
        }
        output::text(&format!("\x1b[2J\x1b[H{picture}\n"))?;
        std::thread::sleep(Duration::from_secs_f64(args.every.clamp(0.1, 3600.0)));
    }
}

/// One screen.
fn picture(run: &Run) -> String {
    let mut out = format!("{} ({}), step {}, {}", run.name, run.stage, run.steps, duration(run.seconds));
    for name in SHOWN {
        let Some(points) = run.curves.get(*name).filter(|p| !p.is_empty()) else { continue };
        let values: Vec<f64> = points.iter().map(|p| p.1).collect();
        let last = values[values.len() - 1];
        out += &format!("\n{name:<18} {} {last:.4}", bars(&values));
    }
    for (prompt, text) in run.samples.iter().take(3) {
        out += &format!("\n| {prompt}{}", text.replace('\n', " "));
    }
    out
}

/// A row of block characters, the highest for the largest value.
fn bars(values: &[f64]) -> String {
    let group = values.len().div_ceil(WIDTH);
    let means: Vec<f64> = values.chunks(group).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let blocks = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let block = |v: &f64| {
        let part = if high > low { (v - low) / (high - low) } else { 0.0 };
        blocks[((part * 7.0).round() as usize).min(7)]
    };
    means.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_curve_falls() {
        assert_eq!(bars(&[3.0, 2.0, 1.0]), "█▅▁");
        assert_eq!(bars(&[1.0, 1.0]), "▁▁");
        assert_eq!(bars(&vec![1.0; 1000]).chars().count(), 59);
    }

    #[test]
    fn only_what_a_run_has_is_shown() {
        let mut run = Run { name: "r".into(), stage: "rl".into(), ..Run::default() };
        run.curves.insert("reward".into(), vec![(0.0, 0.25), (1.0, 0.5)]);
        let shown = picture(&run);
        assert!(
            shown.contains("reward") && shown.contains("0.5000") && !shown.contains("val_bpb"),
            "{shown}"
        );
    }
}
