//! Rule: a source file that a document names in code type, such as a path that starts with a crate's folder, exists.
//! Reason: documents point into the code all the time, and files get renamed. Plans may name files of the future.

use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str = "files named in `code type` in *.md exist (ROADMAP.md and CHANGELOG.md excepted)";

/// Looks at every Markdown file except the ones that speak of the future and the past.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let present = |file: &&SourceFile| !matches!(file.name(), "ROADMAP.md" | "CHANGELOG.md");
    let mut findings = Vec::new();
    for file in tree.with_extension(&["md"]).filter(present) {
        for (i, line) in file.text.lines().enumerate() {
            for path in line.split('`').skip(1).step_by(2).filter(|span| is_path(tree, span)) {
                if !tree.exists(path.trim_end_matches('/')) {
                    findings.push(file.finding(i + 1, format!("there is no `{path}`")));
                }
            }
        }
    }
    findings
}

/// Is this code span a plain path below one of the crates' folders? Patterns (`*`, `<op>`, `{a,b}`) are not.
fn is_path(tree: &Tree, span: &str) -> bool {
    let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let below_a_crate = span.split_once('/').is_some_and(|(first, rest)| {
        !rest.is_empty() && (first == "book" || tree.manifests().any(|(krate, _)| krate == first))
    });
    plain && below_a_crate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[("kernels/Cargo.toml", ""), ("kernels/src/view.rs", ""), (path, text)]);
        check(&tree).into_iter().map(|f| format!("{}: {}", f.line, f.message)).collect()
    }

    #[test]
    fn a_named_file_must_exist() {
        assert_eq!(found("A.md", "see `kernels/src/view.rs` in `kernels/src/`\n"), [""; 0]);
        assert_eq!(found("A.md", "x\nsee `kernels/src/wiew.rs`\n"), ["2: there is no `kernels/src/wiew.rs`"]);
    }

    #[test]
    fn patterns_other_code_and_plans_are_no_concern() {
        assert_eq!(found("A.md", "`kernels/src/<op>/cpu.rs` `a/b` `runs/x` `kernels/*.rs`\n"), [""; 0]);
        assert_eq!(found("ROADMAP.md", "`kernels/src/fp8.rs`\n"), [""; 0]);
    }
}
