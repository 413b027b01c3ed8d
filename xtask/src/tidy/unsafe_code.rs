//! Rule: the keyword `unsafe` stands only in the kernels, in the tensor's storage and memory map, in the emulator, in the driver that
//! calls NVIDIA's libraries, and where benchmarks call other people's kernels.
//! Reason: these are the places where hardware, raw memory and SIMD are the subject. Whoever audits memory safety has to
//! read them and nothing else.

use super::lex::lines_with;
use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "`unsafe` only in kernels, emulator, emulator-libcuda, cuda/src/hardware, tensor/src/{storage,mmap}.rs, benches/baselines.rs";

fn allowed(path: &str) -> bool {
    path.starts_with("kernels/")
        || path.starts_with("emulator/")
        || path.starts_with("emulator-libcuda/")
        || path.starts_with("cuda/src/hardware/")
        || matches!(path, "tensor/src/storage.rs" | "tensor/src/mmap.rs" | "benches/baselines.rs")
}

/// Looks for the keyword in code; comments, strings and lint names are not code.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|f| !allowed(&f.path)) {
        for line in lines_with(&file.code, "unsafe") {
            findings.push(
                file.finding(line, "`unsafe` is not allowed here: move it into kernels or find a safe way"),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_is_found_outside_its_places() {
        let code = "//! unsafe in a comment\nfn f() { unsafe { g() } }\n";
        let tree = Tree::of(&[
            ("kernels/src/cpu.rs", code),
            ("tensor/src/storage.rs", code),
            ("tensor/src/layout.rs", code),
            ("train/src/lib.rs", "#![deny(unsafe_op_in_unsafe_fn)]\nconst S: &str = \"unsafe\";\n"),
        ]);
        let found: Vec<String> = check(&tree).iter().map(|f| format!("{}:{}", f.path, f.line)).collect();
        assert_eq!(found, ["tensor/src/layout.rs:2"]);
    }
}
