//! What a command is: the row of the table in `main.rs`, the context it runs in, and how it can end.

use std::path::PathBuf;
use std::process::ExitCode;

/// One row of the command table.
pub struct Command {
    /// What the user types after `cargo xtask`.
    pub name: &'static str,
    /// One line for the list of commands.
    pub summary: &'static str,
    /// Arguments, for the usage line; empty if there are none.
    pub args: &'static str,
    /// The rest of the `--help` page.
    pub help: &'static str,
    /// Runs the command on the arguments after its name. `Err` is a failure with its one-line reason.
    pub run: fn(&Context, &[String]) -> Result<Outcome, String>,
}

impl Command {
    /// The text of `cargo xtask NAME --help`.
    pub fn help_page(&self) -> String {
        let usage = format!("usage: cargo xtask {} {}", self.name, self.args);
        format!("{}\n\n{}\n\n{}", self.summary, usage.trim_end(), self.help.trim())
    }
}

/// How a command ended.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Everything asked for was done and passed: exit code 0.
    Done,
    /// A check failed, and has said so on the terminal: exit code 1.
    Failed,
    /// The command line made no sense; the text says what would: exit code 2.
    Usage(String),
}

impl Outcome {
    /// The process's exit code; prints the message of a wrong usage.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::from(1),
            Outcome::Usage(message) => {
                eprintln!("{message}");
                ExitCode::from(2)
            }
        }
    }
}

/// Where the commands run.
pub struct Context {
    /// The workspace root: the folder of the root `Cargo.toml`.
    pub root: PathBuf,
}

impl Context {
    /// Finds the workspace root from the folder cargo says this package lives in. The run-time variable comes
    /// first, so a binary built before the checkout was moved still works on the new place.
    pub fn find() -> Result<Context, String> {
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        let root = PathBuf::from(&package).parent().map(PathBuf::from);
        match root {
            Some(root) if root.join("Cargo.toml").is_file() => Ok(Context { root }),
            _ => Err(format!("no workspace above {package}: run it as `cargo xtask` inside the checkout")),
        }
    }
}

/// Refuses any argument, for commands that take none.
pub fn no_arguments(name: &str, args: &[String]) -> Option<Outcome> {
    let first = args.first()?;
    Some(Outcome::Usage(format!("`cargo xtask {name}` takes no argument `{first}`")))
}
