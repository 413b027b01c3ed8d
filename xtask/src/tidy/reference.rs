//! Rule: a kernel's `reference.rs` is plain loops over std and our view types, short enough to be obviously right.
//! Reason: it is the definition every other implementation is tested against. If it shared code with the fast versions, a
//! bug in that code would agree with itself; if it were long, nobody would believe it.

use super::lex::{lines_with, words};
use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str = "kernels/**/reference.rs: std and view types only, few lines of code";

/// Code lines a definition may have: not blank, no comment, no unit test.
const LIMIT: usize = 75;

/// Modules and crates a definition must not touch.
const FORBIDDEN: &[&str] = &["rayon", "arch", "simd", "par", "cpu", "cuda", "unsafe"];

/// Looks at every reference file of the kernels.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let is_reference = |f: &&SourceFile| f.path.starts_with("kernels/") && f.name() == "reference.rs";
    tree.rust().filter(is_reference).flat_map(examine).collect()
}

fn examine(file: &SourceFile) -> Vec<Finding> {
    let code = without_tests(&file.code);
    let mut findings = Vec::new();
    for name in FORBIDDEN {
        for line in lines_with(code, name) {
            findings.push(file.finding(line, format!("a reference implementation must not use `{name}`")));
        }
    }
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    if lines > LIMIT {
        let message =
            format!("{lines} lines of code, the limit for a definition is {LIMIT}: state it more plainly");
        findings.push(file.finding(1, message));
    }
    findings
}

/// The code in front of the test module.
fn without_tests(code: &str) -> &str {
    let mut end = 0;
    for line in code.split_inclusive('\n') {
        if line.starts_with("#[cfg(") && words(line).any(|w| w == "test") {
            break;
        }
        end += line.len();
    }
    &code[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|f| format!("{}: {}", f.line, f.message)).collect()
    }

    #[test]
    fn a_definition_may_use_std_and_views_only() {
        let path = "kernels/src/rms_norm/reference.rs";
        assert_eq!(
            found(path, "//! like cpu, without SIMD\nuse crate::view::View;\nuse std::iter;\n"),
            [""; 0]
        );
        let shared = found(path, "use crate::par::split;\nuse std::arch::x86_64::*;\nuse super::cpu::dot;\n");
        assert_eq!(shared.len(), 3, "{shared:?}");
    }

    #[test]
    fn tests_and_comments_do_not_count_as_length() {
        let path = "kernels/src/add/reference.rs";
        let body = |lines: usize| format!("//! Adds.\n\n{}", "let x = 1; // why\n".repeat(lines));
        assert_eq!(found(path, &body(LIMIT)), [""; 0]);
        assert_eq!(found(path, &body(LIMIT + 1)).len(), 1);
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", body(LIMIT), "use rayon;\n".repeat(50));
        assert_eq!(found(path, &tests), [""; 0]);
    }

    #[test]
    fn other_files_are_no_concern() {
        assert_eq!(found("kernels/src/add/cpu.rs", "use crate::par::split;\n"), [""; 0]);
    }
}
