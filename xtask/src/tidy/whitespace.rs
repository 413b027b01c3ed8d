//! Rule: no trailing whitespace, no tabs in sources, Unix line ends, one newline at the end. Reason: diffs that show
//! nothing cost a reviewer's attention. rustfmt does most of this for Rust, and nothing does it for the rest.

use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str = "no trailing whitespace, no tabs in sources, Unix line ends, a newline at the end";

/// Looks at every text file people write.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_extension(&["rs", "cu", "py", "toml", "md", "sh", "html"]).flat_map(examine).collect()
}

fn examine(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let no_tabs = matches!(file.extension(), "rs" | "cu" | "py");
    for (i, line) in file.text.split('\n').enumerate() {
        if line.ends_with('\r') {
            findings.push(file.finding(i + 1, "ends with a carriage return: use Unix line ends"));
        } else if line.ends_with([' ', '\t']) {
            findings.push(file.finding(i + 1, "trailing whitespace"));
        }
        if no_tabs && line.contains('\t') {
            findings.push(file.finding(i + 1, "a tab: indent with spaces, write \\t in a string"));
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        findings.push(file.finding(file.text.lines().count(), "end the file with exactly one newline"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|f| f.line).collect()
    }

    #[test]
    fn trailing_blanks_tabs_and_carriage_returns_are_found_by_line() {
        assert_eq!(found("a.rs", "fn f() {} \n\n\tg\nh\r\n"), [1, 3, 4]);
        assert_eq!(found("a.md", "a\tb\nc \n"), [2], "a tab inside a document is no concern");
    }

    #[test]
    fn the_last_line_ends_once() {
        assert_eq!(found("a.toml", "a = 1"), [1]);
        assert_eq!(found("a.toml", "a = 1\n\n"), [2]);
        assert_eq!(found("a.toml", "a = 1\n"), [0usize; 0]);
        assert_eq!(found("a.toml", ""), [0usize; 0]);
    }
}
