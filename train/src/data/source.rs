//! The walk through documents: rank r of W reads row groups r, r+W, … of every file, file after file, for ever; each row group
//! is cut into batches of some documents, which are encoded with `<|bos|>` in front.
//!
//! A document is known by where it is ([`DocumentId`]), so a loader that holds documents back saves a few numbers and has
//! exactly those documents again when it resumes. The original saves only the last row group and loses what it held;
//! [`Source::after`] continues as it would. Next: `flat.rs` and `best_fit.rs`, which make rows of documents.

use super::shards::Documents;
use crate::error::{Result, TrainError};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tokenizer::Tokenizer;

/// Documents per batch of the encoder in the original.
pub const TOKENIZER_BATCH: usize = 128;

/// A row group: what the original calls pq_idx, rg_idx and epoch. Epochs count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroup {
    /// Number of the file.
    pub file: usize,
    /// Row group in it.
    pub group: usize,
    /// Pass over the data.
    pub epoch: u64,
}

/// Where a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentId(
    /// File.
    pub usize,
    /// Row group.
    pub usize,
    /// Row.
    pub usize,
);

/// An encoded document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Where it is.
    pub id: DocumentId,
    /// `<|bos|>` and its tokens.
    pub ids: Vec<i32>,
}

/// Which part of the data is a process's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Number of this process.
    pub rank: usize,
    /// Number of processes.
    pub world: usize,
}

impl Default for Rank {
    fn default() -> Self {
        Rank { rank: 0, world: 1 }
    }
}

/// Where a walk is: the next document to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its row group.
    pub at: RowGroup,
    /// Its row in there.
    pub row: usize,
}

/// A walk.
pub struct Source {
    documents: Box<dyn Documents>,
    tokenizer: Tokenizer,
    rank: Rank,
    batch: usize,
    place: Place,
    /// Texts of the row group at `place`, once read.
    open: Option<Vec<String>>,
    /// Row group of the last batch.
    last: RowGroup,
}

