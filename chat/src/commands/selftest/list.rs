//! `selftest --list`: the registries, for reading, for the book and for programs.

use super::entry::Entry;
use super::places;
use serde_json::json;

/// All entries, as lines, as Markdown tables or as JSON.
pub fn render(entries: &[Entry], markdown: bool, json: bool) -> serde_json::Result<String> {
    Ok(match (json, markdown) {
        (true, _) => as_json(entries)? + "\n",
        (_, true) => tables(entries),
        _ => lines(entries),
    })
}

fn lines(entries: &[Entry]) -> String {
    let width = entries.iter().map(|e| e.name().len()).max().unwrap_or(0);
    entries.iter().map(|e| format!("{:9}  {:width$}  {}\n", e.kind(), e.name(), e.doc())).collect()
}

/// Where everything of a kernel is, and a table per kind.
fn tables(entries: &[Entry]) -> String {
    let mut text = places::table(entries);
    let mut kind = "";
    for e in entries {
        if std::mem::replace(&mut kind, e.kind()) != e.kind() {
            let (title, place) = match e {
                Entry::Kernel(_) => ("Kernels", "folder in `kernels/src/`"),
                Entry::Op(_) => ("Differentiable operations", "file in `autograd/src/ops/`"),
            };
            let gap = if text.is_empty() { "" } else { "\n" };
            text +=
                &format!("{gap}## {title}\n\n| {kind} | {place} | what it computes | dtypes | layouts |\n");
            text += "|---|---|---|---|---|\n";
        }
        let doc = e.doc().replace('|', "\\|"); // a bar would end the cell
        let (name, place) = (e.name(), e.place());
        text += &format!("| `{name}` | `{place}` | {doc} | {} | {} |\n", dtypes(e).join(", "), e.layouts());
    }
    text
}

fn as_json(entries: &[Entry]) -> serde_json::Result<String> {
    let entry = |e: &Entry| {
        json!({
            "kind": e.kind(), "name": e.name(), "place": e.place(), "doc": e.doc(), "dtypes": dtypes(e),
            "layouts": e.layouts(),
        })
    };
    serde_json::to_string_pretty(&entries.iter().map(entry).collect::<Vec<_>>())
}

fn dtypes(e: &Entry) -> Vec<String> {
    e.dtypes().iter().map(|d| d.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_row_of_five_cells() {
        let entries = Entry::all();
        assert!(["kernel", "operation"].iter().all(|kind| entries.iter().any(|e| e.kind() == *kind)));
        let text = tables(&entries);
        for e in &entries {
            assert!(!e.place().is_empty(), "{}", e.name());
            let start = format!("| `{}` | `{}` | ", e.name(), e.place());
            let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(&start)).collect();
            assert!(!rows.is_empty(), "{} has no row", e.name());
            assert!(rows.iter().all(|row| row.replace("\\|", "").matches('|').count() == 6), "{rows:?}");
        }
        let json: Vec<serde_json::Value> = serde_json::from_str(&as_json(&entries).unwrap()).unwrap();
        assert_eq!(json.len(), entries.len());
        assert_eq!(lines(&entries).lines().count(), entries.len());
    }

    #[test]
    fn the_page_of_the_book_is_what_this_prints() {
        let page = include_str!("../../../../book/src/operations.md");
        let fresh = render(&Entry::all(), true, false).unwrap();
        assert!(page.ends_with(&fresh), "book/src/operations.md is out of date: run `cargo xtask book`");
    }
}
