//! Rule: the header of every kernel folder says what a reader must know before the code means anything: the formula, the
//! shapes, and the paper it comes from, or that there is none. And its table of kernels says what to measure.
//! Reason: who finds an operation by search starts in this header; what it leaves out has to be guessed from loops.

use super::lex::words;
use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str =
    "kernels/src/<op>: formula, shapes, paper in the header; a registry entry, with shapes to measure";

/// Folders of the kernels that hold machinery, not an operation.
pub const MACHINERY: &[&str] = &["cuda", "measure", "verify"];

/// Looks at every folder of an operation.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let inside = file.path.strip_prefix("kernels/src/").and_then(|p| p.strip_suffix("/mod.rs"));
        let Some(folder) = inside.filter(|f| !f.contains('/') && !MACHINERY.contains(f)) else { continue };
        let header = header(file);
        let missing = [
            (has_formula(&header), "the formula, in `code type` with a `=`"),
            (has_shapes(&header), "the shapes: (…, C), or which dims the arguments have"),
            (has_source(&header), "the paper (author and year, or arXiv), or the words \"no paper\""),
        ];
        for (_, what) in missing.iter().filter(|(said, _)| !said) {
            findings.push(file.finding(1, format!("the header of `{folder}` lacks {what}")));
        }
        findings.extend(table(tree, file, folder));
    }
    findings
}

/// The table `KERNELS`, wherever in the folder it stands, and the shapes to measure in it.
fn table(tree: &Tree, module: &SourceFile, folder: &str) -> Vec<Finding> {
    let base = format!("kernels/src/{folder}/");
    let files = || tree.rust().filter(|f| f.path.starts_with(&base));
    let mut findings = Vec::new();
    if !files().any(|f| f.code.contains("const KERNELS: &[KernelInfo]") && f.code.contains("KernelInfo {")) {
        findings.push(module.finding(1, format!("`{folder}` has no table KERNELS: nothing tests it")));
    }
    for file in files() {
        for (i, _) in file.code.lines().enumerate().filter(|(_, line)| line.contains("bench: Vec::new")) {
            findings.push(file.finding(i + 1, "no shape to measure: `bench` names shapes of real models"));
        }
    }
    findings
}

/// The lines `//! …` a file opens with, without the marks.
pub fn header(file: &SourceFile) -> String {
    let lines = file.text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.trim_start()).collect::<Vec<_>>().join("\n")
}

/// Is there an equation, an assignment or a proportion in `code type`?
fn has_formula(header: &str) -> bool {
    header.split('`').skip(1).step_by(2).any(|span| span.contains(['=', '←', '∝']))
}

/// A parenthesis such as `(…, C)`, `(B, T)` or `(N)`, or a word that speaks of shapes.
fn has_shapes(header: &str) -> bool {
    let size = |inside: &str| {
        let first = inside.split([',', ')']).next().unwrap_or("").trim();
        first == "…" || (first.chars().count() == 1 && first.starts_with(char::is_uppercase))
    };
    header.split('(').skip(1).any(size) || ["dims", "shape"].iter().any(|word| header.contains(word))
}

/// An arXiv number, a year after a name, or the admission that there is neither.
fn has_source(header: &str) -> bool {
    let year = |word: &str| word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
    let mut before = "";
    let named = words(header).any(|word| {
        let name = std::mem::replace(&mut before, word);
        year(word) && word.bytes().all(|b| b.is_ascii_digit()) && name.starts_with(char::is_alphabetic)
    });
    named || header.contains("arXiv:") || header.to_lowercase().contains("no paper")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\npub const KERNELS: &[KernelInfo] = &[KernelInfo { bench: measured }];\n";

    fn found(header: &str, code: &str) -> Vec<String> {
        let text = format!("{header}\n\n{code}");
        let tree = Tree::of(&[("kernels/src/add/mod.rs", &text)]);
        check(&tree).into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn a_complete_header_is_fine() {
        let header = "//! Adds: `y = a + b` (Euclid 1999).\n//!\n//! `a`: (…, C).";
        assert_eq!(found(header, TABLE), [""; 0]);
        for shapes in ["same dims", "one shape", "`a`: (N)", "(R, C)", "(…)"] {
            let header = format!("//! Adds: `y = a + b`; {shapes}. Elementary; no paper.");
            assert_eq!(found(&header, TABLE), [""; 0], "{shapes}");
        }
    }

    #[test]
    fn what_a_header_leaves_out_is_named() {
        assert_eq!(found("//! Adds.", TABLE).len(), 3);
        let no_source = found("//! `y = a + b`, (…, C). Since 2019.5, 20190 and 1999x.", TABLE);
        assert_eq!(no_source.len(), 0, "a year after a word: {no_source:?}");
        assert!(found("//! `y = a + b`, (…, C).", TABLE)[0].contains("paper"));
        assert!(found("//! y = a + b, (…, C); no paper.", TABLE)[0].contains("formula"));
        for not_shapes in ["", "(and so on)", "(FlashAttention)"] {
            let header = format!("//! `y = a + b` {not_shapes}; no paper.");
            assert!(found(&header, TABLE)[0].contains("shapes"), "{not_shapes}");
        }
    }

    #[test]
    fn a_table_is_needed_and_shapes_to_measure_in_it() {
        let header = "//! `y = a + b`, same dims; no paper.";
        assert!(found(header, "")[0].contains("no table KERNELS"));
        let empty = TABLE.replace("bench: measured", "bench: Vec::new");
        assert!(found(header, &empty)[0].contains("no shape to measure"));
    }

    #[test]
    fn the_table_may_stand_in_another_file_and_machinery_needs_none() {
        let header = "//! `y = a + b`, same dims; no paper.\n";
        let files = [("kernels/src/add/mod.rs", header), ("kernels/src/add/registry.rs", TABLE)];
        assert_eq!(check(&Tree::of(&files)), []);
        assert_eq!(check(&Tree::of(&[("kernels/src/verify/mod.rs", "//! Checks.\n")])), []);
    }
}