impl Source {
    /// From the beginning. A rank without any row group would search for ever: an error.
    pub fn new(
        documents: Box<dyn Documents>,
        tokenizer: &Tokenizer,
        rank: Rank,
        batch: usize,
    ) -> Result<Source> {
        let Rank { rank: r, world } = rank;
        if world == 0 || r >= world || batch == 0 {
            return Err(TrainError::Config(format!(
                "rank {r} of {world}, batches of {batch}: nothing can be read so"
            )));
        }
        let most = (0..documents.files()).map(|f| documents.groups(f)).max().unwrap_or(0);
        if most <= r {
            return Err(TrainError::Config(format!(
                "rank {r} of {world} has no data: the largest file has {most} row groups; use at most {most} ranks, or shards with smaller row groups"
            )));
        }
        let start = RowGroup { file: 0, group: r, epoch: 1 };
        let place = Place { at: start, row: 0 };
        let mut source =
            Source { documents, tokenizer: tokenizer.clone(), rank, batch, place, open: None, last: start };
        source.settle();
        Ok(source)
    }
    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
    /// The next document to be taken.
    pub fn place(&self) -> Place {
        self.place
    }
    /// Row group of the last batch: what the original saves.
    pub fn last(&self) -> RowGroup {
        self.last
    }
    /// Continue at a saved place.
    pub fn seek(&mut self, place: Place) -> Result<()> {
        self.place = place;
        self.open = None;
        self.check_place()?;
        self.settle();
        Ok(())
    }
    /// Continue as the original does: with this rank's row group after `last`, whatever was left of that one.
    pub fn after(&mut self, last: RowGroup) -> Result<()> {
        let Rank { rank, world } = self.rank;
        let at = RowGroup { group: (last.group / world + 1) * world + rank, ..last };
        self.seek(Place { at, row: 0 })
    }
    fn check_place(&self) -> Result<()> {
        let (file, files) = (self.place.at.file, self.documents.files());
        if file >= files {
            return Err(TrainError::Config(format!(
                "the saved position is in file {file}, and there are {files}: a shard is missing since; restore it, or start a new run"
            )));
        }
        Ok(())
    }
    /// Past the end of a file the next one begins, past the last file the next epoch.
    fn settle(&mut self) {
        while self.place.at.group >= self.documents.groups(self.place.at.file) {
            let RowGroup { file, epoch, .. } = self.place.at;
            let group = self.rank.rank;
            self.place.at = match file + 1 < self.documents.files() {
                true => RowGroup { file: file + 1, group, epoch },
                false => RowGroup { file: 0, group, epoch: epoch + 1 },
            };
        }
    }
    /// The next batch of documents: at most as many as a batch has, all of one row group.
    pub fn next_texts(&mut self) -> Result<Vec<(DocumentId, String)>> {
        let mut empty = 0;
        loop {
            let at = self.place.at;
            let texts = match &mut self.open {
                Some(texts) => texts,
                closed => closed.insert(self.documents.read(at.file, at.group)?),
            };
            let from = self.place.row.min(texts.len());
            let to = (from + self.batch).min(texts.len());
            let id = |row| DocumentId(at.file, at.group, row);
            let out: Vec<_> = (from..to).map(|row| (id(row), std::mem::take(&mut texts[row]))).collect();
            self.place.row = to;
            if to == texts.len() {
                self.place = Place { at: RowGroup { group: at.group + self.rank.world, ..at }, row: 0 };
                self.open = None;
                self.settle();
            }
            if !out.is_empty() {
                self.last = at;
                return Ok(out);
            }
            empty += 1;
            if empty > 1_000_000 {
                let why = "a million row groups in a row hold no document: the shards are empty";
                return Err(TrainError::Config(why.into()));
            }
        }
    }
    /// The next batch of documents, encoded.
    pub fn next_batch(&mut self) -> Result<Vec<Encoded>> {
        let texts = self.next_texts()?;
        Ok(texts.into_iter().map(|(id, text)| self.encode(id, &text)).collect())
    }
    fn encode(&self, id: DocumentId, text: &str) -> Encoded {
        let ids = self.tokenizer.encode_between(Some(self.tokenizer.bos()), text, None);
        Encoded { id, ids: ids.into_iter().map(|id| id as i32).collect() }
    }
    /// These documents again, in this order: each row group is read once.
    pub fn fetch(&self, ids: &[DocumentId]) -> Result<VecDeque<Encoded>> {
        let mut read: Vec<((usize, usize), Vec<String>)> = Vec::new();
        let mut out = VecDeque::with_capacity(ids.len());
        for &id in ids {
            let DocumentId(file, group, row) = id;
            if !read.iter().any(|(key, _)| *key == (file, group)) {
                let inside = file < self.documents.files() && group < self.documents.groups(file);
                let texts = if inside { self.documents.read(file, group)? } else { Vec::new() };
                read.push(((file, group), texts));
            }
            let texts = read.iter().find(|(key, _)| *key == (file, group)).map(|(_, texts)| texts);
            let text = texts.and_then(|t| t.get(row)).ok_or_else(|| {
                TrainError::Config(format!(
                    "document {row} of row group {group} of file {file} is gone since the checkpoint was written; restore the data, or start a new run"
                ))
            })?;
            out.push_back(self.encode(id, text));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::shards::Listed;

    pub(crate) fn bytes_only() -> Tokenizer {
        Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
    }

    fn source(n: usize, rank: usize, world: usize) -> Result<Source> {
        let documents = (0..n).map(|i| i.to_string()).collect();
        Source::new(Box::new(Listed::new(documents, 4)), &bytes_only(), Rank { rank, world }, 2)
    }

    #[test]
    fn ranks_share_the_documents_and_epochs_count() {
        let mut seen = Vec::new();
        for rank in 0..2 {
            let mut s = source(16, rank, 2).unwrap();
            for _ in 0..4 {
                seen.extend(s.next_texts().unwrap().into_iter().map(|(_, text)| text));
            }
            assert_eq!(s.last().epoch, 1);
            s.next_texts().unwrap();
            assert_eq!(s.last(), RowGroup { file: 0, group: rank, epoch: 2 });
        }
        seen.sort_by_key(|t| t.parse::<usize>().unwrap());
        assert_eq!(seen, (0..16).map(|i| i.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn footgun_a_rank_without_row_groups_is_an_error_instead_of_an_endless_search() {
        let error = source(3, 3, 4).err().unwrap().to_string();
        assert!(error.contains("use at most 3 ranks"), "{error}");
        assert!(source(0, 0, 1).is_err());
        let blank = Listed::new(vec![], 1);
        assert!(Source::new(Box::new(blank), &bytes_only(), Rank::default(), 2).is_err());
    }

    #[test]
    fn a_missing_file_is_named_when_a_walk_resumes() {
        let mut s = source(8, 0, 1).unwrap();
        let place = Place { at: RowGroup { file: 3, group: 0, epoch: 1 }, row: 0 };
        assert!(s.seek(place).unwrap_err().to_string().contains("a shard is missing"));
        assert!(s.fetch(&[DocumentId(0, 0, 99)]).unwrap_err().to_string().contains("restore the data"));
    }
}
