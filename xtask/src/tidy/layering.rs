//! Rule: dependencies between our crates point one way, the way of the table below; and the ecosystem's versions of parts
//! we write ourselves are for tests and benches only. Reason: a layer can be read, tested and replaced without knowing
//! what stands on it. ARCHITECTURE.md says what each layer must never know; this keeps it from finding out.

use super::manifest::{Dependency, dependencies};
use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "crates depend only on the layers below them; oracle crates are dev-dependencies";

/// For each crate, the crates of ours it may depend on.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("emulator", &[]),
    ("emulator-libcuda", &["emulator"]),
    ("kernels", &["emulator"]),
    ("cuda", &["emulator", "kernels"]),
    ("tensor", &["cuda", "kernels"]),
    ("autograd", &["kernels", "tensor"]),
    ("checks", &["kernels", "tensor", "autograd"]),
    ("model", &["kernels", "tensor", "autograd"]),
    ("tokenizer", &[]),
    ("train", &["kernels", "tensor", "autograd", "model", "tokenizer"]),
    ("chat", &["cuda", "emulator", "kernels", "tensor", "autograd", "checks", "model", "tokenizer", "train"]),
    (
        "tests",
        &["emulator", "kernels", "tensor", "autograd", "checks", "model", "tokenizer", "train", "chat"],
    ),
    (
        "benches",
        &["emulator", "kernels", "tensor", "autograd", "checks", "model", "tokenizer", "train", "chat"],
    ),
    ("xtask", &[]), // std only: it must build in a second on a fresh machine
];

/// Crates nothing may depend on, in any section.
const TOPS: &[&str] = &["tests", "benches", "xtask"];

/// Others' versions of parts that are ours: what we are compared with, never what we are made of.
const ORACLES: &[&str] = &[
    "approx",
    "criterion",
    "faer",
    "fancy-regex",
    "gemm",
    "matrixmultiply",
    "proptest",
    "safetensors",
    "tempfile",
    "tiktoken-rs",
    "tokenizers",
];

/// Reads every crate's manifest.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (krate, manifest) in tree.manifests() {
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| *name == krate) else {
            let message = format!(
                "crate `{krate}` has no layer: add it to MAY_DEPEND_ON in xtask/src/tidy/layering.rs"
            );
            findings.push(manifest.finding(1, message));
            continue;
        };
        for dependency in dependencies(&manifest.text) {
            if let Some(message) = fault(krate, allowed, &dependency) {
                findings.push(manifest.finding(dependency.line, message));
            }
        }
    }
    findings
}

fn fault(krate: &str, allowed: &[&str], dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    let for_tests = dependency.section == "dev-dependencies";
    let ours = MAY_DEPEND_ON.iter().any(|(layer, _)| *layer == name);
    if TOPS.contains(&name) {
        return Some(format!("nothing may depend on `{name}`"));
    }
    if ours && !for_tests && !allowed.contains(&name) {
        return Some(format!(
            "`{krate}` must not depend on `{name}`: dependencies point one way (ARCHITECTURE.md)"
        ));
    }
    if krate == "xtask" && !ours {
        return Some(format!("`xtask` uses std only, so not `{name}`"));
    }
    if ORACLES.contains(&name) && !for_tests && !TOPS.contains(&krate) {
        return Some(format!("`{name}` is an oracle for tests and benches: make it a dev-dependency"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(krate: &str, manifest: &str) -> Vec<String> {
        let path = format!("{krate}/Cargo.toml");
        check(&Tree::of(&[(&path, manifest)])).into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn the_table_has_no_cycle_because_every_layer_names_earlier_rows_only() {
        let order: Vec<&str> = MAY_DEPEND_ON.iter().map(|(name, _)| *name).collect();
        for (i, (name, allowed)) in MAY_DEPEND_ON.iter().enumerate() {
            for dependency in *allowed {
                assert!(order[..i].contains(dependency), "{name} -> {dependency}");
            }
        }
    }

    #[test]
    fn a_dependency_on_a_layer_above_is_refused() {
        let upward = found("tensor", "[dependencies]\nkernels.workspace = true\nautograd.workspace = true\n");
        assert_eq!(upward.len(), 1);
        assert!(upward[0].contains("`tensor` must not depend on `autograd`"));
        assert_eq!(found("tensor", "[dev-dependencies]\nautograd.workspace = true\n"), [""; 0]);
    }

    #[test]
    fn renaming_the_package_does_not_hide_it() {
        let found =
            found("kernels", "[dependencies]\nt = { package = \"nanochat-tensor\", path = \"../tensor\" }\n");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn nothing_depends_on_tests_even_in_tests() {
        assert_eq!(found("model", "[dev-dependencies]\ntests.workspace = true\n").len(), 1);
    }

    #[test]
    fn an_oracle_is_for_tests_only() {
        assert_eq!(found("kernels", "[dependencies]\ngemm.workspace = true\n").len(), 1);
        assert_eq!(found("kernels", "[dev-dependencies]\ngemm.workspace = true\n").len(), 0);
        assert_eq!(found("benches", "[dependencies]\ngemm.workspace = true\n").len(), 0);
    }

    #[test]
    fn a_crate_without_a_layer_and_a_dependency_of_xtask_are_found() {
        assert_eq!(found("newcomer", "[package]\n").len(), 1);
        assert_eq!(found("xtask", "[dependencies]\nserde = \"1\"\n").len(), 1);
    }
}
