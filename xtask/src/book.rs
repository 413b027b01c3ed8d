//! `cargo xtask book`: checks the book's list of chapters and renders it with mdbook.
//!
//! The sources are `book/src/*.md`; what is rendered goes to `book/build`, which is not committed. A chapter that is
//! generated would be written by a step in front of the two below.

use crate::command::{Command, Context, Outcome, no_arguments};
use crate::steps::{self, Step, Work};
use crate::tidy::{self, tree::Tree};
use crate::tools::has_program;
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "book",
    summary: "check the book's chapters and render them to book/build",
    args: "",
    help: "
Checks that SUMMARY.md and the files in book/src name the same chapters, then renders the book with
mdbook. Without mdbook the check still runs and a notice says how to install it; the chapters are
plain Markdown and read well as they are.",
    run,
};

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    if let Some(usage) = no_arguments(COMMAND.name, args) {
        return Ok(usage);
    }
    let chapters = Step {
        name: "chapters",
        rerun: "cargo xtask tidy book".into(),
        work: Work::Call(Box::new(|| {
            let tree = Tree::read(&context.root)?;
            tidy::report(tidy::book::check(&tree))
        })),
    };
    let mut mdbook = Process::new("mdbook");
    mdbook.args(["build", "book"]).current_dir(&context.root);
    let work = match has_program("mdbook") {
        true => Work::Program(mdbook),
        false => Work::Skip("not installed; `cargo install --locked mdbook` installs it".into()),
    };
    let render = Step { name: "render", rerun: "mdbook build book".into(), work };
    Ok(steps::run(vec![chapters, render]))
}
