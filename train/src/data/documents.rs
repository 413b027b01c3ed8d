//! A data set on disk: a folder of JSONL files. Documents are one JSON string per line, conversations one
//! `{"messages": [...]}` per line.

use super::parquet;
use super::shards::{Documents, Shards, Split};
use crate::error::{Result, TrainError};
use crate::synth::TestQuestion;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use tokenizer::conversation::Conversation;

/// Names of the files of a data set.
pub const DOCUMENTS: &str = "documents.jsonl";
/// Held-out documents.
pub const VALIDATION_DOCUMENTS: &str = "validation_documents.jsonl";
/// Conversations.
pub const CONVERSATIONS: &str = "conversations.jsonl";
/// Held-out conversations.
pub const VALIDATION_CONVERSATIONS: &str = "validation_conversations.jsonl";
/// Test questions.
pub const TESTS: &str = "tests.jsonl";

/// A folder with a data set.
#[derive(Clone, Debug)]
pub struct Dataset {
    dir: PathBuf,
}

impl Dataset {
    /// The data set in `dir`; it must hold documents or conversations.
    pub fn open(dir: &Path) -> Result<Dataset> {
        let shards = || super::shards::list(dir).is_ok_and(|paths| !paths.is_empty());
        if !dir.join(DOCUMENTS).is_file() && !dir.join(CONVERSATIONS).is_file() && !shards() {
            let why = format!(
                "no data set here ({DOCUMENTS} is missing): make one with `nanochat data synth` or `nanochat data import`"
            );
            return Err(TrainError::bad(dir, why));
        }
        Ok(Dataset { dir: dir.to_owned() })
    }
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    /// Does it consist of parquet shards rather than of document files?
    pub fn is_sharded(&self) -> bool {
        !self.dir.join(DOCUMENTS).is_file()
            && super::shards::list(&self.dir).is_ok_and(|paths| !paths.is_empty())
    }
    /// Training documents.
    pub fn documents(&self) -> Result<Vec<String>> {
        let documents: Vec<String> = self.lines(DOCUMENTS)?;
        if documents.iter().all(String::is_empty) {
            return Err(TrainError::bad(
                &self.dir.join(DOCUMENTS),
                "holds no text; import a non-empty corpus",
            ));
        }
        Ok(documents)
    }
    /// Training documents until there are `chars` characters; of shards no more are read than that takes.
    pub fn documents_up_to(&self, chars: u64) -> Result<Vec<String>> {
        if !self.is_sharded() {
            return self.documents();
        }
        let shards = Shards::open(&self.dir, Split::Train)?;
        let (mut out, mut have) = (Vec::new(), 0);
        for (file, group) in (0..shards.files()).flat_map(|f| (0..shards.groups(f)).map(move |g| (f, g))) {
            if have > chars {
                break;
            }
            let texts = shards.read(file, group)?;
            have += texts.iter().map(|t| t.chars().count() as u64).sum::<u64>();
            out.extend(texts);
        }
        Ok(out)
    }
    /// Held-out documents.
    pub fn validation_documents(&self) -> Result<Vec<String>> {
        self.lines(VALIDATION_DOCUMENTS)
    }
    /// Training conversations.
    pub fn conversations(&self) -> Result<Vec<Conversation>> {
        self.lines(CONVERSATIONS)
    }
    /// Held-out conversations.
    pub fn validation_conversations(&self) -> Result<Vec<Conversation>> {
        self.lines(VALIDATION_CONVERSATIONS)
    }
    /// Test questions; none if the set has no such file.
    pub fn tests(&self) -> Result<Vec<TestQuestion>> {
        if self.dir.join(TESTS).is_file() { self.lines(TESTS) } else { Ok(Vec::new()) }
    }
    fn lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let path = self.dir.join(name);
        let file = std::fs::File::open(&path).map_err(TrainError::io(&path))?;
        let mut out = Vec::new();
        for (i, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(TrainError::io(&path))?;
            if line.trim().is_empty() {
                continue;
            }
            let item = serde_json::from_str(&line)
                .map_err(|e| TrainError::bad(&path, format!("line {}: {e}", i + 1)))?;
            out.push(item);
        }
        Ok(out)
    }
}

/// Characters per document when a long text is cut into documents.
const DOCUMENT_CHARS: usize = 4000;
/// Every this many documents, one is held out for validation.
const HOLD_OUT: usize = 20;

/// What an import made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Files read.
    pub files: usize,
    /// Training documents.
    pub documents: usize,
    /// Held-out documents.
    pub validation_documents: usize,
    /// Characters in all.
    pub chars: usize,
}

/// Read text files (or all files below folders) into a data set at `out`. `.jsonl` files give a document per line (a string, or
/// an object with a `text` field), `.parquet` files their column `text`; any other file is UTF-8 text, cut at paragraph ends into documents.
pub fn import(paths: &[PathBuf], out: &Path) -> Result<Imported> {
    import_as(paths, out, false)
}

