//! What is in a data set: counts, lengths, a few samples, and how a tokenizer cuts it.
//!
//! Files are read one row group or line at a time; of all rows only the lengths are kept.

use super::parquet::{ParquetFile, TEXT};
use crate::error::{Result, TrainError};
use serde::Serialize;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use tokenizer::Tokenizer;

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// By file.
    pub files: Vec<FileReport>,
    /// Rows in all.
    pub rows: usize,
    /// Characters in all.
    pub chars: usize,
    /// Lengths of the rows, in characters.
    pub lengths: Lengths,
    /// With a tokenizer.
    pub tokens: Option<Tokens>,
    /// The beginnings of some rows.
    pub samples: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Their characters.
    pub chars: usize,
    /// Of a parquet file.
    pub row_groups: Option<usize>,
    /// Of a parquet file.
    pub columns: Vec<String>,
}

/// How long rows are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Lengths {
    /// The shortest.
    pub least: usize,
    /// Half of them are shorter.
    pub middle: usize,
    /// Nine of ten are shorter.
    pub ninety_percent: usize,
    /// The longest.
    pub most: usize,
    /// Rows with lengths in 0, 1, 2..4, 4..8, …
    pub by_power: Vec<usize>,
}

/// How rows are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tokens {
    /// Tokens in all.
    pub tokens: usize,
    /// Bytes of text for each.
    pub bytes_per_token: f64,
    /// Different ids that occur.
    pub different: usize,
    /// Ids there are.
    pub vocabulary: usize,
}

/// Characters of a sample.
const SAMPLE_CHARS: usize = 240;

/// Read `path`: a file, or all parquet, jsonl and text files of a folder.
pub fn inspect(path: &Path, tokenizer: Option<&Tokenizer>, samples: usize) -> Result<Report> {
    let mut files: Vec<PathBuf> = match path.is_dir() {
        false => vec![path.to_owned()],
        true => {
            let entries = std::fs::read_dir(path).map_err(TrainError::io(path))?;
            entries.flatten().map(|e| e.path()).filter(|p| p.is_file() && readable(p)).collect()
        }
    };
    files.sort();
    if files.is_empty() {
        return Err(TrainError::bad(path, "holds no parquet, jsonl or text files"));
    }
    let mut tally = Tally {
        tokenizer,
        samples,
        seen: vec![false; tokenizer.map_or(0, Tokenizer::vocab_size)],
        ..Tally::new()
    };
    for file in &files {
        tally.file(file)?;
    }
    Ok(tally.done())
}

fn readable(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "parquet" || e == "jsonl" || e == "txt" || e == "md")
}

struct Tally<'a> {
    tokenizer: Option<&'a Tokenizer>,
    samples: usize,
    report: Report,
    lengths: Vec<usize>,
    bytes: usize,
    tokens: usize,
    seen: Vec<bool>,
}

