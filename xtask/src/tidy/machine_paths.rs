//! Rule: no absolute path of somebody's machine in any committed file. Reason: it works for its author and nobody else.
//! Folders come from an environment variable, the command line, or `std::env::temp_dir()`. Documents may show the
//! temporary folder in an example.

use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str = "no absolute path of one machine (home, work and temporary folders)";

/// First folders of such paths; the last one is allowed in documents.
const FIRST_FOLDERS: &[&str] = &["work", "root", "home", "tmp"];

/// Looks at every text file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(examine).collect()
}

fn examine(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let document = file.extension() == "md";
    for folder in FIRST_FOLDERS.iter().filter(|f| !(document && **f == "tmp")) {
        let path = format!("/{folder}/");
        for (i, line) in file.text.lines().enumerate() {
            if line.match_indices(&path).any(|(at, _)| starts_a_path(&line[..at])) {
                findings.push(file.finding(i + 1, format!("a path on one machine: `{path}`")));
            }
        }
    }
    findings
}

/// Is what follows the start of a path, or the middle of one (`docs/home/x`, `https://host/home/`)?
fn starts_a_path(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || "._-/}~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn an_absolute_path_is_found_wherever_it_starts() {
        for folder in FIRST_FOLDERS {
            for text in [format!("\"/{folder}/x\""), format!("cd /{folder}/x"), format!("A=/{folder}/x")] {
                assert_eq!(found("a.rs", &text), 1, "{text}");
            }
        }
    }

    #[test]
    fn the_same_word_inside_a_longer_path_is_fine() {
        for text in ["docs/home/x", "https://example.org/work/x", "{dir}/tmp/x", "a homework/work"] {
            assert_eq!(found("a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_document_may_show_the_temporary_folder_only() {
        assert_eq!(found("a.md", &format!("nanochat report > /{}/report.html", "tmp")), 0);
        assert_eq!(found("a.md", &format!("cd /{}/me", "home")), 1);
    }
}
