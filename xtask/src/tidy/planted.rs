//! Rule: every planted bug of the source has one row in `tests/planted.txt`, with its file and a check that exists, and every
//! row has its bug. Reason: a bug without a row is never switched on, and a row without a bug proves nothing.

use super::lex::without_comments;
use super::tree::{Finding, SourceFile, Tree};
use crate::planted::{self, Check, Row};
use std::collections::BTreeMap;

/// The rule in one line.
pub const RULE: &str = "every `planted!` of the source has its row in tests/planted.txt, and the reverse";

/// The checks that the registries' runners make.
const KERNEL_CHECKS: &[&str] =
    &["value", "memory", "same bits", "nan", "infinity", "denormal", "layout refused", "shape refused"];
const OP_CHECKS: &[&str] = &[
    "value",
    "gradient",
    "differences",
    "used twice",
    "same variable",
    "needs",
    "constants record nothing",
    "composite",
    "same bits",
    "nan",
    "infinity",
    "leaks",
    "inputs unchanged",
    "layout refused",
];

/// Compares source and catalogue.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut places: BTreeMap<String, &SourceFile> = BTreeMap::new();
    let text = tree.get(planted::PATH).map_or("", |file| &file.text);
    let (rows, bad) = planted::parse(text);
    for file in tree.rust().filter(|f| f.path != "kernels/src/planted.rs" && !f.path.starts_with("xtask/")) {
        for (line, id) in planted_in(file) {
            let mut say = |what: String| findings.push(file.finding(line, what));
            if !rows.iter().any(|row| row.id == id) {
                say(format!("`{id}` has no row in {}", planted::PATH));
            }
            if places.insert(id.clone(), file).is_some() {
                say(format!("a second bug is called `{id}`"));
            }
        }
    }
    let Some(catalogue) = tree.get(planted::PATH) else { return findings };
    findings.extend(bad.iter().map(|&line| catalogue.finding(line, "not a row: see the top of the file")));
    for (i, row) in rows.iter().enumerate() {
        let mut say = |what: String| findings.push(catalogue.finding(row.line, what));
        match places.get(row.id) {
            None => say(format!("no planted bug is called `{}`", row.id)),
            Some(file) if file.path != row.file => say(format!("`{}` stands in {}", row.id, file.path)),
            _ => {}
        }
        if rows[..i].iter().any(|other| other.id == row.id) {
            say(format!("a second row for `{}`", row.id));
        }
        if !exists(tree, row) {
            say(format!("there is no `{}`", row.by));
        }
    }
    findings
}

/// Ids of the bugs in a file, with their lines.
fn planted_in(file: &SourceFile) -> Vec<(usize, String)> {
    let text = without_comments(&file.text);
    let mut found = Vec::new();
    for (at, call) in text.match_indices("planted!(") {
        let Some(rest) = text[at + call.len()..].trim_start().strip_prefix('"') else { continue };
        let id = rest.split('"').next().unwrap_or_default();
        found.push((text[..at].matches('\n').count() + 1, id.to_string()));
    }
    found
}

/// Is there such a check? Entries are looked for by their name in quotes, tests by their function.
fn exists(tree: &Tree, row: &Row) -> bool {
    let anywhere = |folder: &str, text: &str| {
        tree.rust().any(|f| f.path.starts_with(folder) && without_comments(&f.text).contains(text))
    };
    match row.by {
        Check::Entry { registry: "kernel", name, check } => {
            KERNEL_CHECKS.contains(&check) && anywhere("kernels/src/", &format!("\"{name}\""))
        }
        Check::Entry { name, check, .. } => {
            OP_CHECKS.contains(&check) && anywhere("checks/src/registry/", &format!("\"{name}\""))
        }
        Check::Test { unit, program, test } => {
            let place = if unit { format!("{program}/src/") } else { format!("tests/{program}.rs") };
            let function = test.rsplit("::").next().unwrap_or(test);
            anywhere(&place, &format!("fn {function}()"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: (&str, &str) =
        ("kernels/src/add/cpu.rs", "let x = planted!(\n    \"add.off\", 1 => 2\n);\n// planted!(\"no\")");
    const ENTRY: (&str, &str) = ("kernels/src/add/mod.rs", "name: \"add\",");
    const UNIT: (&str, &str) = ("tensor/src/views.rs", "mod tests { fn a_test() {} }");

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).into_iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.message)).collect()
    }

    #[test]
    fn a_bug_with_its_row_is_fine() {
        for by in ["kernel add: value", "unit tensor: views::tests::a_test"] {
            let row = format!("add.off | kernels/src/add/cpu.rs | adds 2 | {by}\n");
            assert_eq!(found(&[SOURCE, ENTRY, UNIT, (planted::PATH, &row)]), [""; 0]);
        }
    }

    #[test]
    fn a_bug_without_a_row_and_a_second_of_its_name_are_found() {
        let again = ("tensor/src/a.rs", "planted!(\"add.off\", 1 => 2)");
        let want = [
            "kernels/src/add/cpu.rs:1: `add.off` has no row in tests/planted.txt",
            "tensor/src/a.rs:1: `add.off` has no row in tests/planted.txt",
            "tensor/src/a.rs:1: a second bug is called `add.off`",
        ];
        assert_eq!(found(&[SOURCE, again]), want);
    }

    #[test]
    fn rows_that_tell_something_wrong_are_found() {
        let of = |row: &str| found(&[SOURCE, ENTRY, UNIT, (planted::PATH, row)]);
        let good = "add.off | kernels/src/add/cpu.rs | adds 2 | kernel add: value\n";
        assert!(of(&format!("{good}{good}"))[0].contains("a second row"));
        assert!(
            of(&format!("{good}add.on | kernels/src/add/cpu.rs | what | kernel add: nan"))[0]
                .contains("no planted bug")
        );
        assert!(of(&good.replace("cpu.rs", "gpu.rs"))[0].contains("stands in kernels/src/add/cpu.rs"));
        for wrong in [
            "kernel add: luck",
            "kernel sub: value",
            "unit tensor: a::b",
            "test misuse: a_test",
            "op add: value",
        ] {
            assert!(of(&good.replace("kernel add: value", wrong))[0].contains("there is no"), "{wrong}");
        }
        assert!(of(&format!("{good}nonsense"))[0].contains("not a row"));
    }
}
