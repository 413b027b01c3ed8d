//! Where things live: `tokenizer/<name>/`, `data/<name>/` and `runs/<name>/` under the base folder.

use crate::checkpoint::Checkpoints;
use crate::error::{Result, TrainError};
use std::path::{Path, PathBuf};

/// The base folder: `NANOCHAT_BASE_DIR`, or `nanochat` in the user's cache folder.
pub fn base_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("NANOCHAT_BASE_DIR") {
        return Ok(dir);
    }
    let cache = set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|h| h.join(".cache")))
        .or_else(|| set("LOCALAPPDATA"));
    let none =
        || TrainError::Config("no home folder: set NANOCHAT_BASE_DIR to where state may be kept".into());
    Ok(cache.ok_or_else(none)?.join("nanochat"))
}

/// The base folder and the names below it.
#[derive(Clone, Debug)]
pub struct Layout {
    base: PathBuf,
}

impl Layout {
    /// Below `base`.
    pub fn new(base: impl Into<PathBuf>) -> Layout {
        Layout { base: base.into() }
    }
    /// Below [`base_dir`].
    pub fn from_env() -> Result<Layout> {
        Ok(Layout::new(base_dir()?))
    }
    /// The base folder.
    pub fn base(&self) -> &Path {
        &self.base
    }
    /// Folder of a tokenizer.
    pub fn tokenizer(&self, name: &str) -> PathBuf {
        self.base.join("tokenizer").join(name)
    }
    /// Folder of a data set.
    pub fn data(&self, name: &str) -> PathBuf {
        self.base.join("data").join(name)
    }
    /// Folder of task data: the data set's own, or the one that all share.
    pub fn tasks(&self, data: &str) -> PathBuf {
        let own = self.data(data).join("tasks");
        if own.is_dir() { own } else { self.base.join("task_data") }
    }
    /// Folder of the CORE bundle: the data set's own, or the one that all share.
    pub fn core_bundle(&self, data: &str) -> PathBuf {
        let own = self.data(data).join("eval_bundle");
        if own.is_dir() { own } else { self.base.join("eval_bundle") }
    }
    /// Folder of a run.
    pub fn run(&self, name: &str) -> RunDir {
        RunDir { dir: self.base.join("runs").join(name) }
    }
    /// Names of all runs that have a checkpoint, the most recently changed last.
    pub fn runs(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.base.join("runs")) else { return Vec::new() };
        let mut found: Vec<_> = entries
            .flatten()
            .filter_map(|e| {
                let name = e.file_name().into_string().ok()?;
                let latest = self.run(&name).checkpoints().latest().ok()??;
                Some((std::fs::metadata(latest).ok()?.modified().ok()?, name))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, name)| name).collect()
    }
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Its path.
    pub dir: PathBuf,
}

impl RunDir {
    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.dir.join("checkpoints"))
    }
    /// Its metrics.
    pub fn metrics(&self) -> PathBuf {
        self.dir.join("metrics.jsonl")
    }
    /// Its options.
    pub fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }
}
