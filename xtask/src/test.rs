//! `cargo xtask test`: every test of the workspace, on a machine that has only cargo.

use crate::command::{Command, Context, Outcome};
use crate::goldens::Goldens;
use crate::steps::{self, Step, Work};
use crate::tools::cargo;
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "test",
    summary: "run every test of the workspace (unit, integration, documentation)",
    args: "[ARGS for cargo test]",
    help: "
Runs `cargo test --workspace` in the debug profile (which is optimised where arithmetic is done).
Benchmarks are not built. Arguments are passed on; with -p or --package, only those packages are
tested:

    cargo xtask test                          everything
    cargo xtask test -p nanochat-tensor       one crate
    cargo xtask test ties_go_to               tests whose name contains this
    cargo xtask test -- --nocapture           arguments after -- go to the test programs

NANOCHAT_GOLDENS names a folder of reference dumps for the golden tests. A relative path is made
absolute first; a folder that is not there counts as not set, and a notice says so.",
    run,
};

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let goldens = Goldens::from_env()?;
    println!("{}", goldens.notice());
    Ok(steps::run(vec![step(context, &goldens, args)]))
}

/// The test step, as `ci` also runs it.
pub fn step<'a>(context: &Context, goldens: &Goldens, args: &[String]) -> Step<'a> {
    let mut process = process(args);
    process.current_dir(&context.root);
    goldens.apply(&mut process);
    let rerun = format!("cargo xtask test {}", args.join(" ")).trim_end().to_string();
    Step { name: "test", rerun, work: Work::Program(process) }
}

fn process(args: &[String]) -> Process {
    let ours = args.iter().take_while(|a| *a != "--");
    let one_package =
        |a: &String| a.starts_with("--package") || (a.starts_with("-p") && !a.starts_with("--"));
    let mut process = cargo();
    process.arg("test");
    if !ours.clone().any(one_package) {
        process.arg("--workspace"); // cargo would let it win over -p
    }
    process.args(args);
    process
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        let process = process(&args);
        let words: Vec<_> = process.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn everything_is_tested_unless_a_package_is_named() {
        assert_eq!(line(&[]), "test --workspace");
        assert_eq!(line(&["name"]), "test --workspace name");
        assert_eq!(line(&["-p", "nanochat-tensor"]), "test -p nanochat-tensor");
        assert_eq!(line(&["-pnanochat-tensor"]), "test -pnanochat-tensor");
        assert_eq!(line(&["--package=nanochat-tensor"]), "test --package=nanochat-tensor");
    }

    #[test]
    fn arguments_of_the_test_program_choose_no_package() {
        assert_eq!(line(&["--", "-p"]), "test --workspace -- -p");
    }
}
