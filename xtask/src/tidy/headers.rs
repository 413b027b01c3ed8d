//! Rule: every Rust file opens with a `//!` header and every CUDA file with a `//` comment. Reason: a reader who lands in
//! a file by search must learn in three lines what it is for and where to go next.

use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "every .rs file opens with `//!`, every .cu file with `//`: what it is for";

/// Looks at the first line that is not empty.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension(&["rs", "cu"]) {
        let wanted = if file.extension() == "rs" { "//!" } else { "//" };
        let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        let said = first.strip_prefix(wanted).is_some_and(|rest| !rest.trim().is_empty());
        if !said {
            findings.push(file.finding(1, format!("open the file with a `{wanted}` header: what it is for")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_header_is_found() {
        let tree = Tree::of(&[
            ("good.rs", "//! Adds numbers.\nuse std::fmt;\n"),
            ("bare.rs", "use std::fmt;\n//! late\n"),
            ("empty.rs", ""),
            ("blank.rs", "//!\nuse std::fmt;\n"),
            ("good.cu", "// One block adds one row.\n"),
            ("bare.cu", "extern \"C\" void f() {}\n"),
        ]);
        let found: Vec<String> = check(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(found, ["bare.rs", "empty.rs", "blank.rs", "bare.cu"]);
    }
}
