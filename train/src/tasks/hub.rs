//! Rows of a published data set, from the files in which its publisher distributes it.
//!
//! Under a folder of task data, a set is `{owner}--{name}/{subset}/{split}/` with parquet or jsonl files, read in the order of
//! their names. `shuffled` is the order in which the original reads them: numpy's permutation with seed 42.

use crate::data::parquet::ParquetFile;
use crate::error::{Result, TrainError};
use crate::random::numpy;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The seed of the original.
const SEED: u64 = 42;

/// The sets that tasks read: repository, subset, splits.
pub const SETS: &[(&str, &str, &[&str])] = &[
    (super::choice::ARC, "ARC-Easy", &["train", "test"]),
    (super::choice::ARC, "ARC-Challenge", &["train", "test"]),
    (super::choice::MMLU, "all", &["auxiliary_train", "test"]),
    (super::gsm8k::REPO, "main", &["train", "test"]),
    (super::human_eval::REPO, "openai_humaneval", &["test"]),
    (super::talk::SMOLTALK, "default", &["train", "test"]),
];

/// Where a set is.
pub fn folder(tasks: &Path, repo: &str, subset: &str, split: &str) -> PathBuf {
    tasks.join(repo.replace('/', "--")).join(subset).join(split)
}

/// Rows of one split, as JSON.
pub fn rows(tasks: &Path, repo: &str, subset: &str, split: &str) -> Result<Vec<Value>> {
    let dir = folder(tasks, repo, subset, split);
    let mut files: Vec<PathBuf> = match std::fs::read_dir(&dir) {
        Ok(entries) => entries.flatten().map(|e| e.path()).filter(|p| is_data(p)).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    if files.is_empty() {
        let why = format!(
            "{repo} ({subset}, {split}) is not here: put its parquet or jsonl files into this folder, fetch all tasks with `nanochat data download tasks`, or make a generated twin with `nanochat data synth`"
        );
        return Err(TrainError::bad(&dir, why));
    }
    let mut out = Vec::new();
    for file in files {
        out.extend(rows_of(&file)?);
    }
    Ok(out)
}

fn is_data(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "parquet" || e == "jsonl" || e == "json")
        && path.file_name().is_some_and(|n| n != "manifest.json")
}

/// Rows of one file.
pub fn rows_of(path: &Path) -> Result<Vec<Value>> {
    if path.extension().is_some_and(|e| e == "parquet") {
        return ParquetFile::open(path)?.all_rows();
    }
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| TrainError::bad(path, format!("line {}: {e}", i + 1)))
        })
        .collect()
}

/// Rows in the original's shuffled order, read as `T`. A row that is wrapped in a struct of the split's name is unwrapped: one
/// route of export has MMLU's auxiliary_train so.
pub fn shuffled<T: DeserializeOwned>(tasks: &Path, repo: &str, subset: &str, split: &str) -> Result<Vec<T>> {
    let rows = rows(tasks, repo, subset, split)?;
    let dir = folder(tasks, repo, subset, split);
    let mut out = Vec::with_capacity(rows.len());
    for i in numpy::permutation(SEED, rows.len()) {
        let row = match rows[i].as_object() {
            Some(o) if o.len() == 1 && o.values().all(Value::is_object) => {
                o.values().next().cloned().unwrap_or_default()
            }
            _ => rows[i].clone(),
        };
        let row = serde_json::from_value(row)
            .map_err(|e| TrainError::bad(&dir, format!("row {i} is not one of {repo}: {e}")))?;
        out.push(row);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Row {
        n: usize,
    }

    #[test]
    fn rows_are_shuffled_as_the_original_does_and_wrapped_rows_are_unwrapped() {
        let tasks = crate::data::scratch("hub");
        let dir = folder(&tasks, "a/b", "main", "train");
        std::fs::create_dir_all(&dir).unwrap();
        let line = |n: usize| {
            if n.is_multiple_of(2) {
                format!("{{\"n\":{n}}}\n")
            } else {
                format!("{{\"train\":{{\"n\":{n}}}}}\n")
            }
        };
        std::fs::write(dir.join("00001.jsonl"), (5..10).map(line).collect::<String>()).unwrap();
        std::fs::write(dir.join("00000.jsonl"), (0..5).map(line).collect::<String>()).unwrap();
        std::fs::write(dir.join("manifest.json"), "[]").unwrap();
        let rows: Vec<Row> = shuffled(&tasks, "a/b", "main", "train").unwrap();
        assert_eq!(rows.iter().map(|r| r.n).collect::<Vec<_>>(), [5, 6, 0, 7, 3, 2, 4, 9, 1, 8]);
        let error = shuffled::<Row>(&tasks, "a/b", "main", "test").err().unwrap().to_string();
        assert!(error.contains("data download tasks"), "{error}");
    }
}
