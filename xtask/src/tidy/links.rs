//! Rule: a link in a Markdown file to a file of the repository leads somewhere. Reason: the documents are the way in.

use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str = "links in *.md to files of the repository resolve";

/// Looks at every Markdown file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension(&["md"]) {
        for (line, target) in links(file) {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let lands = resolve(folder, &target).is_some_and(|path| tree.exists(&path));
            if !lands {
                findings.push(file.finding(line, format!("the link to `{target}` leads nowhere")));
            }
        }
    }
    findings
}

/// Line numbers and targets of all links to local files, without their `#anchor`.
pub fn links(file: &SourceFile) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in prose(&file.text) {
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let by_reference =
            text.strip_prefix('[').and_then(|t| t.split_once("]:")).map(|(_, target)| target.trim());
        for target in inline.chain(by_reference) {
            let target = target.split([' ', '#']).next().unwrap_or("");
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !target.is_empty() && !elsewhere {
                found.push((line, target.to_string()));
            }
        }
    }
    found
}

/// The lines outside fenced code, with `code spans` cut out.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then(|| (i + 1, line.split('`').step_by(2).collect::<Vec<_>>().join("`")))
    })
}

/// `a/b` and `../c/d.md` make `a/c/d.md`; `None` if the path leaves the repository.
pub fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tree = Tree::of(&[("README.md", ""), ("book/src/a.md", text), ("book/src/b.md", "")]);
        check(&tree).into_iter().map(|f| format!("{}: {}", f.line, f.message)).collect()
    }

    #[test]
    fn links_resolve_from_the_folder_of_their_file() {
        assert_eq!(found("[b](b.md#top) and [r](../../README.md), [dir](../src/)\n[x]: ./b.md\n"), [""; 0]);
    }

    #[test]
    fn a_link_to_nothing_is_found_with_its_line() {
        assert_eq!(found("ok\n[c](c.md)\n"), ["2: the link to `c.md` leads nowhere"]);
        assert_eq!(found("[up](../../../etc)\n").len(), 1, "outside the repository");
        assert_eq!(found("[x]: nowhere.md\n").len(), 1);
    }

    #[test]
    fn the_web_anchors_and_code_are_no_concern() {
        assert_eq!(
            found("[w](https://example.org/x.md) [a](#here) `[c](c.md)` \\\n```\n[c](c.md)\n```\n"),
            [""; 0]
        );
    }
}
