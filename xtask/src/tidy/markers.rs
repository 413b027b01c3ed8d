//! Rule: no marker of unfinished work, and no test that is ignored without saying why. Reason: what is written here is
//! finished or it is not here; a note to oneself is found by nobody.

use super::lex::{lines_with, words};
use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str = "no unfinished-work markers, no test ignored without a reason";

/// Macros that stand for missing code.
const MACROS: &[&str] = &["todo", "unimplemented"];

/// Words of a note to oneself, in code or comments.
const NOTES: &[&str] = &["FIXME", "XXX", "TODO"];

/// Looks at Rust, CUDA and Python.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_extension(&["rs", "cu", "py"]).flat_map(examine).collect()
}

fn examine(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for note in NOTES {
        for line in lines_with(&file.without_strings, note) {
            findings.push(file.finding(line, format!("`{note}`: finish it, or put it into ROADMAP.md")));
        }
    }
    for (i, line) in file.code.lines().enumerate() {
        for name in MACROS.iter().filter(|name| line.contains(&format!("{name}!"))) {
            findings.push(file.finding(i + 1, format!("`{name}!`: write it, or return a typed error")));
        }
        // A reason is a literal, which is blanked in `code`, but its `=` is still there.
        let is_attribute = line.contains("#[") && words(line).any(|w| w == "ignore");
        let unexplained = ["ignore]", "ignore)"].iter().any(|end| line.replace(' ', "").contains(end));
        if is_attribute && unexplained {
            findings.push(file.finding(i + 1, "an ignored test: say why, `#[ignore = \"reason\"]`"));
        }
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
    fn unfinished_code_is_found_in_code_and_notes_in_comments() {
        let text = format!("fn f() {{\n    {}!()\n}}\n// {}: later\n", "todo", "FIXME");
        assert_eq!(found("a.rs", &text), [4, 2]);
        assert_eq!(found("a.py", &format!("x = 1  # {}\n", "XXX")), [1]);
    }

    #[test]
    fn speaking_about_markers_is_allowed_in_strings_and_as_parts_of_words() {
        assert_eq!(found("a.rs", &format!("const S: &str = \"{}\"; // todo lists\n", "FIXME")), [0usize; 0]);
        assert_eq!(found("a.rs", "// the escape \\uXXXX\n"), [0usize; 0]);
    }

    #[test]
    fn an_ignored_test_needs_a_reason() {
        assert_eq!(found("a.rs", "#[ignore]\nfn f() {}\n"), [1]);
        assert_eq!(found("a.rs", "#[cfg_attr(debug_assertions, ignore)]\nfn f() {}\n"), [1]);
        assert_eq!(found("a.rs", "#[ignore = \"takes an hour\"]\nfn f() {}\n"), [0usize; 0]);
    }
}
