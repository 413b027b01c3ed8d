//! What the base folder holds, and which environment variables have a say.

use super::{Fact, Section, bytes};
use crate::globals::Globals;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use train::run::Layout;

/// Variables the program, its tests or its build read, and what for.
const VARIABLES: &[(&str, &str)] = &[
    ("NANOCHAT_BASE_DIR", "the base folder"),
    ("XDG_CACHE_HOME", "the base folder is `nanochat` in it, where NANOCHAT_BASE_DIR is not set"),
    ("HOME", "the base folder is `.cache/nanochat` in it, where neither is set"),
    ("LOCALAPPDATA", "the base folder is `nanochat` in it, where none of these is set"),
    ("NANOCHAT_GOLDENS", "reference data for the tests"),
];

/// The base folder and its contents.
pub fn section(globals: &Globals) -> Section {
    let facts = match globals.layout() {
        Err(error) => vec![Fact::new("base_folder", Value::Null, format!("unknown: {error:#}"))],
        Ok(layout) => contents(&layout),
    };
    Section { title: "Kept", key: "kept", facts }
}

fn contents(layout: &Layout) -> Vec<Fact> {
    let base = layout.base();
    let shown = base.display().to_string();
    let there = if base.is_dir() { shown.clone() } else { format!("{shown} (not there yet)") };
    vec![
        Fact::new("base_folder", json!(shown), there),
        list("tokenizers", folders(&base.join("tokenizer")).iter().map(|dir| tokenizer(dir)).collect()),
        list("data_sets", folders(&base.join("data")).iter().map(|dir| data_set(dir)).collect()),
        list("runs", folders(&base.join("runs")).iter().map(|dir| run(layout, dir)).collect()),
    ]
}

/// A JSON list, and a line per entry.
fn list(key: &'static str, entries: Vec<(Value, String)>) -> Fact {
    let (values, lines): (Vec<Value>, Vec<String>) = entries.into_iter().unzip();
    Fact::new(key, Value::Array(values), if lines.is_empty() { "none".into() } else { lines.join("\n") })
}

/// Folders in `dir`, by name; none if it cannot be read.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn tokenizer(dir: &Path) -> (Value, String) {
    let meta = fs::read(dir.join("meta.json")).ok();
    let meta: Option<Value> = meta.and_then(|json| serde_json::from_slice(&json).ok());
    let vocab = meta.and_then(|meta| meta["vocab_size"].as_u64());
    let text = vocab.map_or("no readable meta.json".into(), |v| format!("{v} ids"));
    (json!({ "name": name(dir), "vocab_size": vocab }), format!("{}: {text}", name(dir)))
}

fn data_set(dir: &Path) -> (Value, String) {
    let size = size(dir, 4);
    (json!({ "name": name(dir), "bytes": size }), format!("{}: {}", name(dir), bytes(size)))
}

/// Bytes of all files below `dir`, at most `depth` folders down.
fn size(dir: &Path, depth: usize) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| entry.metadata().ok().map(|meta| (entry.path(), meta)));
    sizes
        .map(|(path, meta)| match (meta.is_dir(), depth) {
            (false, _) => meta.len(),
            (true, 0) => 0,
            (true, _) => size(&path, depth - 1),
        })
        .sum()
}

fn run(layout: &Layout, dir: &Path) -> (Value, String) {
    let step = layout.run(&name(dir)).checkpoints().steps().ok().and_then(|steps| steps.last().copied());
    let text = step.map_or("no checkpoint yet".into(), |step| format!("checkpoint at step {step}"));
    (json!({ "name": name(dir), "latest_step": step }), format!("{}: {text}", name(dir)))
}

/// The variables that are set, with their values.
pub fn environment() -> Section {
    let facts = VARIABLES
        .iter()
        .map(|(variable, what)| {
            let value = std::env::var_os(variable).map(|v| v.to_string_lossy().into_owned());
            let text = match &value {
                Some(value) => format!("{value} ({what})"),
                None => format!("not set ({what})"),
            };
            Fact::new(variable, json!(value), text)
        })
        .collect();
    Section { title: "Environment", key: "environment", facts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_base_folder_is_listed_and_an_empty_one_is_no_error() {
        let base = std::env::temp_dir().join(format!("nanochat-doctor-{}", std::process::id()));
        let layout = Layout::new(&base);
        let text = |facts: &[Fact]| facts.iter().map(|f| f.text.clone()).collect::<Vec<_>>();
        assert_eq!(text(&contents(&layout))[1..], ["none", "none", "none"]);
        for dir in [
            "tokenizer/small",
            "tokenizer/broken",
            "data/novel/part",
            "runs/a/checkpoints/step_000120",
            "runs/b",
        ] {
            fs::create_dir_all(base.join(dir)).unwrap();
        }
        fs::create_dir_all(base.join("runs/a/checkpoints/step_000040")).unwrap();
        fs::write(base.join("tokenizer/small/meta.json"), r#"{"vocab_size": 4096}"#).unwrap();
        fs::write(base.join("data/novel/part/x"), [0; 2048]).unwrap();
        let facts = contents(&layout);
        fs::remove_dir_all(&base).unwrap();
        let want = [
            "broken: no readable meta.json\nsmall: 4096 ids",
            "novel: 2 KiB",
            "a: checkpoint at step 120\nb: no checkpoint yet",
        ];
        assert_eq!(text(&facts)[1..], want);
        assert_eq!(facts[3].value[0], json!({ "name": "a", "latest_step": 120 }));
    }
}
