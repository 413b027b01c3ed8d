//! Rule: every crate of the workspace says `[lints] workspace = true`. Reason: a crate that forgets it silently has none of
//! the project's lints.

use super::manifest::entries;
use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "every crate takes the workspace's lints";

/// Reads every crate's manifest.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let takes = |text: &str| {
        let has = |section: &str, key: &str| {
            entries(text).iter().any(|e| e.section == section && e.key == key && e.value == "true")
        };
        has("lints", "workspace") || has("", "lints.workspace")
    };
    let without = tree.manifests().filter(|(_, manifest)| !takes(&manifest.text));
    without.map(|(_, manifest)| manifest.finding(1, "add `[lints]` with `workspace = true`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"),
            ("b/Cargo.toml", "[package]\nversion.workspace = true\n"),
            ("c/Cargo.toml", "[lints]\n[dependencies]\nworkspace = true\n"),
            ("Cargo.toml", "[workspace]\n"),
        ]);
        let found: Vec<String> = check(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(found, ["b/Cargo.toml", "c/Cargo.toml"]);
    }
}
