//! Which numbers of steps take several kinds of runs the same time, decided before they begin.
//!
//! Steps of all are timed in turn, so that whatever the machine does besides hits all; the ratio of their medians decides. Runs
//! with a clock in them would end elsewhere each time; runs with these step counts can be repeated. The counts are kept, so that a
//! comparison that was interrupted goes on with those it began with.

use super::base::Ready;
use super::trial::Trial;
use crate::globals::{Globals, Usage};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;
use train::optim::Optimizer;
use train::stage::Stage;
use train::trainer;

/// Steps before the clock, of each.
const WARMUP: usize = 2;
/// Rounds, and steps of each in a round.
const ROUNDS: usize = 4;
const STEPS: usize = 3;

/// A kind of runs beside the first kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Tokens per second, as a share of the first's.
    pub ratio: f64,
    /// Steps of the first, as asked for.
    pub steps_of_first: usize,
    /// Steps that take the same time.
    pub steps: usize,
}

/// As it is kept: the paces, and of what.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The options of each kind.
    options: Vec<Vec<String>>,
    paces: Vec<Pace>,
}

/// What `path` says of all trials but the first, or what timing them says, which is written there.
pub fn known_or_measured(path: &Path, trials: &[&Trial], globals: &Globals) -> anyhow::Result<Vec<Pace>> {
    let options: Vec<Vec<String>> = trials.iter().map(|trial| trial.words.clone()).collect();
    if let Ok(text) = std::fs::read_to_string(path) {
        return known(&text, &options).with_context(|| path.display().to_string());
    }
    let kept = Kept { options, paces: measured(trials, globals)? };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    std::fs::write(path, serde_json::to_string(&kept)?).with_context(|| path.display().to_string())?;
    Ok(kept.paces)
}

/// The paces in a text, if they are those of kinds with these options.
fn known(text: &str, options: &[Vec<String>]) -> anyhow::Result<Vec<Pace>> {
    let kept: Kept = serde_json::from_str(text)?;
    if kept.options != options {
        bail!(Usage("a comparison of this name had other options: give --name or --fresh".into()));
    }
    Ok(kept.paces)
}

fn measured(trials: &[&Trial], globals: &Globals) -> anyhow::Result<Vec<Pace>> {
    let mut runs = Vec::with_capacity(trials.len());
    for trial in trials {
        let ready = trial.prepare(globals)?;
        let optimizer = Optimizer::new(ready.gpt.params(), ready.hyper)?;
        runs.push((ready, optimizer, Vec::new()));
    }
    for round in 0..=ROUNDS {
        for (ready, optimizer, seconds) in &mut runs {
            for _ in 0..if round == 0 { WARMUP } else { STEPS } {
                let begun = Instant::now();
                let (settings, micro) =
                    (ready.stage.settings(optimizer.steps as usize), ready.stage.micro_batches());
                let (stage, clip) = (&mut ready.stage, ready.run.grad_clip);
                trainer::step(&mut ready.gpt, optimizer, micro, || stage.next_batch(), settings, clip)?;
                if round > 0 {
                    seconds.push(begun.elapsed().as_secs_f64());
                }
            }
        }
    }
    let mut of_each = runs.into_iter().map(|(ready, _, seconds)| (ready, median(seconds)));
    let Some((first, first_seconds)) = of_each.next() else { return Ok(Vec::new()) };
    let pace = |(ready, seconds): (Ready, f64)| {
        pace((first.total_batch, first_seconds), (ready.total_batch, seconds), first.run.steps)
    };
    Ok(of_each.map(pace).collect())
}

/// From tokens and seconds of a step, of the first and of another.
fn pace(first: (usize, f64), other: (usize, f64), steps_of_first: usize) -> Pace {
    let rate = |(tokens, seconds): (usize, f64)| tokens as f64 / seconds;
    let steps = (steps_of_first as f64 * first.1 / other.1).round().max(1.0) as usize;
    Pace { ratio: rate(other) / rate(first), steps_of_first, steps }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_are_known_for_the_same_options_only() {
        let of = |word: &str| vec![vec![word.to_string()]];
        let paces = vec![Pace { ratio: 0.5, steps_of_first: 10, steps: 5 }];
        let text = serde_json::to_string(&Kept { options: of("--depth=2"), paces: paces.clone() }).unwrap();
        assert_eq!(known(&text, &of("--depth=2")).unwrap(), paces);
        assert!(known(&text, &of("--depth=4")).unwrap_err().to_string().contains("--fresh"));
    }

    #[test]
    fn a_slower_run_gets_fewer_steps_for_the_same_time() {
        let found = pace((4096, 0.4), (4096, 0.5), 500);
        assert_eq!((found.steps, found.ratio), (400, 0.8));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
