//! `cargo xtask fmt`: formats every Rust file of the repository, also those `cargo fmt` does not see.
//!
//! `cargo fmt` follows `mod` lines from each crate root. A module that a macro declares is invisible to it, and our
//! list macros declare modules (`ops!` in the kernels makes one per operation). So this command hands rustfmt the
//! files themselves.

use crate::command::{Command, Context, Outcome};
use crate::steps::{self, Step, Work};
use crate::tidy::tree::Tree;
use crate::tools::need_component;
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "fmt",
    summary: "format every Rust file, also in modules that macros declare",
    args: "[--check]",
    help: "
`cargo fmt` does not look into modules that a macro declares; this does. With --check nothing is
written: the differences are printed and the exit code is 1. `cargo xtask ci` runs the check.",
    run,
};

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    need_component("fmt", "rustfmt")?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(steps::run(vec![step(context, "cargo xtask fmt", &[])])),
        ["--check"] => Ok(steps::run(vec![check_step(context)])),
        _ => Ok(Outcome::Usage(COMMAND.help_page())),
    }
}

/// The check, as `ci` also runs it.
pub fn check_step<'a>(context: &'a Context) -> Step<'a> {
    step(context, "cargo xtask fmt --check", &["--check"])
}

fn step<'a>(context: &'a Context, rerun: &str, flags: &'a [&str]) -> Step<'a> {
    let work = Work::Call(Box::new(move || rustfmt(context, flags)));
    Step { name: "fmt (all files)", rerun: rerun.to_string(), work }
}

fn rustfmt(context: &Context, flags: &[&str]) -> Result<(), String> {
    let tree = Tree::read(&context.root)?;
    let files: Vec<_> = tree.rust().map(|file| context.root.join(&file.path)).collect();
    let status = Process::new("rustfmt").args(["--edition", "2024"]).args(flags).args(&files).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("some files are not formatted: run `cargo xtask fmt`".into()),
        Err(error) => Err(format!("cannot start rustfmt: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_check_flag_is_known() {
        let context = Context::find().unwrap();
        assert!(matches!(run(&context, &["--no-such-flag".to_string()]), Ok(Outcome::Usage(_))));
    }
}