/// As [`import`]; with `shards` into parquet shards, the last of which is for validation.
pub fn import_as(paths: &[PathBuf], out: &Path, shards: bool) -> Result<Imported> {
    let mut files = Vec::new();
    for path in paths {
        collect_files(path, &mut files)?;
    }
    files.sort();
    let mut documents = Vec::new();
    for file in &files {
        documents.extend(read_documents(file)?);
    }
    let chars: usize = documents.iter().map(|d| d.chars().count()).sum();
    if documents.is_empty() {
        let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
        return Err(TrainError::bad(first, "holds no text; give UTF-8 text files with something in them"));
    }
    if documents.len() < HOLD_OUT {
        documents = documents.iter().flat_map(|d| cut(d, chars / HOLD_OUT + 1)).collect();
    }
    let held = |i: usize| i % HOLD_OUT == HOLD_OUT / 2;
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (i, d) in documents.into_iter().enumerate() {
        if held(i) { validation.push(d) } else { train.push(d) }
    }
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    if shards {
        write_shards(out, &train, &validation)?;
    } else {
        write_lines(&out.join(VALIDATION_DOCUMENTS), &validation)?;
        write_lines(&out.join(DOCUMENTS), &train)?;
    }
    Ok(Imported { files: files.len(), documents: train.len(), validation_documents: validation.len(), chars })
}

/// Characters of a shard, as the original's.
const SHARD_CHARS: usize = 250_000_000;

/// A shard is closed when it has its characters and whole row groups.
fn write_shards(out: &Path, train: &[String], validation: &[String]) -> Result<()> {
    let (mut start, mut chars, mut number) = (0, 0, 0);
    let path = |number: usize| out.join(format!("shard_{number:05}.parquet"));
    for (i, document) in train.iter().enumerate() {
        chars += document.chars().count();
        let full = chars >= SHARD_CHARS && (i + 1 - start).is_multiple_of(parquet::GROUP);
        if full || i + 1 == train.len() {
            parquet::write_texts(&path(number), &train[start..=i], parquet::GROUP)?;
            (start, chars, number) = (i + 1, 0, number + 1);
        }
    }
    parquet::write_texts(&path(number), validation, parquet::GROUP)
}

fn collect_files(path: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    let meta = std::fs::metadata(path).map_err(TrainError::io(path))?;
    if !meta.is_dir() {
        out.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(TrainError::io(path))? {
        collect_files(&entry.map_err(TrainError::io(path))?.path(), out)?;
    }
    Ok(())
}

fn read_documents(path: &Path) -> Result<Vec<String>> {
    if path.extension().is_some_and(|e| e == "parquet") {
        let file = parquet::ParquetFile::open(path)?;
        let texts = (0..file.groups()).map(|group| file.texts(group)).collect::<Result<Vec<_>>>()?;
        return Ok(texts.into_iter().flatten().collect());
    }
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        TrainError::bad(
            path,
            format!("not UTF-8: byte {at} begins no character; convert the file (iconv -t UTF-8)"),
        )
    })?;
    if path.extension().is_some_and(|e| e == "jsonl") {
        return text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty())
            .map(|(i, line)| json_document(line).ok_or(i))
            .map(|d| {
                d.map_err(|i| {
                    TrainError::bad(
                        path,
                        format!("line {}: neither a JSON string nor an object with \"text\"", i + 1),
                    )
                })
            })
            .collect();
    }
    Ok(cut(&text.replace("\r\n", "\n"), DOCUMENT_CHARS))
}

fn json_document(line: &str) -> Option<String> {
    match serde_json::from_str(line).ok()? {
        serde_json::Value::String(s) => Some(s),
        serde_json::Value::Object(o) => Some(o.get("text")?.as_str()?.to_owned()),
        _ => None,
    }
}

/// Cut a text at paragraph ends (blank lines) into pieces of about `chars` characters; a longer paragraph stays whole.
fn cut(text: &str, chars: usize) -> Vec<String> {
    let (mut out, mut piece, mut length) = (Vec::new(), String::new(), 0);
    for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
        let n = paragraph.chars().count();
        if length > 0 && length + n > chars {
            out.push(std::mem::take(&mut piece));
            length = 0;
        }
        if length > 0 {
            piece.push_str("\n\n");
        }
        piece.push_str(paragraph);
        length += n + 2;
    }
    if !piece.is_empty() {
        out.push(piece);
    }
    out
}

/// One JSON value per line.
pub fn write_lines<T: serde::Serialize>(path: &Path, items: &[T]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        for item in items {
            serde_json::to_writer(&mut out, item)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    write().map_err(TrainError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_paragraph_ends() {
        let text = "aa\n\nbb\n\n\n\ncccccccc\n\ndd";
        assert_eq!(cut(text, 8), ["aa\n\nbb", "cccccccc", "dd"]);
        assert_eq!(cut("  \n\n ", 8), Vec::<String>::new());
    }
}
