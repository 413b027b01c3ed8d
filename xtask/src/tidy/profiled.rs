//! Rule: every public function of a kernel that takes a backend holds a `profile::call` while it runs. Reason: a kernel that
//! does not report itself is missing from `--profile`, and its time hides in "everything else".

use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "every public kernel function that takes a backend calls `profile::call`";

/// Folders that hold machinery, and files that stand beside the operations' folders, are not kernels.
const MACHINERY: &[&str] = &["cuda/", "verify/"];

/// Looks at the text of each public function, from its head to the next line that closes an item.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let Some(inside) = file.path.strip_prefix("kernels/src/").filter(|p| p.contains('/')) else {
            continue;
        };
        if MACHINERY.iter().any(|folder| inside.starts_with(folder)) {
            continue;
        }
        let mut line = 1;
        let mut rest = file.code.as_str();
        while let Some(at) = rest.find("\npub fn ") {
            line += rest[..=at].matches('\n').count();
            let item = &rest[at + 1..];
            let item = &item[..item.find("\n}").unwrap_or(item.len())];
            let head = item.split('{').next().unwrap_or_default();
            if head.contains("dyn Backend") && !item.contains("profile::call") {
                let name = head["pub fn ".len()..].split(['(', '<']).next().unwrap_or_default();
                findings.push(file.finding(
                    line,
                    format!("`{name}` does not report itself: `let _timed = profile::call(OP, || Cost {{ … }});` before the backend's method"),
                ));
            }
            rest = &rest[at + 1..];
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(|f| format!("{}:{}", f.path, f.line)).collect()
    }

    const SILENT: &str =
        "//! Dot.\n\npub fn dot(b: &dyn Backend, x: View) -> Result<()> {\n    b.dot(x)\n}\n";

    #[test]
    fn a_kernel_function_that_reports_nothing_is_found() {
        assert_eq!(found("kernels/src/dot/mod.rs", SILENT), ["kernels/src/dot/mod.rs:3"]);
        let comment = SILENT.replace("    b.dot", "    // profile::call\n    b.dot");
        assert_eq!(found("kernels/src/dot/mod.rs", &comment).len(), 1, "a comment reports nothing");
        let two = format!(
            "{}{}",
            SILENT.replace("    b.dot", "    let _t = profile::call(OP, cost);\n    b.dot"),
            SILENT
        );
        assert_eq!(found("kernels/src/dot/mod.rs", &two), ["kernels/src/dot/mod.rs:9"], "each for itself");
    }

    #[test]
    fn what_is_no_kernel_function_needs_no_report() {
        let reports = SILENT.replace("    b.dot", "    let _timed = profile::call(OP, cost);\n    b.dot");
        assert_eq!(found("kernels/src/dot/mod.rs", &reports), [""; 0]);
        assert_eq!(found("kernels/src/verify/run.rs", SILENT), [""; 0]);
        assert_eq!(found("kernels/src/backend.rs", SILENT), [""; 0]);
        assert_eq!(found("tensor/src/ops/dot.rs", SILENT), [""; 0]);
        assert_eq!(
            found("kernels/src/dot/mod.rs", "\npub fn scratch(n: usize) -> usize {\n    n\n}\n"),
            [""; 0]
        );
    }
}
