//! Rule: the book's list of chapters and its files agree. Reason: mdbook makes an empty file for a chapter that is missing
//! and shows nothing for one that is not listed.

use super::links::links;
use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "book/src/SUMMARY.md and the chapters in book/src name each other";

const SUMMARY: &str = "book/src/SUMMARY.md";

/// Compares the list and the folder.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(summary) = tree.get(SUMMARY) else {
        return vec![Finding {
            path: SUMMARY.into(),
            line: 1,
            message: "the book has no list of chapters".into(),
        }];
    };
    let listed = links(summary);
    let path = |target: &str| format!("book/src/{}", target.trim_start_matches("./"));
    let mut findings = Vec::new();
    for (line, target) in &listed {
        if tree.get(&path(target)).is_none() {
            findings.push(summary.finding(*line, format!("chapter `{target}` does not exist")));
        }
    }
    let chapters =
        tree.with_extension(&["md"]).filter(|f| f.path.starts_with("book/src/") && f.path != SUMMARY);
    for chapter in chapters {
        if !listed.iter().any(|(_, target)| path(target) == chapter.path) {
            findings.push(chapter.finding(1, format!("not listed in {SUMMARY}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(|f| f.to_string()).collect()
    }

    #[test]
    fn a_list_that_matches_the_folder_is_fine() {
        let summary = (SUMMARY, "# Summary\n\n- [A](a.md)\n- [B](./part/b.md)\n");
        assert_eq!(found(&[summary, ("book/src/a.md", ""), ("book/src/part/b.md", "")]), [""; 0]);
    }

    #[test]
    fn missing_chapters_and_unlisted_files_are_found() {
        let files = [(SUMMARY, "- [A](a.md)\n"), ("book/src/b.md", "")];
        let want = [
            "book/src/SUMMARY.md:1: chapter `a.md` does not exist",
            "book/src/b.md:1: not listed in book/src/SUMMARY.md",
        ];
        assert_eq!(found(&files), want);
    }

    #[test]
    fn a_book_without_a_list_is_found() {
        assert_eq!(found(&[]).len(), 1);
    }
}
