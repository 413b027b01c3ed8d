//! Where documents are: files of row groups. A folder of parquet shards is one ([`Shards`]); documents in memory are one
//! file ([`Listed`]).
//!
//! The rule of the split is the original's: of a folder's `*.parquet` files, sorted by name, the last is for validation and all
//! others are for training. One file alone would leave nothing to train on, so that is an error here.
//! A file that changes, grows or vanishes under a run would change its data without a word, so a read compares the file with
//! what it was when the run began, and a checkpoint knows the [`Documents::fingerprint`] of all of them.
//! Next: `source.rs`, which walks through them.

use super::parquet::{GROUP, ParquetFile};
use crate::error::{Result, TrainError};
use kernels::planted;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files of row groups of documents.
pub trait Documents: Send {
    /// Number of files.
    fn files(&self) -> usize;
    /// Row groups of a file.
    fn groups(&self, file: usize) -> usize;
    /// The documents of a row group.
    fn read(&self, file: usize, group: usize) -> Result<Vec<String>>;
    /// How a file is called in errors.
    fn name(&self, file: usize) -> String;
    /// A number that tells collections apart: of files by their names and sizes, of documents in memory by their texts.
    fn fingerprint(&self) -> u64;
}

/// FNV-1a over some bytes and then others.
pub(super) fn hash(so_far: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(so_far, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
/// Where FNV-1a begins.
pub(super) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// Which part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// All files but the last.
    Train,
    /// The last file.
    Validation,
}

/// Parquet shards of a folder.
#[derive(Clone, Debug)]
pub struct Shards {
    files: Vec<Shard>,
}

/// A file as it was when it was opened first.
#[derive(Clone, Debug)]
struct Shard {
    path: PathBuf,
    groups: usize,
    stamp: Stamp,
}

/// Size and time of the last change.
type Stamp = (u64, Option<SystemTime>);

fn stamp(path: &Path) -> Result<Stamp> {
    let meta = std::fs::metadata(path).map_err(TrainError::io(path))?;
    Ok((meta.len(), meta.modified().ok()))
}

/// The `*.parquet` files of a folder, by name.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(TrainError::io(dir))? {
        let path = entry.map_err(TrainError::io(dir))?.path();
        if path.extension().is_some_and(|e| e == "parquet") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl Shards {
    /// The shards of one split of `dir`.
    pub fn open(dir: &Path, split: Split) -> Result<Shards> {
        let mut paths = list(dir)?;
        let last = paths.pop().ok_or_else(|| {
            TrainError::bad(dir, "no *.parquet files here: get some with `nanochat data download`")
        })?;
        if split == Split::Validation {
            return Shards::of(vec![last]);
        }
        if paths.is_empty() {
            let name = last.display();
            let why = format!(
                "{name} is the only shard, and the last one is for validation, so nothing is left to train on; add a second shard"
            );
            return Err(TrainError::bad(dir, why));
        }
        Shards::of(paths)
    }
    /// These files.
    pub fn of(paths: Vec<PathBuf>) -> Result<Shards> {
        let open = |path: PathBuf| {
            let (stamp, groups) = (stamp(&path)?, ParquetFile::open(&path)?.groups());
            Ok(Shard { path, groups, stamp })
        };
        Ok(Shards { files: paths.into_iter().map(open).collect::<Result<_>>()? })
    }
    /// Their paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|shard| shard.path.as_path())
    }
}

impl Documents for Shards {
    fn files(&self) -> usize {
        self.files.len()
    }
    fn groups(&self, file: usize) -> usize {
        self.files[file].groups
    }
    fn read(&self, file: usize, group: usize) -> Result<Vec<String>> {
        let Shard { path, stamp: then, .. } = &self.files[file];
        let now = stamp(path).ok();
        if planted!("shards.change_unnoticed", now != Some(*then) => false) {
            let what = if now.is_some() { "changed" } else { "gone" };
            let why = format!(
                "{what} since the run began; what was saved is intact: restore the file and go on with --resume, or start a new run"
            );
            return Err(TrainError::bad(path, why));
        }
        ParquetFile::open(path)?.texts(group)
    }
    fn name(&self, file: usize) -> String {
        self.files[file].path.display().to_string()
    }
    fn fingerprint(&self) -> u64 {
        self.files.iter().fold(EMPTY, |so_far, Shard { path, stamp: (bytes, _), .. }| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            hash(hash(hash(so_far, name), &[0]), &bytes.to_le_bytes())
        })
    }
}

/// Documents in memory: one file.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    documents: Vec<String>,
    group: usize,
}

impl Listed {
    /// Row groups as large as a shard's, or smaller where `ranks` of them would not come out.
    pub fn new(documents: Vec<String>, ranks: usize) -> Listed {
        let group = documents.len().div_ceil(ranks.max(1)).clamp(1, GROUP);
        Listed { documents, group }
    }
}

impl Documents for Listed {
    fn files(&self) -> usize {
        usize::from(!self.documents.is_empty())
    }
    fn groups(&self, _file: usize) -> usize {
        self.documents.len().div_ceil(self.group)
    }
    fn read(&self, _file: usize, group: usize) -> Result<Vec<String>> {
        let mut groups = self.documents.chunks(self.group);
        Ok(groups.nth(group).map(<[String]>::to_vec).unwrap_or_default())
    }
    fn name(&self, _file: usize) -> String {
        "the documents".into()
    }
    fn fingerprint(&self) -> u64 {
        self.documents.iter().fold(EMPTY, |so_far, text| hash(hash(so_far, text.as_bytes()), &[0xff]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::parquet::write_texts;

    #[test]
    fn footgun_one_shard_alone_is_refused_instead_of_training_on_nothing() {
        let dir = crate::data::scratch("one-shard");
        let texts = vec!["a".to_string()];
        assert!(Shards::open(&dir, Split::Train).unwrap_err().to_string().contains("data download"));
        write_texts(&dir.join("shard_00000.parquet"), &texts, 1).unwrap();
        let error = Shards::open(&dir, Split::Train).unwrap_err().to_string();
        assert!(error.contains("add a second shard"), "{error}");
        write_texts(&dir.join("shard_00001.parquet"), &texts, 1).unwrap();
        let name = |split| Shards::open(&dir, split).unwrap().name(0);
        assert!(name(Split::Train).ends_with("shard_00000.parquet"));
        assert!(name(Split::Validation).ends_with("shard_00001.parquet"));
    }

    #[test]
    fn a_shard_that_changes_or_vanishes_after_it_was_opened_is_an_error_with_its_name() {
        let dir = crate::data::scratch("changing-shard");
        let path = dir.join("shard_00000.parquet");
        let write = |text: &str| write_texts(&path, &[text.to_string()], 1).unwrap();
        write("a");
        let shards = Shards::of(vec![path.clone()]).unwrap();
        let before = shards.fingerprint();
        assert_eq!(shards.read(0, 0).unwrap(), ["a"]);
        write("what was not there before");
        let error = shards.read(0, 0).unwrap_err().to_string();
        assert!(
            error.contains("shard_00000.parquet: changed since") && error.contains("--resume"),
            "{error}"
        );
        assert_ne!(Shards::of(vec![path.clone()]).unwrap().fingerprint(), before);
        std::fs::remove_file(&path).unwrap();
        assert!(shards.read(0, 0).unwrap_err().to_string().contains("shard_00000.parquet: gone since"));
    }
}
