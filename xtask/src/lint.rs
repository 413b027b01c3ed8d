//! `cargo xtask lint`: other people's checkers, where they are installed.
//!
//! Licences, advisories and sources of dependencies (cargo-deny, `deny.toml`) and spelling (typos, `typos.toml`). They
//! are not part of `ci`, because a fresh machine has neither; a missing one is reported with how to install it.

use crate::command::{Command, Context, Outcome, no_arguments};
use crate::steps::{self, Step, Work};
use crate::tools::{cargo, has_cargo_command, has_program};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "lint",
    summary: "dependencies (cargo-deny) and spelling (typos), where installed",
    args: "",
    help: "
    cargo deny check     licences, security advisories and sources of dependencies (deny.toml)
    typos                spelling (typos.toml)

A tool that is not installed is skipped with a notice that says how to install it.",
    run,
};

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    if let Some(usage) = no_arguments(COMMAND.name, args) {
        return Ok(usage);
    }
    let mut deny = cargo();
    deny.args(["deny", "check"]);
    let typos = Process::new("typos");
    Ok(steps::run(vec![
        optional(context, "deny", "cargo deny check", deny, has_cargo_command("deny"), "cargo-deny"),
        optional(context, "typos", "typos", typos, has_program("typos"), "typos-cli"),
    ]))
}

/// A step for a tool that may be missing; `package` is what `cargo install` calls it.
fn optional<'a>(
    context: &Context,
    name: &'a str,
    rerun: &str,
    mut process: Process,
    installed: bool,
    package: &str,
) -> Step<'a> {
    process.current_dir(&context.root);
    let work = match installed {
        true => Work::Program(process),
        false => Work::Skip(format!("not installed; `cargo install --locked {package}` installs it")),
    };
    Step { name, rerun: rerun.to_string(), work }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_skipped_with_the_way_to_install_it() {
        let context = Context::find().unwrap();
        let step = optional(&context, "x", "x", Process::new("x"), false, "x-cli");
        let Work::Skip(why) = step.work else { panic!("a missing tool would have been run") };
        assert!(why.contains("cargo install --locked x-cli"), "{why}");
    }
}
