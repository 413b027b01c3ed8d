//! `cargo xtask mutants`: switches the planted bugs on, one at a time, and looks whether the check that must find each of them
//! does. What it measures is the tests: a bug that survives is a hole in them.
//!
//! One build has all the bugs (`kernels/src/planted.rs`); which one is on is a matter of the environment. So a bug costs one
//! run of one check, from `tests/planted.txt`, and nothing is compiled for it. Before the bugs, the same checks must pass
//! without any. Read next: `mutants/programs.rs` (the build), `mutants/queue.rs` (two programs at a time).

mod programs;
mod queue;

use crate::command::{Command, Context, Outcome};
use crate::planted::{self, Check, Row};
use crate::steps::seconds;
use programs::Programs;
use queue::{Ended, Job};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "mutants",
    summary: "switch planted bugs on, one at a time: is each caught by the check that must find it?",
    args: "[--filter ID] [--list]",
    help: "
A check that has never failed proves little. The source holds wrong variants of right code,
`planted!(\"id\", right => wrong)`, which are compiled in by the feature `planted` alone.
tests/planted.txt names for each the check that must find it.

Builds the tests with that feature into target/planted. Then, two at a time: first every named check
without a bug, which must pass, then every bug with its check, which must fail. Prints a line per bug
and ends with the survivors: holes in the tests.

    --filter ID   only bugs with this in their id (rms_norm, attention.causal)
    --list        print the catalogue and run nothing",
    run,
};

/// Programs at a time.
const AT_ONCE: usize = 2;
/// What a check may take; one with a bug that makes it hang is stopped then, and counts as not caught.
const LIMIT: Duration = Duration::from_secs(180);

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (filter, list) = match args[..] {
        [] => ("", false),
        ["--list"] => ("", true),
        ["--filter", filter] => (filter, false),
        ["--list", "--filter", filter] | ["--filter", filter, "--list"] => (filter, true),
        _ => return Ok(Outcome::Usage(COMMAND.help_page())),
    };
    let path = context.root.join(planted::PATH);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", planted::PATH))?;
    let (mut rows, bad) = planted::parse(&text);
    if let Some(line) = bad.first() {
        return Err(format!("{}:{line}: not a row; see the top of the file", planted::PATH));
    }
    rows.retain(|row| row.id.contains(filter));
    if rows.is_empty() {
        return Ok(Outcome::Usage(format!("no planted bug has `{filter}` in its id: see --list")));
    }
    if list {
        rows.iter()
            .for_each(|row| println!("{}\n    {}\n    {}\n    {}", row.id, row.file, row.what, row.by));
        return Ok(Outcome::Done);
    }
    let begun = Instant::now();
    let programs = Programs::build(context)?;
    if !clean(&programs, &rows)? {
        return Ok(Outcome::Failed);
    }
    let survivors = hunt(&programs, &rows)?;
    println!("\n{} planted bugs in {}:", rows.len(), seconds(begun.elapsed()));
    if survivors.is_empty() {
        println!("each is caught by the check that must find it");
        return Ok(Outcome::Done);
    }
    println!("{} survived", survivors.len());
    survivors.iter().for_each(|text| println!("\n{text}"));
    Ok(Outcome::Failed)
}

/// Every named check without a bug: an entry with all its checks, and the tests of one program together.
fn clean(programs: &Programs, rows: &[Row]) -> Result<bool, String> {
    let mut entries = BTreeSet::new();
    let mut tests: BTreeMap<(bool, &str), BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        match row.by {
            Check::Entry { registry, name, .. } => _ = entries.insert((registry, name)),
            Check::Test { unit, program, test } => _ = tests.entry((unit, program)).or_default().insert(test),
        }
    }
    let (mut jobs, mut must_say) = (Vec::new(), Vec::new());
    for (registry, name) in entries {
        jobs.push(Job { name: format!("{registry} {name}"), process: programs.entry(&[registry, name])? });
        must_say.push(Vec::new());
    }
    for ((unit, program), names) in tests {
        let names: Vec<&str> = names.into_iter().collect();
        let process = programs.tests(unit, program, &names)?;
        jobs.push(Job { name: format!("tests of {program}"), process });
        // A misspelt name would run nothing, and nothing cannot fail.
        must_say.push(names.iter().map(|test| format!("test {test} ... ok")).collect());
    }
    println!("without a bug: {} programs", jobs.len());
    let (begun, mut failed) = (Instant::now(), 0);
    queue::run(&programs.folder, jobs, AT_ONCE, LIMIT, &mut |i, ended| {
        let says = |line: &String| ended.output.lines().any(|l| l == line);
        if ended.code != Some(0) || !must_say[i].iter().all(says) {
            failed += 1;
            println!("  {} FAILS without a bug:\n{}", ended.name, ended.output);
        }
    })?;
    println!("{} in {}\n", if failed == 0 { "all pass" } else { "NOT CLEAN" }, seconds(begun.elapsed()));
    Ok(failed == 0)
}

