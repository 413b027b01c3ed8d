//! `nanochat train compare A B …`: kinds of pretraining side by side, with the same data and seeds.
//!
//! A and the others are options of `train base`, written `generation=current,without=smear`; what all share stands behind `--`. For every seed each kind is run once, and the
//! difference from A is taken within the seed: see [`train::trials::paired`]. With one part left out of each of the others, this is an
//! ablation.

use super::compare_report::{Kind, picture, report, table};
use super::pace::{self, Pace};
use super::trial::{self, ManyArgs, Trial};
use crate::globals::{Globals, Usage};
use crate::output;
use anyhow::bail;

/// `train compare`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat train compare generation=classic generation=current -- --depth 4 --num-iterations 200\n  \
nanochat train compare . without=smear without=backout --svg parts.svg -- --generation current --num-iterations 300\n  \
nanochat train compare generation=classic generation=current,warmup-steps=10 --equal-time -- --num-iterations 500\n\
A dot is a kind that has nothing but what all share."
)]
pub struct CompareArgs {
    /// Options of the first kind of runs: OPTION=VALUE,OPTION=VALUE,…
    #[arg(value_name = "A")]
    first: String,
    /// Options of the kinds that are compared with it
    #[arg(value_name = "B", required = true, num_args = 1..)]
    others: Vec<String>,
    /// Beginning of the runs' names
    #[arg(long, default_value = "compare", value_name = "NAME")]
    name: String,
    /// So many steps of the others as take the time of A's, by timing them in turn before the first run
    #[arg(long)]
    equal_time: bool,
    #[command(flatten)]
    many: ManyArgs,
}

/// Run the command.
pub fn run(args: &CompareArgs, globals: &Globals) -> anyhow::Result<()> {
    args.many.check()?;
    let own: Vec<&String> = std::iter::once(&args.first).chain(&args.others).collect();
    if own.len() > LETTERS.len() {
        bail!(Usage(format!("{} kinds of runs: give at most {}", own.len(), LETTERS.len())));
    }
    let mut kinds: Vec<Vec<Trial>> =
        own.iter().zip(LETTERS.chars()).map(|(own, letter)| trials(args, own, letter)).collect();
    for (i, kind) in kinds.iter().enumerate() {
        if kinds[..i].iter().any(|other| other[0].words == kind[0].words) {
            bail!(Usage(format!("{:?} is there twice: there is nothing to compare", own[i])));
        }
    }
    let path = globals.layout()?.base().join("trials").join(format!("{}.json", args.name));
    if args.many.fresh {
        trial::forget(&kinds.concat(), globals)?;
        let _ = std::fs::remove_file(&path); // it need not be there
    }
    let paces: Vec<Pace> = match args.equal_time {
        true => pace::known_or_measured(&path, &kinds.iter().map(|k| &k[0]).collect::<Vec<_>>(), globals)?,
        false => Vec::new(),
    };
    for (i, pace) in paces.iter().enumerate() {
        let steps = pace.steps.to_string();
        kinds[i + 1].iter_mut().for_each(|trial| set_steps(&mut trial.words, &steps));
        if !globals.quiet && !globals.json {
            output::line(&format!(
                "{:?} does {:.3} of the tokens per second of {:?}: {} steps instead of {}",
                own[i + 1],
                pace.ratio,
                args.first,
                pace.steps,
                pace.steps_of_first
            ))?;
        }
    }
    // All kinds of one seed before the next seed: what is there early is comparable.
    let seeds = args.many.seeds.len();
    let all: Vec<Trial> = (0..seeds).flat_map(|s| kinds.iter().map(move |kind| kind[s].clone())).collect();
    let outcomes = trial::run_all(&all, globals)?;
    let kinds: Vec<Kind> = own
        .iter()
        .enumerate()
        .map(|(k, own)| {
            let runs = outcomes.iter().skip(k).step_by(args.others.len() + 1).cloned().collect();
            Kind { options: own.to_string(), runs }
        })
        .collect();
    args.many.draw(&picture(&kinds))?;
    match globals.json {
        true => output::line(&report(&args.many, &kinds, &paces).to_string())?,
        false => output::text(&table(&args.many.seeds, &kinds))?,
    }
    Ok(())
}

/// In the names of runs, one for each kind.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

/// The runs of one kind, one for each seed.
fn trials(args: &CompareArgs, own: &str, letter: char) -> Vec<Trial> {
    let words: Vec<String> = args.many.options.iter().cloned().chain(as_words(own)).collect();
    let trial = |&seed| Trial { name: format!("{}-{letter}-{seed}", args.name), words: words.clone(), seed };
    args.many.seeds.iter().map(trial).collect()
}

/// `depth=4,unscaled` as `--depth=4 --unscaled`; a dot is nothing.
fn as_words(own: &str) -> impl Iterator<Item = String> {
    let options = own.split(',').map(str::trim).filter(|option| !option.is_empty() && *option != ".");
    options.map(|option| format!("--{}", option.trim_start_matches('-')))
}

/// Give `--num-iterations` a value, whatever it had.
fn set_steps(words: &mut Vec<String>, steps: &str) {
    let is_it = |word: &String| {
        let name = word.split('=').next().unwrap_or_default().replace('_', "-");
        name == "--num-iterations"
    };
    while let Some(at) = words.iter().position(is_it) {
        let own_value = !words[at].contains('=');
        words.drain(at..(at + 1 + usize::from(own_value)).min(words.len()));
    }
    words.extend(["--num-iterations".to_string(), steps.to_string()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_written_without_dashes_and_a_dot_is_none() {
        let words = |own| as_words(own).collect::<Vec<_>>().join(" ");
        assert_eq!(
            words("generation=current,without=smear,unscaled"),
            "--generation=current --without=smear --unscaled"
        );
        assert_eq!((words("."), words("")), (String::new(), String::new()));
    }

    #[test]
    fn steps_replace_those_that_were_given_in_whatever_form() {
        for given in ["--num-iterations 5 --depth 2", "--num_iterations=5 --depth 2", "--depth 2"] {
            let mut words: Vec<String> = given.split(' ').map(String::from).collect();
            set_steps(&mut words, "7");
            assert_eq!(words.join(" "), "--depth 2 --num-iterations 7");
        }
    }
}
