//! Rule: in the engine only `kernels/src/par.rs` names rayon; the tokenizer, which stands alone, may use it too. Reason:
//! results must have the same bits for any number of threads. `par.rs` splits work by problem size alone; a stray
//! parallel sum elsewhere would not.

use super::lex::lines_with;
use super::manifest::dependencies;
use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "only kernels/src/par.rs (and the tokenizer) names rayon";

/// Looks for the crate's name in code and in manifests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let may_use = |path: &str| path == "kernels/src/par.rs" || path.starts_with("tokenizer/");
    for file in tree.rust().filter(|f| !may_use(&f.path)) {
        for line in lines_with(&file.code, "rayon") {
            findings
                .push(file.finding(line, "only kernels/src/par.rs names rayon: split work through `par`"));
        }
    }
    let may_depend = |krate: &str| matches!(krate, "kernels" | "tokenizer");
    for (_, manifest) in tree.manifests().filter(|(krate, _)| !may_depend(krate)) {
        for dependency in dependencies(&manifest.text) {
            if dependency.name == "rayon" && dependency.section != "dev-dependencies" {
                findings.push(
                    manifest.finding(dependency.line, "only kernels and tokenizer may depend on rayon"),
                );
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_in_code_and_manifests_outside_its_places() {
        let code = "use rayon::prelude::*; // rayon\n";
        let tree = Tree::of(&[
            ("kernels/src/par.rs", code),
            ("tokenizer/src/train.rs", code),
            ("kernels/src/matmul/cpu.rs", code),
            ("train/src/loader.rs", "// like rayon, but simpler\n"),
            ("kernels/Cargo.toml", "[dependencies]\nrayon.workspace = true\n"),
            ("train/Cargo.toml", "[dependencies]\nrayon.workspace = true\n"),
        ]);
        let found: Vec<String> = check(&tree).iter().map(|f| format!("{}:{}", f.path, f.line)).collect();
        assert_eq!(found, ["kernels/src/matmul/cpu.rs:1", "train/Cargo.toml:2"]);
    }
}
