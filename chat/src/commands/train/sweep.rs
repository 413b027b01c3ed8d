//! `nanochat train sweep`: a grid of pretraining runs, a table, a picture of bits per byte against compute, and the fitted optimum.
//!
//! Any number among the options of `train base` can be varied. Depths at one ratio of tokens to parameters are a miniseries;
//! depths at several budgets of compute are a scaling law; rates at one size are tuning. The runs are named after their values, so
//! that a grid that was interrupted, or is made wider, does only what is missing.

use super::sweep_report::{Row, picture, report, table};
use super::trial::{self, ManyArgs, Trial};
use crate::globals::{Globals, Usage};
use crate::output;
use anyhow::{Context, bail};
use std::str::FromStr;

/// `train sweep`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat train sweep --vary depth=2,4,6 --seeds 1 -- --generation current --target-param-data-ratio 4\n  \
nanochat train sweep --vary depth=2,4,6 --vary target-flops=1e12,4e12,16e12 --svg law.svg -- --generation current\n  \
nanochat train sweep --vary matrix-lr=0.005,0.01,0.02,0.04 -- --num-iterations 300"
)]
pub struct SweepArgs {
    /// An option of `train base` and its values; may be repeated, for all combinations
    #[arg(long, required = true, value_name = "OPTION=V,...")]
    vary: Vec<Varied>,
    /// Beginning of the runs' names
    #[arg(long, default_value = "sweep", value_name = "NAME")]
    name: String,
    #[command(flatten)]
    many: ManyArgs,
}

/// An option and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Varied {
    /// Without the dashes.
    pub option: String,
    /// As they are written.
    pub values: Vec<String>,
}

impl FromStr for Varied {
    type Err = String;

    fn from_str(text: &str) -> Result<Varied, String> {
        let (option, values) = text.split_once('=').ok_or("expected OPTION=V1,V2,…, as depth=2,4,6")?;
        let option = option.trim_start_matches("--").replace('_', "-");
        let values: Vec<String> = values.split(',').map(|v| v.trim().to_string()).collect();
        for value in &values {
            if !value.parse::<f64>().is_ok_and(|v| v.is_finite() && v > 0.0) {
                return Err(format!("{value:?} is no positive number"));
            }
        }
        let twice = values.iter().enumerate().any(|(i, v)| values[..i].contains(v));
        if twice {
            return Err("a value is given twice".into());
        }
        Ok(Varied { option, values })
    }
}

/// Run the command.
pub fn run(args: &SweepArgs, globals: &Globals) -> anyhow::Result<()> {
    args.many.check()?;
    for (i, varied) in args.vary.iter().enumerate() {
        if args.vary[..i].iter().any(|other| other.option == varied.option) {
            bail!(Usage(format!("--vary {} is given twice: put all its values into one", varied.option)));
        }
    }
    let grid = combinations(&args.vary);
    let trials: Vec<Trial> = grid.iter().flat_map(|values| trials(args, values)).collect();
    if args.many.fresh {
        trial::forget(&trials, globals)?;
    }
    if !globals.quiet && !globals.json {
        output::line(&format!("{} combinations, {} runs", grid.len(), trials.len()))?;
    }
    let outcomes = trial::run_all(&trials, globals)?;
    let rows = grid.iter().zip(outcomes.chunks(args.many.seeds.len()));
    let rows = rows.map(|(values, outcomes)| {
        let numbers = values.iter().map(|v| v.parse()).collect::<Result<_, _>>();
        Ok(Row::new(numbers.context("a varied value")?, outcomes))
    });
    let rows = rows.collect::<anyhow::Result<Vec<Row>>>()?;
    let names: Vec<&str> = args.vary.iter().map(|v| v.option.as_str()).collect();
    args.many.draw(&picture(&names, &rows))?;
    match globals.json {
        true => output::line(&report(&names, &rows).to_string())?,
        false => output::text(&table(&names, &rows))?,
    }
    Ok(())
}

/// All combinations of values; the last option's change fastest.
fn combinations(vary: &[Varied]) -> Vec<Vec<String>> {
    vary.iter().fold(vec![Vec::new()], |grid, varied| {
        let longer = |values: Vec<String>| {
            varied.values.iter().map(move |v| [values.clone(), vec![v.clone()]].concat())
        };
        grid.into_iter().flat_map(longer).collect()
    })
}

/// The runs of one combination, one for each seed.
fn trials(args: &SweepArgs, values: &[String]) -> Vec<Trial> {
    let options = || args.vary.iter().zip(values);
    let own = options().flat_map(|(varied, value)| [format!("--{}", varied.option), value.clone()]);
    let words: Vec<String> = args.many.options.iter().cloned().chain(own).collect();
    let name: String = options().map(|(varied, value)| format!("-{}{value}", varied.option)).collect();
    let trial = |&seed| Trial { name: format!("{}{name}-{seed}", args.name), words: words.clone(), seed };
    args.many.seeds.iter().map(trial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_combinations_are_run_and_named_after_their_values() {
        let varied = |text: &str| text.parse::<Varied>().unwrap();
        let vary = vec![varied("depth=2,4"), varied("--matrix_lr=0.01,0.02,0.04")];
        let grid = combinations(&vary);
        assert_eq!((grid.len(), &grid[1][..]), (6, &["2".to_string(), "0.02".to_string()][..]));
        let many = ManyArgs { seeds: vec![7], svg: None, fresh: false, options: vec!["--n-layer".into()] };
        let args = SweepArgs { vary, name: "s".into(), many };
        let trials = trials(&args, &grid[1]);
        assert_eq!(trials[0].name, "s-depth2-matrix-lr0.02-7");
        assert_eq!(trials[0].words.join(" "), "--n-layer --depth 2 --matrix-lr 0.02");
    }

    #[test]
    fn values_that_are_no_numbers_are_refused() {
        for text in ["depth", "depth=", "depth=2,x", "depth=2,-1", "depth=2,2", "generation=classic"] {
            assert!(text.parse::<Varied>().is_err(), "{text}");
        }
    }
}
