//! `cargo xtask ci`: everything a change must pass, in the order that fails soonest.

use crate::command::{Command, Context, Outcome, no_arguments};
use crate::goldens::Goldens;
use crate::steps::{self, Step, Work};
use crate::tools::{cargo, has_target, need_component};
use crate::{fmt, new_op, test, tidy};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "ci",
    summary: "everything a change must pass: fmt, clippy, other processors, docs, tidy, test, new-op",
    args: "",
    help: "
Steps, in order; the first failure stops the run and names the command that repeats it:

    fmt      every Rust file is formatted
    clippy   no warning in any target
    arm      the kernels compile for 64-bit ARM (where rustup has that target)
    doc      the documentation builds without a warning
    tidy     the project's own rules (cargo xtask tidy --list)
    test     every test (cargo xtask test)
    new-op   what `cargo xtask new-op` generates compiles and passes its checks, in a copy

Needs the components rustfmt and clippy; where one is missing, `rustup component add` is tried.
NANOCHAT_GOLDENS works as in `cargo xtask test`.",
    run,
};

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    if let Some(usage) = no_arguments(COMMAND.name, args) {
        return Ok(usage);
    }
    need_component("fmt", "rustfmt")?;
    need_component("clippy", "clippy")?;
    let goldens = Goldens::from_env()?;
    println!("{}", goldens.notice());
    let mut steps = vec![
        program(context, "fmt", &["fmt", "--all", "--check"]),
        fmt::check_step(context),
        program(context, "clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        arm(context),
        doc(context),
        tidy::step(context),
    ];
    steps.push(test::step(context, &goldens, &[]));
    steps.push(new_op::step(context));
    Ok(steps::run(steps))
}

fn program<'a>(context: &Context, name: &'a str, args: &[&str]) -> Step<'a> {
    let mut process = cargo();
    process.args(args).current_dir(&context.root);
    Step { name, rerun: format!("cargo {}", args.join(" ")), work: Work::Program(process) }
}

/// The kernels for a processor that this one is not: NEON is used there, and nothing here would notice that it broke.
fn arm<'a>(context: &Context) -> Step<'a> {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    let args =
        ["clippy", "-p", "nanochat-kernels", "--all-targets", "--target", TARGET, "--", "-D", "warnings"];
    match has_target(TARGET) {
        true => program(context, "arm", &args),
        false => Step {
            name: "arm",
            rerun: format!("cargo {}", args.join(" ")),
            work: Work::Skip(format!("the target is not installed: run `rustup target add {TARGET}`")),
        },
    }
}

fn doc<'a>(context: &Context) -> Step<'a> {
    let flags = doc_flags(std::env::var("RUSTDOCFLAGS").ok().as_deref());
    let mut process: Process = cargo();
    process.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", &flags).current_dir(&context.root);
    let rerun = format!("RUSTDOCFLAGS=\"{flags}\" cargo doc --workspace --no-deps");
    Step { name: "doc", rerun, work: Work::Program(process) }
}

/// What the user set, and warnings as errors.
fn doc_flags(set: Option<&str>) -> String {
    format!("{} -D warnings", set.unwrap_or("")).trim_start().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_takes_no_argument() {
        let context = Context::find().unwrap();
        assert!(matches!(run(&context, &["fast".to_string()]), Ok(Outcome::Usage(_))));
    }

    #[test]
    fn documentation_flags_of_the_user_are_kept() {
        assert_eq!(doc_flags(None), "-D warnings");
        assert_eq!(doc_flags(Some("--cfg docsrs")), "--cfg docsrs -D warnings");
    }
}
