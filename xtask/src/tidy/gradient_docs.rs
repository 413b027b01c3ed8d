//! Rule: the header of every differentiable operation states its gradient as a formula. Reason: a `vjp` can only be
//! reviewed against a derivation, and whoever changes the formula has to find the derivation beside it.

use super::kernel_docs::header;
use super::lex::words;
use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str =
    "autograd/src/ops/*.rs: the header derives the gradient (the word, then a formula for dx)";

/// Looks at every operation file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|f| !matches!(f.name(), "mod.rs" | "tests.rs")) {
        let inside = file.path.strip_prefix("autograd/src/ops/");
        if inside.is_some_and(|path| !path.contains('/')) && !derives(&header(file)) {
            findings.push(file.finding(1, "the header does not derive the gradient: \"Gradient: `dx = …`\""));
        }
    }
    findings
}

/// The word "gradient", and somewhere after it, in `code type`, an equation with a `dx`, whatever x is called.
fn derives(header: &str) -> bool {
    let Some(at) = header.to_lowercase().find("gradient") else { return false };
    let differential = |word: &str| word.len() >= 2 && word.starts_with('d');
    let equation = |span: &str| span.contains('=') && words(span).any(differential);
    // Lower case may change the length of a text in bytes, so the place is only a hint: count the spans before it.
    let before = header.to_lowercase()[..at].matches('`').count();
    header.split('`').skip(before + 1).any(equation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, header: &str) -> usize {
        check(&Tree::of(&[(path, header)])).len()
    }

    #[test]
    fn a_gradient_with_its_formula_is_fine() {
        for header in [
            "//! `y = 2x`. Gradient: `dx = 2·dy`.\nfn f() {}\n",
            "//! `y = a + b`.\n//!\n//! Gradients. By the sum rule\n//! `da = dy`, and `db` as well.\n",
        ] {
            assert_eq!(found("autograd/src/ops/twice.rs", header), 0, "{header}");
        }
    }

    #[test]
    fn a_word_without_a_formula_and_a_formula_without_the_word_are_found() {
        for header in [
            "//! `y = 2x`.\n",
            "//! `dy = 3`. Gradient: twice.\n",
            "//! `y = 2x`, `dx = 2·dy`.\n",
            "//! Gradient: `2·dy`.\nfn f() {} // `dx = 2`\n",
        ] {
            assert_eq!(found("autograd/src/ops/twice.rs", header), 1, "{header}");
        }
    }

    #[test]
    fn only_operations_are_looked_at() {
        assert_eq!(
            found("autograd/src/ops/mod.rs", "//! All.\n") + found("autograd/src/tape.rs", "//! T.\n"),
            0
        );
    }
}
