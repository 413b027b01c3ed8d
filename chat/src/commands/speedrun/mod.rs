//! `nanochat speedrun`: all stages by one command, from a file that lists them.
//!
//! Each `[[step]]` of the file is a command of this program, and its keys are that command's options, so the file needs no language of its
//! own and what it says can be typed, too. Steps that are done are not done again; a training that was interrupted goes on
//! where it was. At the end a table says what each stage achieves; with several seeds the whole list runs for each, and the table
//! shows mean and spread.

mod plan;
mod spread;

use super::shared;
use crate::globals::{Globals, Precision, Usage};
use crate::output;
use anyhow::{Context, bail};
use plan::{Plan, Step};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spread::Outcome;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use train::stage::report::duration;

/// `speedrun`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat speedrun                             everything, small, on generated data\n  nanochat speedrun --print-config > my.toml    the file of that, to be changed\n  nanochat speedrun my.toml --seeds 3           three times, with mean and spread\n  nanochat speedrun --seeds 3 --json            the same; the last line is the table\n  nanochat speedrun --preset d20 --print-config   public data sets, for a large machine"
)]
pub struct Args {
    /// The list of steps, in TOML (default: the preset)
    config: Option<PathBuf>,
    /// A list that comes with the program
    #[arg(long, value_enum, default_value_t, conflicts_with = "config")]
    preset: Preset,
    /// Print the list instead of running it
    #[arg(long)]
    print_config: bool,
    /// Do it for so many seeds, beginning with --seed
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Do all steps anew
    #[arg(long)]
    fresh: bool,
}

/// Lists that come with the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Six minutes on two cores that multiply bf16 themselves, about a quarter of an hour on others; on generated data
    #[default]
    Small,
    /// The 561-million model of the classic generation, on public data sets
    D20,
    /// 24 blocks of the current generation, on public data sets
    D24,
}

impl Preset {
    fn text(self) -> &'static str {
        match self {
            Preset::Small => include_str!("small.toml"),
            Preset::D20 => include_str!("d20.toml"),
            Preset::D24 => include_str!("d24.toml"),
        }
    }
}

/// Run the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let text = match &args.config {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => args.preset.text().to_string(),
    };
    if args.print_config {
        output::text(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.seeds == 0 {
        bail!(Usage("--seeds 0: give at least 1".into()));
    }
    let globals = &globals.with_fast_dtype();
    if globals.precision() == Precision::Bf16 {
        say(
            globals,
            "bf16 activations, which this machine multiplies itself (--dtype f32: slower, other bits)",
        )?;
    }
    let mut outcomes = Vec::new();
    let mut name = String::new();
    for seed in globals.seed..globals.seed + args.seeds {
        let globals = Globals { seed, ..globals.clone() };
        let plan = Plan::read(&text, seed).context("the list of steps")?;
        plan.steps.iter().try_for_each(|s| crate::check_words(&s.words))?;
        say(&globals, &format!("speedrun {:?}, seed {seed}: {}", plan.name, plan.sources()))?;
        let seconds = once(&plan, args, &globals)?;
        if let Some(last) = plan.last_run() {
            let line = train::report::collect(&globals.layout()?, &last)?;
            outcomes.push(Outcome { seed, seconds, line });
            crate::run_words(&["report".into(), "--run".into(), last], &globals)?;
        }
        say(&globals, &format!("seed {seed}: all steps took {}", duration(seconds)))?;
        name = plan.name;
    }
    match globals.json {
        true => output::line(&spread::as_json(&name, &outcomes).to_string())?,
        false => spread::print(&outcomes)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for people.
fn say(globals: &Globals, text: &str) -> anyhow::Result<()> {
    if !globals.json {
        output::line(text)?;
    }
    Ok(())
}

/// A step that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Done {
    said: String,
    /// How long it took; of a step that was interrupted, its last part.
    seconds: f64,
}

/// All steps for one seed. Returns how many seconds they took, also those that were done before.
fn once(plan: &Plan, args: &Args, globals: &Globals) -> anyhow::Result<f64> {
    let dir = globals.layout()?.base().join("speedruns");
    let path = dir.join(format!("{}-{}.json", plan.name, globals.seed));
    let mut done: Vec<Done> = match args.fresh {
        true => forget(plan, globals)?,
        false => std::fs::read_to_string(&path)
            .ok()
            .and_then(|t| serde_json::from_str(&t).ok())
            .unwrap_or_default(),
    };
    for (i, step) in plan.steps.iter().enumerate() {
        let said = step.said();
        let number = format!("[{}/{}]", i + 1, plan.steps.len());
        // Whatever comes after a step that changed has to be done again.
        if done.get(i).is_some_and(|d| d.said == said) {
            say(globals, &format!("{number} done: {said}"))?;
            continue;
        }
        done.truncate(i);
        say(globals, &format!("{number} nanochat {said}"))?;
        let begun = Instant::now();
        let code = crate::run_words(&step.words, globals).with_context(|| format!("nanochat {said}"))?;
        if code != ExitCode::SUCCESS {
            bail!("nanochat {said} failed; the same command goes on from there");
        }
        let seconds = begun.elapsed().as_secs_f64();
        say(globals, &format!("{number} took {}", duration(seconds)))?;
        done.push(Done { said, seconds });
        save(&dir, &path, &done)?;
        shared::go_on()?;
    }
    Ok(done.iter().take(plan.steps.len()).map(|d| d.seconds).sum())
}

fn save(dir: &Path, path: &Path, done: &[Done]) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let tmp = path.with_extension("json.writing");
    std::fs::write(&tmp, json!(done).to_string()).with_context(|| tmp.display().to_string())?;
    std::fs::rename(&tmp, path).with_context(|| path.display().to_string())
}

/// Delete the runs of a plan.
fn forget(plan: &Plan, globals: &Globals) -> anyhow::Result<Vec<Done>> {
    let layout = globals.layout()?;
    for run in plan.steps.iter().filter_map(Step::run) {
        let dir = layout.run(&run).dir;
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_lists_of_commands_that_exist() {
        for preset in [Preset::Small, Preset::D20, Preset::D24] {
            let plan = Plan::read(preset.text(), 7).unwrap();
            for step in &plan.steps {
                crate::check_words(&step.words).unwrap();
            }
            assert!(plan.last_run().is_some());
        }
        let small = Plan::read(Preset::Small.text(), 7).unwrap();
        assert!(small.sources().contains("generated"), "{}", small.sources());
        assert!(Plan::read(Preset::D20.text(), 7).unwrap().sources().contains("fineweb-edu"));
        assert!(Plan::read(Preset::D24.text(), 7).unwrap().sources().contains("climbmix"));
    }
}
