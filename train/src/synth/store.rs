//! The corpus on disk: four JSONL files and a manifest that says what they are.
//!
//! `documents.jsonl` and `validation_documents.jsonl` hold one JSON string per line, the conversation files one
//! `{"messages": [...]}` per line, `tests.jsonl` one [`TestQuestion`] per line. Next: `mod.rs`.

use super::conversation::Conversation;
use super::questions::{Baseline, TestQuestion};
use super::{Counts, Synth, SynthOptions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

const DOCUMENTS: &str = "documents.jsonl";
const VALIDATION_DOCUMENTS: &str = "validation_documents.jsonl";
const CONVERSATIONS: &str = "conversations.jsonl";
const VALIDATION_CONVERSATIONS: &str = "validation_conversations.jsonl";
const TESTS: &str = "tests.jsonl";
const MANIFEST: &str = "manifest.json";

/// What `manifest.json` says; written last, so a folder with a manifest is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What was asked for.
    pub options: SynthOptions,
    /// What came out.
    pub counts: Counts,
    /// What scores have to beat.
    pub baselines: Vec<Baseline>,
}

impl Synth {
    /// Writes all files into `dir`, which is created; the manifest comes last.
    ///
    /// # Errors
    /// Whatever the file system says, with the path.
    pub fn write_jsonl(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir).map_err(|e| at(dir, e))?;
        write_lines(&dir.join(DOCUMENTS), &self.documents)?;
        write_lines(&dir.join(VALIDATION_DOCUMENTS), &self.validation_documents)?;
        write_lines(&dir.join(CONVERSATIONS), &self.conversations)?;
        write_lines(&dir.join(VALIDATION_CONVERSATIONS), &self.validation_conversations)?;
        write_lines(&dir.join(TESTS), &self.tests)?;
        let manifest =
            Manifest { options: self.options.clone(), counts: self.counts(), baselines: self.baselines() };
        let path = dir.join(MANIFEST);
        let json = serde_json::to_string_pretty(&manifest)?;
        fs::write(&path, json + "\n").map_err(|e| at(&path, e))
    }

    /// Reads a folder that [`Synth::write_jsonl`] wrote.
    ///
    /// # Errors
    /// A missing or broken file, named with its line.
    pub fn read_jsonl(dir: &Path) -> io::Result<Synth> {
        let path = dir.join(MANIFEST);
        let manifest = fs::read_to_string(&path).map_err(|e| at(&path, e))?;
        let manifest: Manifest = serde_json::from_str(&manifest).map_err(|e| at(&path, e.into()))?;
        Ok(Synth {
            options: manifest.options,
            documents: read_lines(&dir.join(DOCUMENTS))?,
            validation_documents: read_lines(&dir.join(VALIDATION_DOCUMENTS))?,
            conversations: read_lines::<Conversation>(&dir.join(CONVERSATIONS))?,
            validation_conversations: read_lines::<Conversation>(&dir.join(VALIDATION_CONVERSATIONS))?,
            tests: read_lines::<TestQuestion>(&dir.join(TESTS))?,
            baselines: manifest.baselines,
        })
    }
}

pub(super) fn write_lines<T: Serialize>(path: &Path, items: &[T]) -> io::Result<()> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for item in items {
            serde_json::to_writer(&mut file, item)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write().map_err(|e| at(path, e))
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let lines = BufReader::new(File::open(path).map_err(|e| at(path, e))?).lines();
    let parse = |(i, line): (usize, io::Result<String>)| {
        let parsed = line.and_then(|line| Ok(serde_json::from_str(&line)?));
        parsed.map_err(|e| io::Error::new(e.kind(), format!("{} line {}: {e}", path.display(), i + 1)))
    };
    lines.enumerate().map(parse).collect()
}

/// The error with the path in front.
fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
