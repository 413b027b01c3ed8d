//! `cargo xtask COMMAND`: everything the project runs on itself, in plain Rust with no dependencies, so a fresh
//! machine needs nothing but cargo.
//!
//! The idea: one file per command, and one line below that names it. A command is data (`Command`): its name,
//! one line for the list, the text of `--help`, and the function to run. To add one, write `src/<name>.rs` with a
//! `pub const COMMAND`, declare the module and add it to `COMMANDS`; `help` and the dispatcher read the table.
//! Exit codes are the same for all: 0 done, 1 a check failed, 2 the command line was wrong.
//!
//! Read next: `command.rs` (the table's row), `steps.rs` (how commands run programs), `ci.rs` (what gets checked).
#![allow(clippy::print_stdout, clippy::print_stderr)] // a terminal program talks on the terminal

mod ablations;
mod bench_vs_torch;
mod book;
mod ci;
mod command;
mod fmt;
mod goldens;
mod lint;
mod mutants;
mod new_op;
mod nvrtc;
mod planted;
mod ptxas;
mod python;
mod results;
mod soak;
mod steps;
mod test;
mod tidy;
mod tools;

use command::{Command, Context, Outcome};
use std::process::ExitCode;

/// Every command, in the order `help` prints them.
const COMMANDS: &[Command] = &[
    test::COMMAND,
    ci::COMMAND,
    tidy::COMMAND,
    fmt::COMMAND,
    lint::COMMAND,
    mutants::COMMAND,
    soak::COMMAND,
    book::COMMAND,
    nvrtc::COMMAND,
    ptxas::COMMAND,
    new_op::COMMAND,
    results::COMMAND,
    bench_vs_torch::COMMAND,
    ablations::COMMAND,
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = Context::find().and_then(|context| dispatch(&context, &args));
    match outcome {
        Ok(outcome) => outcome.exit_code(),
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::from(1)
        }
    }
}

/// Finds the command named by the first argument and runs it on the rest.
fn dispatch(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let Some((name, rest)) = args.split_first() else {
        return Ok(Outcome::Usage(overview()));
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        return Ok(help(rest));
    }
    let Some(command) = COMMANDS.iter().find(|c| c.name == name) else {
        return Ok(Outcome::Usage(format!("unknown command `{name}`\n\n{}", overview())));
    };
    let ours = rest.iter().take_while(|a| *a != "--");
    if ours.clone().any(|a| a == "--help" || a == "-h") {
        println!("{}", command.help_page());
        return Ok(Outcome::Done);
    }
    (command.run)(context, rest)
}

/// `help` alone lists the commands; `help NAME` prints that command's page.
fn help(names: &[String]) -> Outcome {
    let Some(name) = names.first() else {
        println!("{}", overview());
        return Outcome::Done;
    };
    match COMMANDS.iter().find(|c| c.name == name) {
        Some(command) => {
            println!("{}", command.help_page());
            Outcome::Done
        }
        None => Outcome::Usage(format!("no command `{name}`\n\n{}", overview())),
    }
}

/// The list of commands, one line each.
fn overview() -> String {
    let width = COMMANDS.iter().map(|c| c.name.len()).max().unwrap_or(0).max("help".len());
    let mut text = String::from("usage: cargo xtask COMMAND [ARGS]\n\n");
    for command in COMMANDS {
        text += &format!("  {:width$}  {}\n", command.name, command.summary);
    }
    text += &format!("  {:width$}  this list, or one command's page: `cargo xtask help test`\n", "help");
    text += "\nExit codes: 0 done, 1 a check failed, 2 wrong usage.";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context::find().unwrap()
    }

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(|a| a.to_string()).collect()
    }

    #[test]
    fn the_overview_names_every_command() {
        let text = overview();
        for command in COMMANDS {
            assert!(text.contains(&format!("  {} ", command.name)), "{} is not listed", command.name);
            assert!(text.contains(command.summary));
        }
    }

    #[test]
    fn command_names_are_unique_and_every_page_shows_its_usage() {
        for (i, command) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..i].iter().all(|c| c.name != command.name));
            assert!(command.help_page().contains(&format!("usage: cargo xtask {}", command.name)));
        }
    }

    #[test]
    fn an_unknown_command_and_no_command_are_wrong_usage() {
        assert!(matches!(dispatch(&context(), &[]), Ok(Outcome::Usage(_))));
        let Ok(Outcome::Usage(message)) = dispatch(&context(), &strings(&["no-such-command"])) else {
            panic!("`no-such-command` was accepted");
        };
        assert!(message.contains("unknown command `no-such-command`"));
    }

    #[test]
    fn asking_for_help_runs_nothing_and_succeeds() {
        for args in [&["help"][..], &["--help"], &["help", "ci"], &["test", "--help"]] {
            assert!(matches!(dispatch(&context(), &strings(args)), Ok(Outcome::Done)), "{args:?}");
        }
        assert!(matches!(
            dispatch(&context(), &strings(&["help", "no-such-command"])),
            Ok(Outcome::Usage(_))
        ));
    }
}