/// Every bug with its check; returns a paragraph per survivor.
fn hunt(programs: &Programs, rows: &[Row]) -> Result<Vec<String>, String> {
    let mut jobs = Vec::new();
    for row in rows {
        let mut process = match row.by {
            Check::Entry { registry, name, check } => programs.entry(&[registry, name, check])?,
            Check::Test { unit, program, test } => programs.tests(unit, program, &[test])?,
        };
        process.env(programs::VARIABLE, row.id);
        jobs.push(Job { name: row.id.into(), process });
    }
    let width = rows.iter().map(|row| row.id.len()).max().unwrap_or(0);
    let (mut survivors, mut done) = (Vec::new(), 0);
    queue::run(&programs.folder, jobs, AT_ONCE, LIMIT, &mut |i, ended| {
        done += 1;
        let (row, caught) = (&rows[i], is_caught(rows[i].by, &ended));
        let (word, time) = (if caught { "caught by" } else { "SURVIVES" }, seconds(ended.time));
        println!("[{done:3}/{}] {:width$}  {word}  {}  {time}", rows.len(), row.id, row.by);
        if !caught {
            survivors.push(format!(
                "{} ({}): {}\nnot found by {}\n{}",
                row.id,
                row.file,
                row.what,
                row.by,
                ended.output.trim_end()
            ));
        }
    })?;
    Ok(survivors)
}

/// Did the check itself fail? A crash of the program, another check's failure or a stop for time is something else.
fn is_caught(by: Check, ended: &Ended) -> bool {
    match by {
        Check::Entry { name, check, .. } => {
            let line = format!("FAIL {name}: {check} [");
            ended.code == Some(1) && ended.output.lines().any(|l| l.starts_with(&line))
        }
        Check::Test { test, .. } => {
            let line = format!("test {test} ... FAILED");
            ended.code == Some(101) && ended.output.lines().any(|l| l.starts_with(&line))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>, output: &str) -> Ended {
        Ended { name: String::new(), code, output: output.into(), time: Duration::ZERO }
    }

    #[test]
    fn only_the_failure_of_the_named_check_counts() {
        let entry = Check::Entry { registry: "kernel", name: "add", check: "nan" };
        assert!(is_caught(entry, &ended(Some(1), "FAIL add: nan [odd, f32]: what\n")));
        assert!(!is_caught(entry, &ended(Some(1), "FAIL add: value [odd, f32]: what\n")));
        assert!(!is_caught(entry, &ended(Some(0), "12 checks; failed: {}\n")));
        assert!(!is_caught(entry, &ended(None, "")));
        let test = Check::Test { unit: true, program: "tensor", test: "a::b" };
        assert!(is_caught(test, &ended(Some(101), "running 1 test\ntest a::b ... FAILED\n")));
        assert!(!is_caught(test, &ended(Some(101), "thread panicked while starting\n")));
        assert!(!is_caught(test, &ended(Some(0), "running 1 test\ntest a::b ... ok\n")));
    }

    #[test]
    fn wrong_arguments_and_unknown_bugs_are_wrong_usage() {
        let context = Context::find().unwrap();
        for args in [&["--filter"][..], &["--all"], &["--filter", "no such bug"]] {
            let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
            assert!(matches!(run(&context, &args), Ok(Outcome::Usage(_))), "{args:?}");
        }
    }
}
