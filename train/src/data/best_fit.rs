//! Rows that begin with a document, the loader of the current generation: each row of T + 1 tokens is filled with the longest
//! held documents that fit, and its end with the beginning of the shortest.
//!
//! About 1000 documents are held. What does not fit of the last one is thrown away (about a third of all tokens at T = 2048),
//! which buys that every token is predicted from the beginning of its document. There is no padding, and no mask between
//! documents. The first of equals wins. The search is linear in the documents held, far below the cost of encoding them.

use super::rows::{Loader, Rows, saved};
use super::source::{DocumentId, Encoded, Place, Source};
use crate::error::Result;
use kernels::planted;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Documents held in the original.
pub const HELD: usize = 1000;

/// The loader.
pub struct BestFit {
    source: Source,
    hold: usize,
    held: Vec<Encoded>,
    start: Place,
}

/// Where a loader is: the documents it holds, in their order, and the next one to read.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// Which data; absent in checkpoints of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<u64>,
    next: Place,
    held: Vec<DocumentId>,
}

impl BestFit {
    /// Over `source`, holding at least `hold` documents.
    pub fn new(source: Source, hold: usize) -> BestFit {
        let start = source.place();
        BestFit { source, hold: hold.max(1), held: Vec::new(), start }
    }
    /// The walk.
    pub fn source(&self) -> &Source {
        &self.source
    }
    fn refill(&mut self) -> Result<()> {
        while self.held.len() < self.hold {
            self.held.extend(self.source.next_batch()?);
        }
        Ok(())
    }
    fn fill(&mut self, row: &mut Vec<i32>, capacity: usize) -> Result<()> {
        let begin = row.len();
        while row.len() < begin + capacity {
            self.refill()?;
            let remaining = begin + capacity - row.len();
            match longest_that_fits(&self.held, |d| d.ids.len(), remaining) {
                Some(i) => row.extend(self.held.remove(i).ids),
                None => {
                    let lengths = self.held.iter().map(|d| d.ids.len()).enumerate();
                    let Some((i, _)) = lengths.min_by_key(|&(_, length)| length) else { continue };
                    row.extend(&self.held.remove(i).ids[..remaining]);
                }
            }
        }
        Ok(())
    }
}

/// The first of the longest items of at most `most` tokens.
pub(super) fn longest_that_fits<T>(items: &[T], length: impl Fn(&T) -> usize, most: usize) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    for (i, n) in items.iter().map(length).enumerate() {
        let longer = |(_, best)| planted!("best_fit.last_of_equals", n > best => n >= best);
        if n <= most && best.is_none_or(longer) {
            best = Some((i, n));
        }
    }
    best.map(|(i, _)| i)
}

impl Loader for BestFit {
    fn rows(&mut self, b: usize, t: usize) -> Result<Rows> {
        let mut tokens = Vec::with_capacity(b * (t + 1));
        for _ in 0..b {
            self.fill(&mut tokens, t + 1)?;
        }
        Ok(Rows::shifted(&tokens, b, t))
    }
    fn position(&self) -> Value {
        let (data, held) = (Some(self.source.fingerprint()), self.held.iter().map(|d| d.id).collect());
        json!(Position { data, next: self.source.place(), held })
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        let Position { data, next, held } = saved(position)?;
        self.source.check(data)?;
        self.source.seek(next)?;
        self.held = planted!("best_fit.held_documents_lost", self.source.fetch(&held)?.into() => Vec::new());
        Ok(())
    }
    fn restart(&mut self) -> Result<()> {
        self.held.clear();
        self.source.seek(self.start)
    }
    fn epochs_done(&self) -> u64 {
        self.source.place().at.epoch - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader_tests::{byte_source, resumes_exactly};

    #[test]
    fn the_first_of_the_longest_that_fit_is_taken() {
        let fits = |most| longest_that_fits(&[3, 7, 5, 7, 5], |&n| n, most);
        assert_eq!([fits(9), fits(6), fits(4), fits(2)], [Some(1), Some(2), Some(0), None]);
    }

    #[test]
    fn a_resumed_loader_has_the_documents_that_it_held() {
        for hold in [1, 6, 40] {
            resumes_exactly(|| Box::new(BestFit::new(byte_source(31, 2), hold)), 2, 11);
        }
    }

    #[test]
    fn every_row_begins_with_a_document_and_is_full() {
        let mut loader = BestFit::new(byte_source(31, 2), 9);
        let bos = loader.source.tokenizer().bos() as i32;
        for _ in 0..50 {
            let rows = loader.rows(3, 10).unwrap();
            assert!(rows.ids.chunks(10).all(|row| row[0] == bos));
            assert!(rows.targets.iter().all(|&t| t >= 0));
        }
    }
}
