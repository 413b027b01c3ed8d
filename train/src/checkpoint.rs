//! Checkpoints that survive a kill at any instant.
//!
//! A checkpoint is a folder `step_000100/` with `model.safetensors`, `optimizer.safetensors` and `state.json`. It is written
//! under another name, every file is synced, and only then the folder gets its name, in one atomic step. So a folder
//! with that name is complete, and the one before it is still there.

use crate::error::{Result, TrainError};
use model::{Gpt, GptConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tensor::{Device, Tensor, safetensors};

/// Format number; a file of another version is refused.
pub const VERSION: u32 = 1;
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";

/// Everything but the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Format number.
    pub version: u32,
    /// `base` or `sft`.
    pub stage: String,
    /// Steps done.
    pub step: usize,
    /// The model's shape.
    pub model_config: GptConfig,
    /// Which tokenizer the ids belong to.
    pub tokenizer_fingerprint: u64,
    /// The run's seed.
    pub seed: u64,
    /// Vector instructions in use: part of what "same bits" means.
    pub simd: String,
    /// Updates done by the optimizer.
    pub optimizer_steps: u32,
    /// The options that decide the course of the run; they must not change on resume.
    pub options: serde_json::Value,
    /// The loader's position.
    pub loader: serde_json::Value,
    /// Progress figures that continue.
    pub progress: Progress,
}

/// Figures that a resumed run continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Moving average of the training loss, not yet debiased.
    pub smooth_loss: f64,
    /// Seconds spent in steps.
    pub seconds: f64,
    /// Smallest validation bits per byte so far, if any was measured.
    pub min_val_bpb: Option<f64>,
    /// The last one.
    pub val_bpb: Option<f64>,
}

/// The folder of checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    /// At `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Checkpoints {
        Checkpoints { dir: dir.into() }
    }
    fn folder(&self, step: usize) -> PathBuf {
        self.dir.join(format!("step_{step:06}"))
    }
    /// Steps that have a complete checkpoint, ascending.
    pub fn steps(&self) -> Result<Vec<usize>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(TrainError::io(&self.dir)(e)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(TrainError::io(&self.dir))?.file_name();
            steps.extend(
                name.to_str().and_then(|n| n.strip_prefix("step_")).and_then(|n| n.parse::<usize>().ok()),
            );
        }
        steps.sort_unstable();
        Ok(steps)
    }
    /// The folder of the newest checkpoint.
    pub fn latest(&self) -> Result<Option<PathBuf>> {
        Ok(self.steps()?.last().map(|&step| self.folder(step)))
    }

    /// Write a checkpoint, then remove all but the newest `keep`.
    pub fn save(
        &self,
        state: &State,
        gpt: &Gpt,
        optimizer: BTreeMap<String, Tensor>,
        keep: usize,
    ) -> Result<PathBuf> {
        let (target, tmp) = (self.folder(state.step), self.dir.join(format!(".writing-{:06}", state.step)));
        fs::create_dir_all(&self.dir).map_err(TrainError::io(&self.dir))?;
        self.remove_leftovers()?; // they take space that this one may need
        if target.exists() {
            return Ok(target); // saved by the run this one resumed: same bits
        }
        let written = self.write_folder(&tmp, state, gpt, optimizer);
        if written.is_err() {
            let _ = fs::remove_dir_all(&tmp); // a full disk: give the space back; the error below is what matters
        }
        written?;
        fs::rename(&tmp, &target).map_err(TrainError::io(&target))?;
        sync_dir(&self.dir)?;
        self.tidy(keep)?;
        Ok(target)
    }
    /// Remove all but the newest `keep`, and what killed writers left behind. Nothing is there: nothing to do.
    pub fn tidy(&self, keep: usize) -> Result<()> {
        let steps = self.steps()?;
        if !self.dir.exists() {
            return Ok(());
        }
        for &old in &steps[..steps.len().saturating_sub(keep.max(1))] {
            let path = self.folder(old);
            // Renamed first, so that a kill in the middle of the removal leaves no half checkpoint under its name.
            fs::rename(&path, self.dir.join(format!(".removing-{old:06}"))).map_err(TrainError::io(&path))?;
        }
        self.remove_leftovers()
    }
    fn write_folder(
        &self,
        tmp: &Path,
        state: &State,
        gpt: &Gpt,
        optimizer: BTreeMap<String, Tensor>,
    ) -> Result<()> {
        fs::create_dir_all(tmp).map_err(TrainError::io(tmp))?;
        write_synced(&tmp.join(MODEL), |out| safetensors::write(&gpt.to_file(), out))?;
        let file = safetensors::File { tensors: optimizer, ..Default::default() };
        write_synced(&tmp.join(OPTIMIZER), |out| safetensors::write(&file, out))?;
        let json = serde_json::to_string_pretty(state).map_err(|e| TrainError::bad(tmp, e.to_string()))?;
        write_synced(&tmp.join(STATE), |out| out.write_all(json.as_bytes()))?;
        sync_dir(tmp)
    }
    /// What killed writers left behind.
    fn remove_leftovers(&self) -> Result<()> {
        for entry in fs::read_dir(&self.dir).map_err(TrainError::io(&self.dir))? {
            let entry = entry.map_err(TrainError::io(&self.dir))?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|n| n.starts_with(".writing-") || n.starts_with(".removing-")) {
                fs::remove_dir_all(entry.path()).map_err(TrainError::io(&entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Read `state.json` of a checkpoint folder.
pub fn load_state(folder: &Path) -> Result<State> {
    let path = folder.join(STATE);
    let text = fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    let damaged = |e: serde_json::Error| {
        let why = format!("damaged checkpoint ({e}); delete the folder to fall back to the one before it");
        TrainError::bad(&path, why)
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
    match value["version"].as_u64() {
        Some(v) if v == u64::from(VERSION) => serde_json::from_value(value).map_err(damaged),
        v => {
            let found = v.map_or("none".into(), |v| v.to_string());
            let why = format!(
                "checkpoint format {found}, this program reads {VERSION}; use the program that wrote it"
            );
            Err(TrainError::bad(&path, why))
        }
    }
}

/// Read the weights of a checkpoint folder.
pub fn load_weights(folder: &Path, config: &GptConfig, device: Device) -> Result<Vec<(String, Tensor)>> {
    Ok(model::weights::load(&folder.join(MODEL), config, "", device)?)
}

/// Read the optimizer's tensors of a checkpoint folder.
pub fn load_optimizer(folder: &Path, device: Device) -> Result<BTreeMap<String, Tensor>> {
    Ok(safetensors::read(&folder.join(OPTIMIZER), device)?.tensors)
}

fn write_synced(path: &Path, f: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let run = || -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        f(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()
    };
    run().map_err(TrainError::io(path))
}

/// Make renames in a folder durable. Some systems cannot sync folders; then the rename is atomic all the same.
fn sync_dir(dir: &Path) -> Result<()> {
    match File::open(dir).and_then(|d| d.sync_all()) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(TrainError::io(dir)(e)),
        _ => Ok(()),
    }
}
