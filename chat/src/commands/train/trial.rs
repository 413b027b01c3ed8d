//! One run among many: `train base` with options as words, done once, its results read from the metrics it left.

use super::base::{self, BaseArgs, Ready};
use crate::globals::{Globals, Usage};
use crate::output;
use anyhow::Context;
use clap::Parser;
use std::time::Instant;
use train::report::collect;
use train::stage::report::duration;

/// Validations on the way, if nothing is said about them.
const POINTS: usize = 10;

/// A run to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The run's name.
    pub name: String,
    /// Options of `train base`.
    pub words: Vec<String>,
    /// The run's seed.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Validation bits per byte at the end.
    pub bpb: f64,
    /// The same on the way: (tokens, bits per byte).
    pub curve: Vec<[f64; 2]>,
    /// Optimizer steps.
    pub steps: usize,
    /// Tokens trained on.
    pub tokens: f64,
    /// Operations, by the formula.
    pub flops: f64,
    /// Parameters.
    pub params: u64,
    /// Parameters that decide how long to train: matrices and head.
    pub scaling_params: u64,
    /// Seconds spent in steps.
    pub seconds: f64,
}

/// The options of `train base` alone. The last of several values counts: what a kind of runs has of its own stands behind what
/// all share.
#[derive(Parser)]
#[command(name = "train base", no_binary_name = true, args_override_self = true)]
struct Line {
    #[command(flatten)]
    base: BaseArgs,
}

/// Options as words to options.
pub fn options(words: &[String]) -> anyhow::Result<BaseArgs> {
    let line = Line::try_parse_from(words);
    Ok(line.map_err(|e| Usage(format!("train base {}: {e}", words.join(" "))))?.base)
}

impl Trial {
    /// Its options, with its own name; it goes on where it was.
    fn args(&self) -> anyhow::Result<BaseArgs> {
        let mut args = options(&self.words)?;
        args.run.clone_from(&self.name);
        args.stage.resume = true;
        Ok(args)
    }
    /// Ready to be run.
    pub fn prepare(&self, globals: &Globals) -> anyhow::Result<Ready> {
        base::prepare(&self.args()?, &Globals { seed: self.seed, ..globals.clone() })
    }
    /// Run it, or what is left of it.
    fn run(&self, globals: &Globals) -> anyhow::Result<Outcome> {
        let globals = Globals { seed: self.seed, quiet: true, ..globals.clone() };
        let mut ready = base::prepare(&self.args()?, &globals)?;
        let given = |word: &String| word.starts_with("--eval-every") || word.starts_with("--eval_every");
        if !self.words.iter().any(given) {
            ready.run.eval_every = ready.run.steps.div_ceil(POINTS);
        }
        let (config, total_batch) = (ready.gpt.config().clone(), ready.total_batch as f64);
        let dir = ready.run.run.dir.clone();
        base::finish(ready, &globals)?;
        let run = collect::read(&dir, &self.name);
        let bpb = run.val_bpb.with_context(|| {
            format!("run {} has no validation: the data set needs held-out documents", self.name)
        })?;
        let points = run.curves.get("val_bpb").map_or(&[][..], Vec::as_slice);
        let tokens = run.steps as f64 * total_batch;
        Ok(Outcome {
            bpb,
            curve: points.iter().map(|(step, bpb)| [(step + 1.0) * total_batch, *bpb]).collect(),
            steps: run.steps,
            tokens,
            flops: tokens * config.flops_per_token() as f64,
            params: config.num_params(),
            scaling_params: config.scaling_params(),
            seconds: run.seconds,
        })
    }
}

/// Run all of them, one after the other, saying of each what it is and what came of it.
pub fn run_all(trials: &[Trial], globals: &Globals) -> anyhow::Result<Vec<Outcome>> {
    for trial in trials {
        trial.args()?; // mistakes in the last one should not wait for the first
    }
    let talk = !globals.quiet && !globals.json;
    let mut outcomes = Vec::with_capacity(trials.len());
    for (i, trial) in trials.iter().enumerate() {
        let begun = Instant::now();
        let outcome = trial.run(globals).with_context(|| {
            format!("run {}; the same command goes on from there, and --fresh starts over", trial.name)
        })?;
        if talk {
            output::line(&format!(
                "[{}/{}] {}: {:.4} bits per byte, {} steps, {}",
                i + 1,
                trials.len(),
                trial.name,
                outcome.bpb,
                outcome.steps,
                duration(begun.elapsed().as_secs_f64())
            ))?;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Delete what earlier trials of these names left.
pub fn forget(trials: &[Trial], globals: &Globals) -> anyhow::Result<()> {
    let layout = globals.layout()?;
    for trial in trials {
        let dir = layout.run(&trial.name).dir;
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
    }
    Ok(())
}

/// Options that many runs share: where they are kept, and for which seeds.
#[derive(clap::Args, Clone, Default)]
pub struct ManyArgs {
    /// Seeds: each is another model and, with the default loader, another order of documents
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 2, 3])]
    pub seeds: Vec<u64>,
    /// Draw the result into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<std::path::PathBuf>,
    /// Do all runs anew
    #[arg(long)]
    pub fresh: bool,
    /// Options of `train base` for all runs
    #[arg(last = true, value_name = "OPTIONS OF TRAIN BASE")]
    pub options: Vec<String>,
}

impl ManyArgs {
    /// At least one seed.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.seeds.is_empty() {
            anyhow::bail!(Usage("--seeds: give at least one".into()));
        }
        Ok(())
    }
    /// Write the picture, if one is wanted.
    pub fn draw(&self, svg: &str) -> anyhow::Result<()> {
        match &self.svg {
            Some(path) => std::fs::write(path, svg).with_context(|| path.display().to_string()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_parts_add_up() {
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        let line =
            "--num-iterations 5 --unscaled --without smear --num-iterations=7 --unscaled --without=mixing";
        let read = options(&words(line)).unwrap();
        assert_eq!((read.num_iterations, read.parts.without.len()), (Some(7), 2));
        let wrong = options(&words("--num-iteration 5")).err().unwrap().to_string();
        assert!(wrong.contains("train base --num-iteration 5"), "{wrong}");
    }
}
