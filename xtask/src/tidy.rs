//! `cargo xtask tidy`: the project's own rules, the ones no compiler knows.
//!
//! The idea: a check is a function from the repository's text (`Tree`) to findings. It touches no disk, so its unit
//! tests write a small repository of string literals and look at what is found. One file per check, one line per
//! check in `CHECKS`; each file's header gives the rule and its reason.
//!
//! Read next: `tidy/tree.rs` (what a check sees), `tidy/lex.rs` (telling code from comments and strings), then any
//! check, for example `tidy/length.rs`.

pub mod book;
mod footguns;
mod gradient_docs;
mod headers;
pub mod includes;
mod kernel_docs;
mod layering;
mod length;
pub mod lex;
pub mod links;
mod lints;
mod machine_paths;
mod manifest;
mod markers;
mod mentions;
mod planted;
mod profiled;
mod reference;
mod registries;
mod registry_hosts;
mod threads;
pub mod tree;
mod unsafe_code;
mod whitespace;

use crate::command::{Command, Context, Outcome};
use crate::steps::{Step, Work};
use tree::{Finding, Tree};

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "tidy",
    summary: "the project's own rules: layers, file length, unsafe, registries, links",
    args: "[--list | CHECK...]",
    help: "
Prints every finding as `file:line: message`. With names, only those checks run; --list prints the
checks, one line each.",
    run,
};

/// One rule.
struct Check {
    name: &'static str,
    rule: &'static str,
    find: fn(&Tree) -> Vec<Finding>,
}

/// Every rule, in the order they run.
const CHECKS: &[Check] = &[
    Check { name: "length", rule: length::RULE, find: length::check },
    Check { name: "headers", rule: headers::RULE, find: headers::check },
    Check { name: "whitespace", rule: whitespace::RULE, find: whitespace::check },
    Check { name: "layering", rule: layering::RULE, find: layering::check },
    Check { name: "lints", rule: lints::RULE, find: lints::check },
    Check { name: "unsafe", rule: unsafe_code::RULE, find: unsafe_code::check },
    Check { name: "threads", rule: threads::RULE, find: threads::check },
    Check { name: "reference", rule: reference::RULE, find: reference::check },
    Check { name: "registries", rule: registries::RULE, find: registries::check },
    Check { name: "kerneldocs", rule: kernel_docs::RULE, find: kernel_docs::check },
    Check { name: "gradients", rule: gradient_docs::RULE, find: gradient_docs::check },
    Check { name: "profiled", rule: profiled::RULE, find: profiled::check },
    Check { name: "planted", rule: planted::RULE, find: planted::check },
    Check { name: "markers", rule: markers::RULE, find: markers::check },
    Check { name: "paths", rule: machine_paths::RULE, find: machine_paths::check },
    Check { name: "hosts", rule: registry_hosts::RULE, find: registry_hosts::check },
    Check { name: "links", rule: links::RULE, find: links::check },
    Check { name: "mentions", rule: mentions::RULE, find: mentions::check },
    Check { name: "includes", rule: includes::RULE, find: includes::check },
    Check { name: "footguns", rule: footguns::RULE, find: footguns::check },
    Check { name: "book", rule: book::RULE, find: book::check },
];

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    if args.iter().any(|a| a == "--list") {
        for check in CHECKS {
            println!("  {:11} {}", check.name, check.rule);
        }
        return Ok(Outcome::Done);
    }
    if let Some(unknown) = args.iter().find(|a| CHECKS.iter().all(|c| c.name != *a)) {
        return Ok(Outcome::Usage(format!("no check `{unknown}`: see `cargo xtask tidy --list`")));
    }
    match examine(context, args) {
        Ok(()) => Ok(Outcome::Done),
        Err(count) => {
            println!("{count}");
            Ok(Outcome::Failed)
        }
    }
}

/// All checks, as `ci` runs them.
pub fn step<'a>(context: &'a Context) -> Step<'a> {
    let work = Work::Call(Box::new(|| examine(context, &[])));
    Step { name: "tidy", rerun: "cargo xtask tidy".into(), work }
}

fn examine(context: &Context, names: &[String]) -> Result<(), String> {
    report(find(&Tree::read(&context.root)?, names))
}

/// What the checks with these names (all, if there are none) find, sorted.
pub fn find(tree: &Tree, names: &[String]) -> Vec<Finding> {
    let chosen = CHECKS.iter().filter(|c| names.is_empty() || names.iter().any(|n| n == c.name));
    let mut findings: Vec<Finding> = chosen.flat_map(|c| (c.find)(tree)).collect();
    findings.sort();
    findings
}

/// Prints the findings; an error says how many there were.
pub fn report(findings: Vec<Finding>) -> Result<(), String> {
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("1 finding".into()),
        count => Err(format!("{count} findings")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_names_are_unique_and_each_rule_is_one_line() {
        for (i, check) in CHECKS.iter().enumerate() {
            assert!(CHECKS[..i].iter().all(|c| c.name != check.name), "{} twice", check.name);
            assert!(!check.rule.is_empty() && !check.rule.contains('\n'));
        }
    }

    #[test]
    fn an_unknown_check_is_wrong_usage() {
        let context = Context::find().unwrap();
        assert!(matches!(run(&context, &["no-such-check".to_string()]), Ok(Outcome::Usage(_))));
    }

    #[test]
    fn findings_fail_and_their_number_is_told() {
        let finding = || Finding { path: "a.rs".into(), line: 3, message: "too long".into() };
        assert_eq!(finding().to_string(), "a.rs:3: too long");
        assert_eq!(report(vec![]), Ok(()));
        assert_eq!(report(vec![finding(), finding()]), Err("2 findings".into()));
    }
}
