//! `selftest --list`: the registry, for reading, for the book and for programs.

use autograd::registry::OpInfo;
use kernels::KernelInfo;
use kernels::registry::Layouts;
use serde_json::json;

/// All entries, as lines, as a Markdown table or as JSON.
pub fn render(
    kernels: &[&KernelInfo],
    ops: &[&OpInfo],
    markdown: bool,
    json: bool,
) -> serde_json::Result<String> {
    Ok(match (json, markdown) {
        (true, _) => as_json(kernels, ops)? + "\n",
        (_, true) => table(kernels) + "\n" + &op_table(ops),
        _ => lines(kernels, ops),
    })
}

fn lines(kernels: &[&KernelInfo], ops: &[&OpInfo]) -> String {
    let entries: Vec<(&str, &str)> =
        kernels.iter().map(|k| (k.name, k.doc)).chain(ops.iter().map(|op| (op.name, op.doc))).collect();
    let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    entries.iter().map(|(name, doc)| format!("{name:width$}  {doc}\n")).collect()
}

fn op_table(ops: &[&OpInfo]) -> String {
    let mut text = String::from(
        "| operation with gradient | what it computes | compared with a composite |\n|---|---|---|\n",
    );
    for op in ops {
        let composite = if op.composite.is_some() { "yes" } else { "no" };
        text += &format!("| `{}` | {} | {composite} |\n", op.name, op.doc.replace('|', "\\|"));
    }
    text
}

fn table(kernels: &[&KernelInfo]) -> String {
    let mut text = String::from("| kernel | what it computes | dtypes | layouts |\n|---|---|---|---|\n");
    for k in kernels {
        let doc = k.doc.replace('|', "\\|"); // a bar would end the cell
        text += &format!("| `{}` | {doc} | {} | {} |\n", k.name, dtypes(k).join(", "), layouts(k));
    }
    text
}

fn as_json(kernels: &[&KernelInfo], ops: &[&OpInfo]) -> serde_json::Result<String> {
    let kernel =
        |k: &&KernelInfo| json!({ "name": k.name, "doc": k.doc, "dtypes": dtypes(k), "layouts": layouts(k) });
    let op = |op: &&OpInfo| json!({ "name": op.name, "doc": op.doc, "composite": op.composite.is_some() });
    let kernels: Vec<_> = kernels.iter().map(kernel).collect();
    serde_json::to_string_pretty(&json!({"kernels": kernels, "ops": ops.iter().map(op).collect::<Vec<_>>()}))
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
    fn every_entry_has_a_row_and_is_in_the_json() {
        let kernels: Vec<&KernelInfo> = kernels::kernels().collect();
        let ops: Vec<&OpInfo> = autograd::registry::OPS.to_vec();
        assert!(!kernels.is_empty() && !ops.is_empty());
        for (text, rows, bars) in [(table(&kernels), kernels.len(), 5), (op_table(&ops), ops.len(), 4)] {
            assert_eq!(text.lines().count(), rows + 2);
            for line in text.lines() {
                assert_eq!(line.replace("\\|", "").matches('|').count(), bars, "{line}");
            }
        }
        let json: serde_json::Value = serde_json::from_str(&as_json(&kernels, &ops).unwrap()).unwrap();
        assert_eq!(json["kernels"].as_array().unwrap().len(), kernels.len());
        assert_eq!(json["ops"].as_array().unwrap().len(), ops.len());
        assert_eq!(lines(&kernels, &ops).lines().count(), kernels.len() + ops.len());
    }
}
