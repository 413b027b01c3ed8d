//! Metrics of a run: one JSON object per line, appended as they come. The one source for reports and plots.

use crate::error::{Result, TrainError};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An open metrics file.
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Open `path` for appending. Lines of steps at or after `from_step` are dropped first: a resumed run writes them again,
    /// and a line cut short by a kill goes too.
    pub fn open(path: &Path, from_step: usize) -> Result<Metrics> {
        if let Ok(old) = std::fs::read_to_string(path) {
            let keep = |line: &&str| {
                let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
                value.is_some_and(|v| v["step"].as_u64().is_some_and(|s| (s as usize) < from_step))
            };
            let kept: String = old.lines().filter(keep).flat_map(|l| [l, "\n"]).collect();
            let tmp = path.with_extension("jsonl.writing");
            std::fs::write(&tmp, kept).map_err(TrainError::io(&tmp))?;
            std::fs::rename(&tmp, path).map_err(TrainError::io(path))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(TrainError::io(path))?;
        Ok(Metrics { path: path.to_owned(), file })
    }
    /// Append one object.
    pub fn write(&mut self, value: &serde_json::Value) -> Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes()).map_err(TrainError::io(&self.path))
    }
}
