//! Rule: in the engine only `kernels/src/par.rs`, with its folder, starts threads, and the loader that works ahead has one; rayon
//! is for the tokenizer, which stands alone. Reason: results must have the same bits for any number of threads. `par.rs` splits work by problem size alone; a
//! stray parallel sum elsewhere would not.

use super::lex::lines_with;
use super::manifest::dependencies;
use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str =
    "only kernels/src/par.rs and train/src/data/ahead.rs start threads; only the tokenizer names rayon";

/// What starts threads.
const STARTERS: [&str; 2] = ["thread::spawn", "thread::Builder"];
/// Crates whose results must not depend on threads.
const ENGINE: [&str; 6] = ["kernels/", "tensor/", "autograd/", "model/", "checks/", "train/"];

/// Looks for these and for the crate's name in code, and for the crate in manifests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let par = |path: &str| {
        path == "kernels/src/par.rs"
            || path.starts_with("kernels/src/par/")
            || path == "train/src/data/ahead.rs"
    };
    for file in tree.rust().filter(|f| !f.path.starts_with("tokenizer/")) {
        for line in lines_with(&file.code, "rayon") {
            findings.push(file.finding(line, "only the tokenizer names rayon: split work through `par`"));
        }
        if par(&file.path) || !ENGINE.iter().any(|krate| file.path.starts_with(krate)) {
            continue;
        }
        let starts = |line: &str| STARTERS.iter().any(|starter| line.contains(starter));
        for (line, _) in (1..).zip(file.code.lines()).filter(|(_, text)| starts(text)) {
            findings
                .push(file.finding(line, "only kernels/src/par.rs starts threads: split work through `par`"));
        }
    }
    for (_, manifest) in tree.manifests().filter(|(krate, _)| *krate != "tokenizer") {
        for dependency in dependencies(&manifest.text) {
            if dependency.name == "rayon" && dependency.section != "dev-dependencies" {
                findings.push(manifest.finding(dependency.line, "only the tokenizer may depend on rayon"));
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
            ("kernels/src/par/team.rs", "std::thread::Builder::new();\n"),
            ("chat/src/serve.rs", "std::thread::spawn(f);\n"),
            ("tensor/src/sum.rs", "\nstd::thread::spawn(f);\n"),
            ("tokenizer/src/train.rs", code),
            ("kernels/src/matmul/cpu.rs", code),
            ("train/src/loader.rs", "// like rayon, but simpler\n"),
            ("tokenizer/Cargo.toml", "[dependencies]\nrayon.workspace = true\n"),
            ("train/Cargo.toml", "[dependencies]\nrayon.workspace = true\n"),
        ]);
        let mut found: Vec<String> = check(&tree).iter().map(|f| format!("{}:{}", f.path, f.line)).collect();
        found.sort();
        assert_eq!(found, ["kernels/src/matmul/cpu.rs:1", "tensor/src/sum.rs:2", "train/Cargo.toml:2"]);
    }
}
