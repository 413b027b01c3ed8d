//! `selftest --list`: the registry, for reading, for the book and for programs.

use kernels::KernelInfo;
use kernels::registry::Layouts;
use serde_json::json;

/// All entries, as lines, as a Markdown table or as JSON.
pub fn render(kernels: &[&KernelInfo], markdown: bool, json: bool) -> serde_json::Result<String> {
    Ok(match (json, markdown) {
        (true, _) => as_json(kernels)? + "\n",
        (_, true) => table(kernels),
        _ => lines(kernels),
    })
}

fn lines(kernels: &[&KernelInfo]) -> String {
    let width = kernels.iter().map(|k| k.name.len()).max().unwrap_or(0);
    kernels.iter().map(|k| format!("{:width$}  {}\n", k.name, k.doc)).collect()
}

fn table(kernels: &[&KernelInfo]) -> String {
    let mut text = String::from("| kernel | what it computes | dtypes | layouts |\n|---|---|---|---|\n");
    for k in kernels {
        let doc = k.doc.replace('|', "\\|"); // a bar would end the cell
        text += &format!("| `{}` | {doc} | {} | {} |\n", k.name, dtypes(k).join(", "), layouts(k));
    }
    text
}

fn as_json(kernels: &[&KernelInfo]) -> serde_json::Result<String> {
    let entry =
        |k: &&KernelInfo| json!({ "name": k.name, "doc": k.doc, "dtypes": dtypes(k), "layouts": layouts(k) });
    serde_json::to_string_pretty(&kernels.iter().map(entry).collect::<Vec<_>>())
}

fn dtypes(k: &KernelInfo) -> Vec<String> {
    k.dtypes.iter().map(|d| d.to_string()).collect()
}

fn layouts(k: &KernelInfo) -> &'static str {
    match k.layouts {
        Layouts::Any => "any",
        Layouts::Rows => "dense rows",
        Layouts::Contiguous => "contiguous",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_a_row_of_four_cells() {
        let kernels: Vec<&KernelInfo> = kernels::kernels().collect();
        assert!(!kernels.is_empty());
        let text = table(&kernels);
        assert_eq!(text.lines().count(), kernels.len() + 2);
        for line in text.lines() {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
        }
        let json: Vec<serde_json::Value> = serde_json::from_str(&as_json(&kernels).unwrap()).unwrap();
        assert_eq!(json.len(), kernels.len());
        assert_eq!(lines(&kernels).lines().count(), kernels.len());
    }
}
