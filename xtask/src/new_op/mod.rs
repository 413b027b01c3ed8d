//! `cargo xtask new-op NAME`: the files and lines of a new operation, from a template that compiles and passes all
//! checks as it is. What remains is to replace its formula.
//!
//! The idea: a plan (`plan.rs`) holds the whole new content of every file, made from templates (`template.rs`) and edits
//! of the lists (`edits.rs`). Only when it is complete and formatted, it is written. The book's chapter
//! `book/src/add-an-op.md` tells the same in words; `self_test.rs` follows it.

mod edits;
mod names;
mod plan;
mod self_test;
mod template;

use crate::command::{Command, Context, Outcome};
use crate::steps::{self, Step, Work};
use crate::tidy::tree::Tree;
use plan::Change;
use std::io::Write;
use std::process::{Command as Process, Stdio};

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "new-op",
    summary: "the files and lines of a new operation, ready to be changed",
    args: "NAME [--kernel-only] | --self-test",
    help: "
Makes an elementwise example operation called NAME (snake_case) in all the places an operation has:

    1  kernels/src/NAME/            definition, fast version, arguments, registry entry
    2  kernels/src/lib.rs           a line in ops!, and in cuda/ the note that it has no kernel there yet
    3  tensor/src/ops/              a method on Tensor
    4  autograd/src/ops/NAME.rs     the gradient
    5  checks/src/registry/NAME.rs  the entry in OPS
    6  cargo xtask ci               (yours to run)

It compiles and passes its checks as it is; replace the formula where the files say so. With
--kernel-only, for operations that have no derivative, it stops after step 3. On an error nothing is
written. The book explains the steps: book/src/add-an-op.md.

--self-test does all this in a copy of the repository in target/new-op/ and runs the checks there;
`cargo xtask ci` calls it.",
    run,
};

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--self-test"] => Ok(steps::run(vec![step(context)])),
        [name] if !name.starts_with('-') => create(context, name, true),
        [name, "--kernel-only"] | ["--kernel-only", name] if !name.starts_with('-') => {
            create(context, name, false)
        }
        _ => Ok(Outcome::Usage(COMMAND.help_page())),
    }
}

/// The self-test, as `ci` runs it.
pub fn step(context: &Context) -> Step<'_> {
    let work = Work::Call(Box::new(|| self_test::run(context)));
    Step { name: "new-op", rerun: "cargo xtask new-op --self-test".into(), work }
}

fn create(context: &Context, name: &str, gradient: bool) -> Result<Outcome, String> {
    let changes = generate(context, name, gradient)?;
    for Change { step, path, edit, .. } in &changes {
        println!("  step {step}  {}  {path}", if *edit { "edited " } else { "created" });
    }
    println!("\n{}", next_steps(name, gradient));
    Ok(Outcome::Done)
}

/// Plans, formats, writes.
fn generate(context: &Context, name: &str, gradient: bool) -> Result<Vec<Change>, String> {
    let mut changes = plan::plan(&Tree::read(&context.root)?, name, gradient)?;
    for change in changes.iter_mut() {
        change.text = formatted(context, &change.text)?;
    }
    plan::write(&context.root, &changes)?;
    Ok(changes)
}

/// The text as rustfmt lays it out: lines get longer or shorter with the operation's name.
fn formatted(context: &Context, text: &str) -> Result<String, String> {
    let failed =
        |error: std::io::Error| format!("cannot run rustfmt ({error}): `rustup component add rustfmt`");
    let mut rustfmt = Process::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--config-path"]).arg(&context.root).current_dir(&context.root);
    rustfmt.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = rustfmt.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    match String::from_utf8(output.stdout) {
        Ok(text) if output.status.success() => Ok(text),
        _ => Err("rustfmt does not understand the generated code".into()),
    }
}

/// What the reader does next.
fn next_steps(name: &str, gradient: bool) -> String {
    let mut text = format!(
        "It computes y = x³/(1 + x²) so far. Make it yours, one step at a time:\n\n  \
         1  kernels/src/{name}/reference.rs  your formula, as plain loops\n     \
         kernels/src/{name}/mod.rs        formula, shapes and paper in the header; arguments; registry entry\n     \
         kernels/src/{name}/cpu.rs        the fast version\n     \
         check it: cargo run -- selftest --filter {name}\n  \
         2  kernels/src/lib.rs: done\n  \
         3  tensor/src/ops/elementwise.rs    `Tensor::{name}`; move it to its relatives\n"
    );
    if gradient {
        text += &format!(
            "  4  autograd/src/ops/{name}.rs       derive the gradient in the header, implement it below\n  \
             5  checks/src/registry/{name}.rs    shapes, magnitudes, tolerances, the composite\n     \
             check it: cargo run -- selftest --filter {name}\n"
        );
    }
    text + "  6  cargo xtask fmt && cargo xtask book && cargo xtask ci\n\nThe book explains each step: book/src/add-an-op.md"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_that_makes_no_sense_is_refused() {
        let context = Context::find().unwrap();
        for args in [&[][..], &["--kernel-only"], &["a", "b"], &["--no-such-flag"], &["a", "--self-test"]] {
            let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
            assert!(matches!(run(&context, &args), Ok(Outcome::Usage(_))), "{args:?}");
        }
    }

    #[test]
    fn a_name_that_exists_fails_before_anything_is_written() {
        let context = Context::find().unwrap();
        assert!(run(&context, &["rms_norm".to_string()]).is_err_and(|e| e.contains("already")));
        assert!(run(&context, &["Bad".to_string()]).is_err_and(|e| e.contains("snake_case")));
    }

    #[test]
    fn the_next_steps_name_the_files_that_were_made() {
        let text = next_steps("soft_clip", true);
        assert!((1..=6).all(|step| text.contains(&format!("\n  {step}  "))), "{text}");
        assert!(!next_steps("soft_clip", false).contains("autograd"));
    }
}
