//! Runs a list of steps: prints each one and its time, stops at the first failure with the command that repeats it,
//! and ends with a table of them all.
//!
//! A step is either a program (its output goes straight to the terminal) or a function of ours. A step may also be
//! skipped, with a reason; the table shows it, so nothing is left out silently.
//!
//! Read next: `ci.rs`, the longest list of steps.

use crate::command::Outcome;
use std::process::Command as Process;
use std::time::{Duration, Instant};

/// What a step does.
pub enum Work<'a> {
    /// Runs a program; it passes when the program exits with 0.
    Program(Process),
    /// Calls a function, which says itself what was wrong.
    Call(Box<dyn FnOnce() -> Result<(), String> + 'a>),
    /// Does nothing, for the reason given.
    Skip(String),
}

/// One line of the summary.
pub struct Step<'a> {
    /// One word for the table.
    pub name: &'a str,
    /// What a person types to run this step alone.
    pub rerun: String,
    /// The work itself.
    pub work: Work<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Passed,
    Failed,
    Skipped,
    NotRun,
}

struct Row {
    name: String,
    state: State,
    time: Duration,
}

/// Runs the steps in order, stopping at the first failure.
pub fn run(steps: Vec<Step>) -> Outcome {
    let (count, started) = (steps.len(), Instant::now());
    let mut rows = Vec::new();
    let mut failed: Option<String> = None;
    for (i, step) in steps.into_iter().enumerate() {
        if failed.is_some() {
            rows.push(Row { name: step.name.into(), state: State::NotRun, time: Duration::ZERO });
            continue;
        }
        println!("==> [{}/{count}] {}", i + 1, step.rerun);
        let begun = Instant::now();
        let (state, why) = execute(step.work);
        let time = begun.elapsed();
        match state {
            State::Failed => {
                println!("<== {} FAILED after {}: {why}", step.name, seconds(time));
                failed = Some(step.rerun);
            }
            State::Skipped => println!("<== {} skipped: {why}", step.name),
            _ => println!("<== {} passed in {}", step.name, seconds(time)),
        }
        rows.push(Row { name: step.name.into(), state, time });
    }
    println!("\n{}", table(&rows, started.elapsed()));
    match failed {
        None => Outcome::Done,
        Some(rerun) => {
            println!("\nRun the failed step again with:\n    {rerun}");
            Outcome::Failed
        }
    }
}

fn execute(work: Work) -> (State, String) {
    match work {
        Work::Skip(why) => (State::Skipped, why),
        Work::Call(call) => match call() {
            Ok(()) => (State::Passed, String::new()),
            Err(why) => (State::Failed, why),
        },
        Work::Program(mut process) => match process.status() {
            Ok(status) if status.success() => (State::Passed, String::new()),
            Ok(status) => (State::Failed, status.to_string()),
            Err(error) => {
                let program = process.get_program().to_string_lossy().into_owned();
                (State::Failed, format!("cannot start `{program}`: {error}"))
            }
        },
    }
}

fn table(rows: &[Row], total: Duration) -> String {
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0).max("total".len());
    let mut text = String::new();
    for row in rows {
        let (word, time) = match row.state {
            State::Passed => ("passed", seconds(row.time)),
            State::Failed => ("FAILED", seconds(row.time)),
            State::Skipped => ("skipped", String::new()),
            State::NotRun => ("not run", String::new()),
        };
        text += format!("  {:width$}  {word:7}  {time:>9}", row.name).trim_end();
        text.push('\n');
    }
    text + &format!("  {:width$}  {:7}  {:>9}", "total", "", seconds(total))
}

/// `0.4 s`, `12.0 s`, `3 min 07 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn call<'a>(name: &'a str, call: impl FnOnce() -> Result<(), String> + 'a) -> Step<'a> {
        Step { name, rerun: format!("run {name}"), work: Work::Call(Box::new(call)) }
    }

    #[test]
    fn steps_after_a_failure_are_not_run() {
        let ran = Cell::new(0);
        let count = |result: Result<(), String>| {
            ran.set(ran.get() + 1);
            result
        };
        let steps = vec![
            call("first", || count(Ok(()))),
            call("second", || count(Err("broken".into()))),
            call("third", || count(Ok(()))),
        ];
        assert_eq!(run(steps), Outcome::Failed);
        assert_eq!(ran.get(), 2);
    }

    #[test]
    fn a_skipped_step_does_not_fail_the_run() {
        let skip = Step { name: "tool", rerun: "tool".into(), work: Work::Skip("not installed".into()) };
        assert_eq!(run(vec![skip, call("rest", || Ok(()))]), Outcome::Done);
    }

    #[test]
    fn a_program_that_is_missing_fails_by_name() {
        let (state, why) = execute(Work::Program(Process::new("no-such-program-anywhere")));
        assert!(state == State::Failed);
        assert!(why.contains("no-such-program-anywhere"), "{why}");
    }

    #[test]
    fn a_program_passes_by_its_exit_code() {
        let cargo = |arg: &str| {
            let mut process = crate::tools::cargo();
            process.arg(arg).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            execute(Work::Program(process)).0
        };
        assert!(cargo("--version") == State::Passed);
        assert!(cargo("--no-such-flag") == State::Failed);
    }

    #[test]
    fn the_table_has_a_line_per_step_and_a_total() {
        let row =
            |name: &str, state, millis| Row { name: name.into(), state, time: Duration::from_millis(millis) };
        let rows = [
            row("fmt", State::Passed, 1500),
            row("clippy", State::Failed, 187_000),
            row("test", State::NotRun, 0),
        ];
        let want = "  fmt     passed       1.5 s\n  clippy  FAILED   3 min 07 s\n  test    not run\n  \
                    total            3 min 09 s";
        assert_eq!(table(&rows, Duration::from_secs(189)), want);
    }
}
