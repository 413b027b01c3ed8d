//! Rule: every test that the book's page about old mistakes names exists, and it names every test called `footgun_…`.
//! Reason: a table of tests that are gone claims a protection that nobody has.

use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str =
    "the tests in the tables of book/src/footguns.md exist, and every `fn footgun_…` is among them";

const PAGE: &str = "book/src/footguns.md";

/// Compares the page with the source.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.get(PAGE) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut named = Vec::new();
    for (i, line) in page.text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let Some(name) = line.rsplit('`').nth(1).filter(|_| line.trim_end().ends_with("` |")) else {
            continue;
        };
        named.push(name);
        let function = format!("fn {name}()");
        if !tree.rust().any(|file| file.text.contains(&function)) {
            findings.push(page.finding(i + 1, format!("there is no test `{name}`")));
        }
    }
    for file in tree.rust().filter(|file| !file.path.starts_with("xtask/")) {
        for (i, line) in file.text.lines().enumerate() {
            let Some(rest) = line.trim_start().strip_prefix("fn footgun_") else { continue };
            let name = format!("footgun_{}", rest.split('(').next().unwrap_or_default());
            if !named.contains(&name.as_str()) {
                findings.push(file.finding(i + 1, format!("`{name}` is not in {PAGE}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_are_gone_and_tests_that_are_not_named_are_found() {
        let page = "| a | `footgun_a` |\n| b | `gone` |\n| what | the test |\n";
        let code = "    #[test]\n    fn footgun_a() {}\n    #[test]\n    fn footgun_b() {}\n";
        let tree = Tree::of(&[(PAGE, page), ("train/src/a.rs", code)]);
        let found: Vec<String> = check(&tree).iter().map(|f| format!("{}:{}", f.path, f.line)).collect();
        assert_eq!(found, ["book/src/footguns.md:2", "train/src/a.rs:4"]);
    }
}