impl Tally<'_> {
    fn new() -> Self {
        Tally {
            tokenizer: None,
            samples: 0,
            report: Report::default(),
            lengths: vec![],
            bytes: 0,
            tokens: 0,
            seen: vec![],
        }
    }
    fn file(&mut self, path: &Path) -> Result<()> {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let mut file = FileReport { name, ..FileReport::default() };
        if path.extension().is_some_and(|e| e == "parquet") {
            let parquet = ParquetFile::open(path)?;
            file.row_groups = Some(parquet.groups());
            file.columns = parquet.columns();
            let texts = file.columns.iter().any(|c| c == TEXT);
            for group in 0..parquet.groups() {
                if texts {
                    parquet.texts(group)?.iter().for_each(|t| self.row(t, &mut file));
                } else {
                    parquet.rows(group)?.iter().for_each(|v| self.row(&v.to_string(), &mut file));
                }
            }
        } else {
            let open = std::fs::File::open(path).map_err(TrainError::io(path))?;
            let json = path.extension().is_some_and(|e| e == "jsonl");
            for (i, line) in BufReader::new(open).lines().enumerate() {
                let line = line.map_err(TrainError::io(path))?;
                if line.trim().is_empty() {
                    continue;
                }
                if !json {
                    self.row(&line, &mut file);
                    continue;
                }
                let value: Value = serde_json::from_str(&line)
                    .map_err(|e| TrainError::bad(path, format!("line {}: {e}", i + 1)))?;
                match value.as_str().or_else(|| value.get(TEXT).and_then(Value::as_str)) {
                    Some(text) => self.row(text, &mut file),
                    None => self.row(&line, &mut file),
                }
            }
        }
        self.report.files.push(file);
        Ok(())
    }
    fn row(&mut self, text: &str, file: &mut FileReport) {
        let chars = text.chars().count();
        file.rows += 1;
        file.chars += chars;
        self.lengths.push(chars);
        if let Some(tokenizer) = self.tokenizer {
            let ids = tokenizer.encode(text);
            self.tokens += ids.len();
            self.bytes += text.len();
            ids.iter().for_each(|&id| self.seen[id as usize] = true);
        }
        if self.report.samples.len() < self.samples {
            self.report.samples.push(text.chars().take(SAMPLE_CHARS).collect());
        }
    }
    fn done(mut self) -> Report {
        self.report.rows = self.lengths.len();
        self.report.chars = self.lengths.iter().sum();
        self.report.lengths = Lengths::of(self.lengths);
        self.report.tokens = self.tokenizer.map(|t| Tokens {
            tokens: self.tokens,
            bytes_per_token: self.bytes as f64 / self.tokens.max(1) as f64,
            different: self.seen.iter().filter(|&&s| s).count(),
            vocabulary: t.vocab_size(),
        });
        self.report
    }
}

impl Lengths {
    fn of(mut lengths: Vec<usize>) -> Lengths {
        lengths.sort_unstable();
        let at = |part: f64| {
            let last = lengths.len().saturating_sub(1);
            lengths.get((part * last as f64) as usize).copied().unwrap_or(0)
        };
        let mut by_power = Vec::new();
        for &n in &lengths {
            let power = (usize::BITS - n.leading_zeros()) as usize;
            by_power.resize(by_power.len().max(power + 1), 0);
            by_power[power] += 1;
        }
        Lengths { least: at(0.0), middle: at(0.5), ninety_percent: at(0.9), most: at(1.0), by_power }
    }
    /// A bar for each power of two that occurs, with its range.
    pub fn bars(&self) -> Vec<(String, String)> {
        let most = self.by_power.iter().copied().max().unwrap_or(0).max(1);
        let occurring = self.by_power.iter().enumerate().filter(|(_, n)| **n > 0);
        let bar = |(power, &n): (usize, &usize)| {
            let width = (n * 40).div_ceil(most);
            let from = if power == 0 { 0 } else { 1usize << (power - 1) };
            (format!("{} {n}", "#".repeat(width)), format!("{from}..{}", 1usize << power))
        };
        occurring.map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_characters_and_tokens_are_counted_in_every_format() {
        let dir = crate::data::scratch("inspect");
        let texts = ["ab".to_string(), "abcd".to_string(), "é".to_string()];
        crate::data::parquet::write_texts(&dir.join("a.parquet"), &texts, 2).unwrap();
        std::fs::write(dir.join("b.jsonl"), "\"xyz\"\n{\"text\":\"uv\"}\n").unwrap();
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let report = inspect(&dir, Some(&bytes), 2).unwrap();
        assert_eq!((report.rows, report.chars), (5, 2 + 4 + 1 + 3 + 2));
        assert_eq!((report.files[0].row_groups, report.files[1].rows), (Some(2), 2));
        assert_eq!((report.lengths.least, report.lengths.middle, report.lengths.most), (1, 2, 4));
        assert_eq!(report.lengths.by_power, [0, 1, 3, 1]);
        assert_eq!(report.tokens.unwrap().tokens, 13);
        assert_eq!(report.samples, ["ab", "abcd"]);
        assert_eq!(report.lengths.bars().len(), 3);
        assert!(inspect(&crate::data::scratch("inspect-empty"), None, 1).is_err());
    }
}
