//! Rule: every kernel folder is in the list macro of `kernels/src/lib.rs`, and every differentiable operation is in the
//! registry of the crate `checks`. Reason: tests, benchmarks and the book's table are made from the registries, so an
//! operation that is not in one is an operation that nothing tests.

use super::kernel_docs::MACHINERY;
use super::lex::{without_comments, words};
use super::tree::{Finding, SourceFile, Tree};
use std::collections::BTreeSet;

/// The rule in one line.
pub const RULE: &str = "every kernel folder is in `ops!`, every autograd op file is in the registry";

/// Looks for folders and files that no registry names.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = kernels(tree);
    findings.extend(autograd(tree));
    findings
}

/// Kernel folders against the list macro, and each folder against its parts.
fn kernels(tree: &Tree) -> Vec<Finding> {
    let listed = tree.get("kernels/src/lib.rs").map(|lib| listed_in_macro(&lib.code)).unwrap_or_default();
    let mut findings = Vec::new();
    for file in tree.rust() {
        let inside = file.path.strip_prefix("kernels/src/").and_then(|p| p.strip_suffix("/mod.rs"));
        let Some(folder) = inside.filter(|f| !f.contains('/') && !MACHINERY.contains(f)) else { continue };
        if !listed.contains(folder) {
            findings
                .push(file.finding(1, format!("`{folder}` is not in the `ops!` list of kernels/src/lib.rs")));
        }
        let has = |part: &str| {
            let stem = part.trim_end_matches(".rs");
            let base = format!("kernels/src/{folder}");
            tree.get(&format!("{base}/{part}")).is_some() || tree.exists(&format!("{base}/{stem}"))
        };
        for part in ["reference.rs", "cpu.rs"].into_iter().filter(|part| !has(part)) {
            findings.push(file.finding(1, format!("`{folder}` has no {part}: every operation has one")));
        }
    }
    findings
}

/// The words inside `ops! { … }` calls; the macro's definition does not count.
fn listed_in_macro(code: &str) -> BTreeSet<&str> {
    let mut listed = BTreeSet::new();
    for call in code.split("ops!").skip(1) {
        let Some(open) = call.find(['{', '(', '[']).filter(|at| call[..*at].trim().is_empty()) else {
            continue;
        };
        let close = call[open..].find(['}', ')', ']']).map_or(call.len(), |at| open + at);
        listed.extend(words(&call[open..close]));
    }
    listed
}

/// Operation files against the text of the registry, wherever under `checks/src/registry` it stands. A file is
/// registered under its module's name, a type that implements the trait, or the operation's name.
fn autograd(tree: &Tree) -> Vec<Finding> {
    let is_registry = |f: &&SourceFile| f.path.starts_with("checks/src/registry");
    let registry: String = tree.rust().filter(is_registry).map(|f| without_comments(&f.text)).collect();
    let named: BTreeSet<&str> = words(&registry).collect();
    let mut findings = Vec::new();
    for file in tree.rust().filter(|f| !matches!(f.name(), "mod.rs" | "tests.rs")) {
        let Some(inside) = file.path.strip_prefix("autograd/src/ops/") else { continue };
        let module = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        if !named.contains(module) && !own_names(&file.text).iter().any(|name| named.contains(name)) {
            findings
                .push(file.finding(1, format!("operation `{module}` is not in OPS (checks/src/registry/)")));
        }
    }
    findings
}

/// `RmsNorm` and `rms_norm` from `impl Op<1, 1> for RmsNorm { const NAME: &'static str = "rms_norm"; …`.
fn own_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        let type_name = line.strip_prefix("impl").filter(|l| words(l).any(|w| w == "Op" || w == "OpN"));
        names.extend(type_name.and_then(|l| words(l.split(" for ").nth(1)?).next()));
        names.extend(line.strip_prefix("const NAME").and_then(|l| l.split('"').nth(1)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).into_iter().map(|f| f.message).collect()
    }

    const PARTS: [(&str, &str); 3] = [
        ("kernels/src/rms_norm/mod.rs", ""),
        ("kernels/src/rms_norm/reference.rs", ""),
        ("kernels/src/rms_norm/cpu.rs", ""),
    ];

    fn with_lib(lib: &str) -> Vec<(&str, &str)> {
        PARTS.into_iter().chain([("kernels/src/lib.rs", lib)]).collect()
    }

    #[test]
    fn a_kernel_folder_must_be_listed() {
        assert_eq!(
            found(&with_lib("macro_rules! ops { ($($op:ident),*) => {} }\nops! { matmul, rms_norm }\n")),
            [""; 0]
        );
        assert_eq!(found(&with_lib("ops! { matmul } // rms_norm\nuse rms_norm::x;\n")).len(), 1);
    }

    #[test]
    fn the_definition_of_the_macro_lists_nothing() {
        assert_eq!(found(&with_lib("macro_rules! ops { (rms_norm) => {} }\n")).len(), 1);
    }

    #[test]
    fn a_kernel_without_its_definition_is_found_and_a_folder_of_parts_is_fine() {
        let lib = ("kernels/src/lib.rs", "ops! { add, dot }");
        let files = [lib, ("kernels/src/add/mod.rs", ""), ("kernels/src/add/cpu/mod.rs", "")];
        assert_eq!(found(&files), ["`add` has no reference.rs: every operation has one"]);
        assert_eq!(found(&[lib, ("kernels/src/cuda/mod.rs", "")]), [""; 0], "machinery is no operation");
    }

    #[test]
    fn an_autograd_operation_must_be_registered() {
        let op = ("autograd/src/ops/softcap.rs", "");
        assert_eq!(found(&[op, ("checks/src/registry.rs", "use ops::softcap;")]), [""; 0]);
        assert_eq!(found(&[op, ("checks/src/registry/losses.rs", "softcap::INFO,")]), [""; 0]);
        assert_eq!(found(&[op, ("checks/src/registry.rs", "// softcap")]).len(), 1);
        assert_eq!(found(&[("autograd/src/ops/mod.rs", "")]), [""; 0]);
    }

    #[test]
    fn an_operation_may_be_registered_by_its_type_or_its_name() {
        let text = "impl Op<1, 1> for Cap {\n    const NAME: &'static str = \"cap15\";\n}\n";
        let op = ("autograd/src/ops/softcap.rs", text);
        for registry in ["info::<Cap>()", "name: \"cap15\","] {
            assert_eq!(found(&[op, ("checks/src/registry.rs", registry)]), [""; 0], "{registry}");
        }
        assert_eq!(found(&[op, ("checks/src/registry.rs", "info::<Op>() // Cap")]).len(), 1);
    }
}
