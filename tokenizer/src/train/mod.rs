//! Training: from documents to a vocabulary.
//!
//! Three steps: [`Budget`] decides how much is read, `count.rs` counts the distinct pieces of it on all cores, and
//! `merges.rs` repeatedly merges the most frequent pair of neighbours. The same corpus gives the same vocabulary,
//! whatever the order of its documents and the number of threads.

mod count;
mod documents;
mod merges;

use crate::error::{Result, TokenizerError};
use crate::special::Special;
use crate::tokenizer::Tokenizer;
use count::Counter;
pub use documents::Budget;
pub use merges::Merge;

/// How many merges lie between two reports of progress.
const PROGRESS_EVERY: usize = 256;

/// What to train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainOptions {
    /// Number of ids, the 256 bytes and the 9 special tokens included: at least [`Tokenizer::MIN_VOCAB_SIZE`].
    pub vocab_size: usize,
    /// Characters used of each document.
    pub doc_cap: usize,
    /// Reading stops after the document that takes the total of characters past this.
    pub max_chars: u64,
}

/// nanochat's defaults of today: 32768 ids from 2 billion characters, at most 10,000 of each document.
impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions { vocab_size: 32768, doc_cap: 10_000, max_chars: 2_000_000_000 }
    }
}

/// How far training is; given to the caller's callback from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The corpus is being read.
    Counting {
        /// Documents so far.
        documents: u64,
        /// Characters so far.
        chars: u64,
    },
    /// Pairs are being merged.
    Merging {
        /// Merges so far.
        done: usize,
        /// Merges wanted.
        wanted: usize,
    },
}

/// What training read and learned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrainReport {
    /// The size asked for.
    pub requested_vocab_size: usize,
    /// The size reached; smaller if the corpus ran out of pairs.
    pub vocab_size: usize,
    /// Documents used.
    pub documents: u64,
    /// Characters used.
    pub chars: u64,
    /// Pieces in them.
    pub pieces: i64,
    /// Distinct pieces.
    pub distinct_pieces: usize,
    /// All merges in order; merge `i` made token `256 + i`.
    pub merges: Vec<Merge>,
}

impl TrainReport {
    /// One line for the user if the vocabulary came out smaller than asked for.
    pub fn warning(&self) -> Option<String> {
        let (found, wanted) = (self.vocab_size, self.requested_vocab_size);
        (found < wanted).then(|| {
            format!(
                "the vocabulary has {found} tokens, not {wanted}: every word of the corpus is one token already; \
                 use more text or ask for {found}"
            )
        })
    }
}

impl Tokenizer {
    /// Learns a vocabulary from `documents` (only the text before the limits in `options` is read, and no document is
    /// asked for beyond that). Runs on rayon's current thread pool.
    ///
    /// Errors: a vocabulary size below [`Tokenizer::MIN_VOCAB_SIZE`] or beyond 32 bits. A corpus too small for the
    /// size is no error, see [`TrainReport::warning`].
    pub fn train<S: AsRef<str>>(
        documents: impl IntoIterator<Item = S>,
        options: &TrainOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Tokenizer, TrainReport)> {
        let wanted = wanted_merges(options.vocab_size)?;

        let mut budget = Budget::new(options.doc_cap, options.max_chars);
        let mut counter = Counter::new();
        let mut read = 0;
        for document in documents {
            let Some(text) = budget.admit(document.as_ref()) else { break };
            read += 1;
            if counter.add(text) {
                progress(Progress::Counting { documents: read, chars: budget.used() });
            }
            if budget.is_spent() {
                break;
            }
        }
        let counts = counter.finish();
        progress(Progress::Counting { documents: read, chars: budget.used() });

        let merges = merges::learn(counts.iter(), wanted, |done| {
            if done.is_multiple_of(PROGRESS_EVERY) || done == wanted {
                progress(Progress::Merging { done, wanted });
            }
        });
        let tokenizer = Tokenizer::from_ranks(token_bytes(&merges))?;
        let report = TrainReport {
            requested_vocab_size: options.vocab_size,
            vocab_size: tokenizer.vocab_size(),
            documents: read,
            chars: budget.used(),
            pieces: counts.total(),
            distinct_pieces: counts.len(),
            merges,
        };
        Ok((tokenizer, report))
    }
}

fn wanted_merges(vocab_size: usize) -> Result<usize> {
    if u32::try_from(vocab_size).is_err() {
        return Err(TokenizerError::VocabTooLarge { requested: vocab_size });
    }
    let minimum = Tokenizer::MIN_VOCAB_SIZE;
    let too_small = TokenizerError::VocabTooSmall { requested: vocab_size, minimum };
    vocab_size.checked_sub(256 + Special::COUNT).ok_or(too_small)
}

/// The bytes of every token: 256 single ones, then what the merges put together. No two are equal: merges are made in
/// one order everywhere, and nothing reaches across the ends of bytes that become one token, so equal bytes are put
/// together in the same way.
fn token_bytes(merges: &[Merge]) -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    for merge in merges {
        let joined = [tokens[merge.left as usize].as_slice(), &tokens[merge.right as usize]].concat();
        tokens.push(joined);
    }
    tokens
}
