//! Rule: code that the book shows exists: the file of every `{{#include}}` is there, its anchor has a beginning and an end,
//! and no anchor is left that nobody shows. Reason: mdbook renders an empty block for an anchor that is gone, and says
//! nothing.

use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str =
    "every {{#include}} of the book finds its file and anchor; every anchor is shown somewhere";

/// Looks at every chapter, then at every anchor.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut shown: Vec<(String, String)> = Vec::new();
    for chapter in tree.with_extension(&["md"]).filter(|f| f.path.starts_with("book/src/")) {
        for (line, target, anchor) in includes(chapter) {
            let folder = chapter.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let source = super::links::resolve(folder, &target).and_then(|path| tree.get(&path));
            let Some(source) = source else {
                findings.push(chapter.finding(line, format!("the included file `{target}` does not exist")));
                continue;
            };
            let Some(anchor) = anchor else { continue };
            for mark in ["ANCHOR", "ANCHOR_END"] {
                if !anchors(source, mark).any(|(_, name)| name == anchor) {
                    findings
                        .push(chapter.finding(line, format!("no `// {mark}: {anchor}` in {}", source.path)));
                }
            }
            shown.push((source.path.clone(), anchor));
        }
    }
    for source in tree.rust() {
        for (line, name) in anchors(source, "ANCHOR") {
            if !shown.iter().any(|(path, anchor)| *path == source.path && anchor == name) {
                findings.push(source.finding(line, format!("no chapter shows the anchor `{name}`")));
            }
        }
    }
    findings
}

/// Line, file and anchor of every include.
fn includes(chapter: &SourceFile) -> Vec<(usize, String, Option<String>)> {
    let mut found = Vec::new();
    for (i, line) in chapter.text.lines().enumerate() {
        for rest in line.split("{{#include ").skip(1) {
            let target = rest.split("}}").next().unwrap_or("").trim();
            let (path, anchor) =
                target.split_once(':').map_or((target, None), |(p, a)| (p, Some(a.to_string())));
            found.push((i + 1, path.to_string(), anchor));
        }
    }
    found
}

/// Line and name of every comment `// MARK: name`, or `<!-- MARK: name -->`.
fn anchors<'a>(source: &'a SourceFile, mark: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let lines = source.text.lines().enumerate();
    lines.filter_map(move |(i, line)| {
        let line = line.trim();
        let html = || line.strip_prefix("<!-- ")?.strip_suffix(" -->");
        let name = line.strip_prefix("// ").or_else(html)?.strip_prefix(mark)?.strip_prefix(": ")?;
        Some((i + 1, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(chapter: &str, source: &str) -> Vec<String> {
        let tree = Tree::of(&[("book/src/a.md", chapter), ("kernels/src/add.rs", source)]);
        check(&tree).iter().map(|f| f.to_string()).collect()
    }

    const SOURCE: &str = "// ANCHOR: sum\nfn f() {}\n// ANCHOR_END: sum\n";

    #[test]
    fn a_marked_part_of_a_document_may_be_shown() {
        let table = "<!-- ANCHOR: table -->\n| a |\n<!-- ANCHOR_END: table -->\n";
        let tree = Tree::of(&[("book/src/a.md", "{{#include ../../R.md:table}}\n"), ("R.md", table)]);
        assert!(check(&tree).is_empty());
    }

    #[test]
    fn an_include_that_finds_its_code_is_fine() {
        assert_eq!(found("{{#include ../../kernels/src/add.rs:sum}}\n", SOURCE), [""; 0]);
        assert_eq!(found("{{#include ../../kernels/src/add.rs}}\n", "fn f() {}\n"), [""; 0]);
    }

    #[test]
    fn a_missing_file_and_a_missing_anchor_are_found() {
        let missing = found("\n{{#include ../../kernels/src/sub.rs:sum}}\n", "");
        assert_eq!(missing, ["book/src/a.md:2: the included file `../../kernels/src/sub.rs` does not exist"]);
        let open = found("{{#include ../../kernels/src/add.rs:sum}}\n", "// ANCHOR: sum\nfn f() {}\n");
        assert_eq!(open, ["book/src/a.md:1: no `// ANCHOR_END: sum` in kernels/src/add.rs"]);
        assert_eq!(found("{{#include ../../kernels/src/add.rs:product}}\n", "").len(), 2);
    }

    #[test]
    fn an_anchor_that_nobody_shows_is_found() {
        assert_eq!(found("Text.\n", SOURCE), ["kernels/src/add.rs:1: no chapter shows the anchor `sum`"]);
    }
}
