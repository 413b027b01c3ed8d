//! Metrics of a run: one JSON object per line, appended as they come. The one source for reports and plots.

use crate::error::{Result, TrainError};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An open metrics file.
pub struct Metrics {
    path: PathBuf,
    file: File,
    last_step: Vec<serde_json::Value>,
}

impl Metrics {
    /// Open `path` for appending. Lines of steps at or after `from_step` are dropped first: a resumed run writes them again,
    /// and a line cut short by a kill goes too.
    pub fn open(path: &Path, from_step: usize) -> Result<Metrics> {
        let mut last_step = Vec::new();
        if let Ok(old) = std::fs::read(path) {
            let old = String::from_utf8_lossy(&old); // a cut may go through a letter
            let mut keep = |line: &&str| {
                let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { return false };
                let Some(step) = value["step"].as_u64().map(|s| s as usize) else { return false };
                if step + 1 == from_step {
                    last_step.push(value);
                }
                step < from_step
            };
            let kept: String = old.lines().filter(&mut keep).flat_map(|l| [l, "\n"]).collect();
            let tmp = path.with_extension("jsonl.writing");
            std::fs::write(&tmp, kept).map_err(TrainError::io(&tmp))?;
            std::fs::rename(&tmp, path).map_err(TrainError::io(path))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(TrainError::io(path))?;
        Ok(Metrics { path: path.to_owned(), file, last_step })
    }
    /// The evaluation of the step before `from_step`, if it was there when the file was opened.
    pub fn evaluated(&self) -> Option<&serde_json::Value> {
        self.last_step.iter().find(|v| v["kind"] == "eval")
    }
    /// How many samples of the step before `from_step` were there when the file was opened.
    pub fn sampled(&self) -> usize {
        self.last_step.iter().filter(|v| v["kind"] == "sample").count()
    }
    /// Append one object.
    pub fn write(&mut self, value: &serde_json::Value) -> Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes()).map_err(TrainError::io(&self.path))
    }
    /// Make what was written durable. A checkpoint that survives a power cut must not be ahead of its metrics.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(TrainError::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resumed_run_keeps_the_lines_before_its_step_and_knows_what_the_last_of_them_had() {
        let path = crate::data::scratch("metrics").join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).unwrap();
        for step in 0..4 {
            metrics.write(&json!({"kind": "train", "step": step})).unwrap();
            if step == 1 {
                metrics.write(&json!({"kind": "eval", "step": 1, "val_bpb": 1.5})).unwrap();
                metrics.write(&json!({"kind": "sample", "step": 1, "text": "ä"})).unwrap();
            }
        }
        drop(metrics);
        let mut cut = std::fs::read(&path).unwrap();
        cut.extend("{\"kind\": \"sample\", \"step\": 3, \"text\": \"ä".as_bytes());
        cut.pop(); // in the middle of the letter
        std::fs::write(&path, &cut).unwrap();
        let lines = |from| {
            let metrics = Metrics::open(&path, from).unwrap();
            let found = (metrics.evaluated().map(|v| v["val_bpb"].clone()), metrics.sampled());
            (std::fs::read_to_string(&path).unwrap().lines().count(), found)
        };
        assert_eq!(lines(3), (5, (None, 0)));
        assert_eq!(lines(2), (4, (Some(json!(1.5)), 1)));
        assert_eq!(lines(1), (1, (None, 0)));
    }
}
