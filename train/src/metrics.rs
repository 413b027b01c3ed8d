//! Metrics of a run: one JSON object per line, appended as they come. The one source for reports and plots.

use crate::error::{Result, TrainError};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An open metrics file.
pub struct Metrics {
    path: PathBuf,
    file: File,
    last_evaluated: Option<usize>,
}

impl Metrics {
    /// Open `path` for appending. Lines of steps at or after `from_step` are dropped first: a resumed run writes them again,
    /// and a line cut short by a kill goes too.
    pub fn open(path: &Path, from_step: usize) -> Result<Metrics> {
        let mut last_evaluated = None;
        if let Ok(old) = std::fs::read_to_string(path) {
            let mut keep = |line: &&str| {
                let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
                let step = |v: &serde_json::Value| v["step"].as_u64().map(|s| s as usize);
                let kept = value.as_ref().and_then(step).filter(|step| *step < from_step);
                if value.is_some_and(|v| v["kind"] == "eval") {
                    last_evaluated = kept.or(last_evaluated);
                }
                kept.is_some()
            };
            let kept: String = old.lines().filter(&mut keep).flat_map(|l| [l, "\n"]).collect();
            let tmp = path.with_extension("jsonl.writing");
            std::fs::write(&tmp, kept).map_err(TrainError::io(&tmp))?;
            std::fs::rename(&tmp, path).map_err(TrainError::io(path))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(TrainError::io(path))?;
        Ok(Metrics { path: path.to_owned(), file, last_evaluated })
    }
    /// The last step of which an evaluation was found when the file was opened.
    pub fn last_evaluated(&self) -> Option<usize> {
        self.last_evaluated
    }
    /// Append one object.
    pub fn write(&mut self, value: &serde_json::Value) -> Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes()).map_err(TrainError::io(&self.path))
    }
}
