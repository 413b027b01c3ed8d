//! The first half of training: which pieces does the corpus have, and how often?
//!
//! Training never looks at the corpus again: a corpus of gigabytes has a few million distinct pieces. Documents are
//! gathered into batches; the threads take documents from a batch and count into a table each; the tables are added at
//! the end. Counts are sums, so the result depends neither on the order of documents nor on the number of threads.

use crate::intern::Interner;
use crate::split::pieces;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A batch is counted when it has so many documents or bytes.
const BATCH_DOCUMENTS: usize = 8192;
const BATCH_BYTES: usize = 16 << 20;

/// Distinct pieces with the number of times each occurs.
pub(super) struct PieceCounts {
    pieces: Interner,
    counts: Vec<i64>,
}

impl PieceCounts {
    fn new() -> Self {
        PieceCounts { pieces: Interner::new(), counts: Vec::new() }
    }

    fn add(&mut self, piece: &[u8], count: i64) {
        let index = self.pieces.insert(piece) as usize;
        match self.counts.get_mut(index) {
            Some(total) => *total += count,
            None => self.counts.push(count),
        }
    }

    fn merged(self, other: PieceCounts) -> PieceCounts {
        let (mut into, from) =
            if self.counts.len() < other.counts.len() { (other, self) } else { (self, other) };
        for (piece, count) in from.iter() {
            into.add(piece, count);
        }
        into
    }

    /// Number of distinct pieces.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Number of pieces, repetitions included.
    pub(super) fn total(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// Every distinct piece with its count, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], i64)> {
        self.pieces.iter().zip(self.counts.iter().copied())
    }
}

/// Counts the pieces of documents as they come.
pub(super) struct Counter {
    /// The batch: documents end to end, and where each ends.
    text: String,
    ends: Vec<usize>,
    /// One table per thread, so the locks are never waited for.
    tables: Vec<Mutex<PieceCounts>>,
}

impl Counter {
    pub(super) fn new() -> Self {
        let tables = (0..rayon::current_num_threads()).map(|_| Mutex::new(PieceCounts::new())).collect();
        Counter { text: String::new(), ends: Vec::new(), tables }
    }

    /// Takes one document. True if that completed a batch, which was counted.
    pub(super) fn add(&mut self, document: &str) -> bool {
        self.text.push_str(document);
        self.ends.push(self.text.len());
        let full = self.ends.len() >= BATCH_DOCUMENTS || self.text.len() >= BATCH_BYTES;
        if full {
            self.count_batch();
        }
        full
    }

    /// The counts over everything that was added.
    pub(super) fn finish(mut self) -> PieceCounts {
        self.count_batch();
        let tables = self
            .tables
            .into_par_iter()
            .map(|table| table.into_inner().unwrap_or_else(PoisonError::into_inner));
        tables.reduce(PieceCounts::new, PieceCounts::merged)
    }

    fn count_batch(&mut self) {
        let (text, tables) = (&self.text, &self.tables);
        self.ends.par_iter().enumerate().for_each(|(i, &end)| {
            let start = if i == 0 { 0 } else { self.ends[i - 1] };
            let thread = rayon::current_thread_index().unwrap_or(0) % tables.len();
            let mut table = tables[thread].lock().unwrap_or_else(PoisonError::into_inner);
            for piece in pieces(&text[start..end]) {
                table.add(piece.as_bytes(), 1);
            }
        });
        self.text.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn counted(documents: &[String], threads: usize) -> BTreeMap<Vec<u8>, i64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let counts = pool.install(|| {
            let mut counter = Counter::new();
            for document in documents {
                counter.add(document);
            }
            counter.finish()
        });
        assert_eq!(counts.total(), counts.iter().map(|(_, count)| count).sum::<i64>());
        counts.iter().map(|(piece, count)| (piece.to_vec(), count)).collect()
    }

    #[test]
    fn documents_are_not_joined() {
        let counts = counted(&["ab".into(), "c".into(), "ab".into(), "".into()], 1);
        assert_eq!(counts, BTreeMap::from([(b"ab".to_vec(), 2), (b"c".to_vec(), 1)]));
    }

    #[test]
    fn order_and_threads_change_nothing() {
        let word = |i: usize| ["low", " low", " lower", "!", "\n\n"][i % 5];
        let mut documents: Vec<String> =
            (0..BATCH_DOCUMENTS + 500).map(|i| [word(i), word(i / 5), word(i / 25)].concat()).collect();
        let counts = counted(&documents, 1);
        assert!(counts.len() > 5 && counts.values().sum::<i64>() > BATCH_DOCUMENTS as i64);
        documents.reverse();
        assert_eq!(counted(&documents, 4), counts);
    }
}
