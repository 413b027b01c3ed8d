//! `selftest --list`: the registries, for reading, for the book and for programs.

use super::entry::Entry;
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

/// A table per kind.
fn tables(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut kind = "";
    for e in entries {
        if std::mem::replace(&mut kind, e.kind()) != e.kind() {
            let gap = if text.is_empty() { "" } else { "\n" };
            text += &format!("{gap}| {kind} | what it computes | dtypes | layouts |\n|---|---|---|---|\n");
        }
        let doc = e.doc().replace('|', "\\|"); // a bar would end the cell
        text += &format!("| `{}` | {doc} | {} | {} |\n", e.name(), dtypes(e).join(", "), e.layouts());
    }
    text
}

fn as_json(entries: &[Entry]) -> serde_json::Result<String> {
    let entry = |e: &Entry| {
        json!({
            "kind": e.kind(), "name": e.name(), "doc": e.doc(), "dtypes": dtypes(e), "layouts": e.layouts(),
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
    fn every_entry_has_a_row_of_four_cells() {
        let entries = Entry::all();
        assert!(["kernel", "operation"].iter().all(|kind| entries.iter().any(|e| e.kind() == *kind)));
        let text = tables(&entries);
        assert_eq!(text.lines().count(), entries.len() + 5, "two tables of two more lines, and a gap");
        for line in text.lines().filter(|line| !line.is_empty()) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
        }
        let json: Vec<serde_json::Value> = serde_json::from_str(&as_json(&entries).unwrap()).unwrap();
        assert_eq!(json.len(), entries.len());
        assert_eq!(lines(&entries).lines().count(), entries.len());
    }
}
