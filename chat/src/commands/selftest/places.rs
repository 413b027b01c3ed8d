//! Where everything of an operation is: for each kernel folder its definition, fast version, gradient and benchmark. For
//! the generated page of the book.

use super::entry::Entry;
use std::collections::BTreeSet;

/// Folders whose kernels are differentiated under other names than the folder's.
const UNDER_OTHER_NAMES: &[(&str, &[&str])] = &[
    ("copy", &["cast", "cat", "views"]),
    ("cross_entropy", &["lm_head_loss"]),
    ("matmul", &["matmul", "linear"]),
];

/// A row per folder, in the order of the registry; empty if there is no kernel among the entries.
pub fn table(entries: &[Entry]) -> String {
    let mut folders: Vec<(&str, Vec<&str>)> = Vec::new();
    for e in entries.iter().filter(|e| matches!(e, Entry::Kernel(_))) {
        match folders.last_mut().filter(|(folder, _)| *folder == e.place()) {
            Some((_, labels)) => labels.extend(e.measured()),
            None => folders.push((e.place(), e.measured())),
        }
    }
    if folders.is_empty() {
        return String::new();
    }
    let mut text = String::from("## Where everything is\n\n");
    text += "| folder in `kernels/src/` | definition | fast version | gradient, in `autograd/src/ops/` | measured at |\n";
    text += "|---|---|---|---|---|\n";
    for (folder, mut labels) in folders {
        let mut seen = BTreeSet::new();
        labels.retain(|label| seen.insert(*label));
        let labels = if labels.is_empty() { "–".to_string() } else { labels.join(", ") };
        let gradients = gradients(folder);
        text += &format!("| `{folder}` | `reference.rs` | `cpu.rs` | {gradients} | {labels} |\n");
    }
    text
}

/// The operation files that differentiate a folder's kernels; a dash if they have no derivative.
fn gradients(folder: &str) -> String {
    let is_op = |module: &str| Entry::all().iter().any(|e| matches!(e, Entry::Op(op) if op.module == module));
    let other =
        UNDER_OTHER_NAMES.iter().find(|(name, _)| *name == folder).map_or(&[][..], |(_, files)| files);
    let own = [folder];
    let files = if other.is_empty() { &own[..] } else { other };
    let found: Vec<String> =
        files.iter().filter(|file| is_op(file)).map(|file| format!("`{file}.rs`")).collect();
    if found.is_empty() { "–".into() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_has_a_row_with_its_gradient() {
        let text = table(&Entry::all());
        for (folder, _) in kernels::TABLES {
            assert_eq!(text.matches(&format!("\n| `{folder}` | ")).count(), 1, "{folder}");
        }
        assert!(text.contains("| `rms_norm` | `reference.rs` | `cpu.rs` | `rms_norm.rs` |"), "{text}");
        assert_eq!(gradients("adamw"), "–");
        assert!(table(&[]).is_empty());
    }

    #[test]
    fn names_that_differ_are_those_of_folders_and_files() {
        for (folder, files) in UNDER_OTHER_NAMES {
            assert!(kernels::TABLES.iter().any(|(name, _)| name == folder), "no folder {folder}");
            assert_eq!(gradients(folder).matches(".rs").count(), files.len(), "{folder}");
        }
    }
}
