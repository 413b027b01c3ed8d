//! The walk through documents: rank r of W reads row groups r, r+W, … of every file, file after file, for ever; each row group
//! is cut into batches of some documents, which are encoded with `<|bos|>` in front.
//!
//! A document is known by where it is ([`DocumentId`]), so a loader that holds documents back saves a few numbers and has
//! exactly those documents again when it resumes. The original saves only the last row group and loses what it held;
//! [`Source::after`] continues as it would. Next: `flat.rs` and `best_fit.rs`, which make rows of documents.

use super::shards::Documents;
use crate::error::{Result, TrainError};
use kernels::planted;
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
    fingerprint: u64,
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
        let fingerprint = documents.fingerprint();
        let tokenizer = tokenizer.clone();
        let mut source =
            Source { documents, tokenizer, rank, batch, place, open: None, last: start, fingerprint };
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
    /// Which data this is, for a checkpoint.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
    /// Refuse to go on with other data than those of the checkpoint; one that does not say which they were is believed.
    pub fn check(&self, saved: Option<u64>) -> Result<()> {
        let same = saved.is_none_or(|saved| saved == self.fingerprint);
        if planted!("source.other_data_unnoticed", same => true) {
            return Ok(());
        }
        let last = self.documents.files().saturating_sub(1);
        Err(TrainError::Config(format!(
            "the data are not those of the checkpoint: a file was added, lost or changed (there are {} now, the last is {}); restore them as they were, or start a new run",
            last + 1,
            self.documents.name(last)
        )))
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
        // Once round all row groups, and one more because a walk can begin in the middle of one.
        let all: usize =
            1 + (0..self.documents.files()).map(|file| self.documents.groups(file)).sum::<usize>();
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
            if empty > all {
                let Rank { rank, world } = self.rank;
                return Err(TrainError::Config(format!(
                    "rank {rank} of {world} went round all files and found no document in its row groups; give more data, or use fewer ranks"
                )));
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

    /// Files of row groups of so many documents each.
    struct Groups(Vec<Vec<usize>>);

    impl Documents for Groups {
        fn files(&self) -> usize {
            self.0.len()
        }
        fn groups(&self, file: usize) -> usize {
            self.0[file].len()
        }
        fn read(&self, file: usize, group: usize) -> Result<Vec<String>> {
            Ok((0..self.0[file][group]).map(|i| format!("{file}.{group}.{i}")).collect())
        }
        fn name(&self, file: usize) -> String {
            format!("file {file}")
        }
        fn fingerprint(&self) -> u64 {
            0
        }
    }

    #[test]
    fn footgun_row_groups_without_documents_end_the_search_after_one_round() {
        let walk = |files: &[&[usize]], rank| {
            let files = Groups(files.iter().map(|groups| groups.to_vec()).collect());
            Source::new(Box::new(files), &bytes_only(), Rank { rank, world: 2 }, 3).unwrap()
        };
        let files: &[&[usize]] = &[&[5, 0, 5], &[1, 0]];
        let error = walk(files, 1).next_texts().unwrap_err().to_string();
        assert!(error.contains("rank 1 of 2") && error.contains("fewer ranks"), "{error}");
        let mut has_some = walk(files, 0);
        let taken: Vec<usize> = (0..6).map(|_| has_some.next_texts().unwrap().len()).collect();
        assert_eq!(taken, [3, 2, 3, 2, 1, 3]);
    }

    #[test]
    fn footgun_ranks_of_unequal_shares_go_round_each_at_its_own_pace_and_lose_nothing() {
        // Two, one and three row groups: of three ranks the last finds something in one file only.
        let files = || Groups(vec![vec![4, 4], vec![4], vec![4, 4, 4]]);
        let mut seen = Vec::new();
        for (rank, share) in [(0, 12), (1, 8), (2, 4)] {
            let mut walk = Source::new(Box::new(files()), &bytes_only(), Rank { rank, world: 3 }, 4).unwrap();
            while walk.place().at.epoch == 1 {
                seen.extend(walk.next_texts().unwrap().into_iter().map(|(_, text)| text));
            }
            assert_eq!(walk.last().epoch, 1);
            for _ in 0..share / 4 {
                walk.next_texts().unwrap();
            }
            assert_eq!((walk.last().epoch, walk.place().at.epoch), (2, 3), "rank {rank}");
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((all, seen.len()), (24, 24));
    }

    #[test]
    fn a_missing_file_is_named_when_a_walk_resumes() {
        let mut s = source(8, 0, 1).unwrap();
        let place = Place { at: RowGroup { file: 3, group: 0, epoch: 1 }, row: 0 };
        assert!(s.seek(place).unwrap_err().to_string().contains("a shard is missing"));
        assert!(s.fetch(&[DocumentId(0, 0, 99)]).unwrap_err().to_string().contains("restore the data"));
    }

    #[test]
    fn footgun_other_data_than_those_of_the_checkpoint_are_refused() {
        let (a, b) = (source(8, 0, 1).unwrap(), source(9, 0, 1).unwrap());
        a.check(Some(a.fingerprint())).unwrap();
        a.check(None).unwrap(); // a checkpoint of before
        assert!(b.check(Some(a.fingerprint())).unwrap_err().to_string().contains("added, lost or changed"));
    }
}
