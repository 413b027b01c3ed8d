//! `cargo xtask book`: writes the generated page, checks the book's list of chapters and renders it with mdbook.
//!
//! The sources are `book/src/*.md`; what is rendered goes to `book/build`, which is not committed. One page is generated,
//! the table of all operations: the registries print it, through `nanochat selftest --list --markdown`, and a test in
//! `chat` holds that the committed page is what they print.

use crate::command::{Command, Context, Outcome, no_arguments};
use crate::steps::{self, Step, Work};
use crate::tidy::{self, tree::Tree};
use crate::tools::{cargo, has_program};
use std::fs;
use std::process::{Command as Process, Stdio};

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "book",
    summary: "write the book's table of operations, check its chapters, render them to book/build",
    args: "",
    help: "
Writes book/src/operations.md from the registries (this builds the program `nanochat`), checks that
SUMMARY.md and the files in book/src name the same chapters and that all code they include is there,
then renders the book with mdbook. Without mdbook the checks still run and a notice says how to
install it; the chapters are plain Markdown and read well as they are.",
    run,
};

/// The generated page.
const PAGE: &str = "book/src/operations.md";

/// What stands above the tables.
const INTRODUCTION: &str = "\
# All operations

Made by `cargo xtask book` from the two registries; edit those, not this page. How the columns are meant: the chapter
[How we know it is right](checks.md). How to add a row: [How to add an operation in six steps](add-an-op.md).

The argument checks and the table of a kernel, with the shapes that are tested and measured, are in the `mod.rs` of its
folder. `nanochat selftest --filter NAME` checks one row on your machine.

";

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    if let Some(usage) = no_arguments(COMMAND.name, args) {
        return Ok(usage);
    }
    let operations = Step {
        name: "operations",
        rerun: "cargo xtask book".into(),
        work: Work::Call(Box::new(|| write_operations(context))),
    };
    let chapters = Step {
        name: "chapters",
        rerun: "cargo xtask tidy book includes links".into(),
        work: Work::Call(Box::new(|| {
            let tree = Tree::read(&context.root)?;
            let mut findings = tidy::book::check(&tree);
            findings.extend(tidy::includes::check(&tree));
            findings.extend(tidy::links::check(&tree));
            tidy::report(findings)
        })),
    };
    let mut mdbook = Process::new("mdbook");
    mdbook.args(["build", "book"]).current_dir(&context.root);
    let work = match has_program("mdbook") {
        true => Work::Program(mdbook),
        false => Work::Skip("not installed; `cargo install --locked mdbook` installs it".into()),
    };
    let render = Step { name: "render", rerun: "mdbook build book".into(), work };
    Ok(steps::run(vec![operations, chapters, render]))
}

/// Asks the program for the tables and writes the page, if it has changed.
fn write_operations(context: &Context) -> Result<(), String> {
    let path = context.root.join(PAGE);
    let mut process = cargo();
    process.args(["run", "--quiet", "-p", "nanochat-chat", "--", "selftest", "--list", "--markdown"]);
    let output = process.current_dir(&context.root).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    let tables = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !tables.contains("| operation |") {
        return Err("`nanochat selftest --list --markdown` printed no tables".into());
    }
    let page = format!("{INTRODUCTION}{tables}");
    if fs::read_to_string(&path).is_ok_and(|old| old == page) {
        return Ok(());
    }
    println!("{PAGE} has changed");
    fs::write(&path, page).map_err(|error| format!("cannot write {PAGE}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_has_the_introduction_and_both_tables() {
        let context = Context::find().unwrap();
        let page = fs::read_to_string(context.root.join(PAGE)).unwrap();
        let tables = page.strip_prefix(INTRODUCTION).expect("another introduction: run `cargo xtask book`");
        assert!(tables.contains("| kernel |") && tables.contains("| operation |"));
    }
}
