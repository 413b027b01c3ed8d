//! Everything that can go wrong in this crate.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, TokenizerError>;

/// What went wrong, and where the message can say it, what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A vocabulary has to hold 256 single bytes and the special tokens.
    #[error(
        "vocabulary size {requested} is too small: use at least {minimum} (256 bytes and 9 special tokens)"
    )]
    VocabTooSmall {
        /// The size asked for, or found.
        requested: usize,
        /// The smallest possible size.
        minimum: usize,
    },
    /// Ids are 32 bits wide.
    #[error("vocabulary size {requested} is too large: token ids have 32 bits")]
    VocabTooLarge {
        /// The size asked for.
        requested: usize,
    },
    /// A token id that this tokenizer does not have.
    #[error(
        "token id {id} is outside the vocabulary of {vocab_size}: were these ids made by another tokenizer?"
    )]
    UnknownId {
        /// The id.
        id: u32,
        /// Number of ids, specials included.
        vocab_size: usize,
    },
    /// A vocabulary entry without bytes.
    #[error("token {id} has no bytes: every vocabulary entry needs at least one")]
    EmptyToken {
        /// Id of the entry.
        id: usize,
    },
    /// Two vocabulary entries with the same bytes.
    #[error("token {id} has the same bytes as token {first}: every vocabulary entry must be distinct")]
    DuplicateToken {
        /// Id of the second entry.
        id: usize,
        /// Id of the first entry.
        first: usize,
    },
    /// A single byte that is no vocabulary entry.
    #[error(
        "byte {byte:#04x} is not in the vocabulary: all 256 single bytes have to be, or some text has no encoding"
    )]
    MissingByte {
        /// The byte.
        byte: u8,
    },
    /// A conversation that breaks the rules of [`crate::conversation`].
    #[error("message {message}: {problem}")]
    Conversation {
        /// Which message, from 0.
        message: usize,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// JSON that is not a conversation.
    #[error("this JSON is not a conversation: {source}")]
    ConversationJson {
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A file of the tokenizer is not there.
    #[error("{} does not exist: train a tokenizer first, or check the path", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A stream given by the caller failed while ranks were written to it.
    #[error("could not write the ranks: {0}")]
    Write(#[source] std::io::Error),
    /// A line of the rank file is not `base64 id`.
    #[error(
        "line {line} of the ranks: {problem}: the file is damaged or no tiktoken rank file; restore or retrain it"
    )]
    CorruptRanks {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The ids in the rank file are not 0, 1, 2 and so on.
    #[error(
        "line {line} of the ranks: id {found} where {expected} was expected: ids must ascend from 0 without gaps"
    )]
    NonContiguousRanks {
        /// Which line, from 1.
        line: usize,
        /// The id in that line.
        found: u32,
        /// The next id.
        expected: usize,
    },
    /// The rank file does not hold what `meta.json` says.
    #[error("{} holds {found}, but meta.json says {expected}: it is cut off or of another save; restore or retrain it", path.display())]
    RanksMismatch {
        /// The rank file.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// `meta.json` cannot be used.
    #[error("{}: {problem}", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `meta.json` has a format version that this program does not know.
    #[error("{} has format version {found}, this program reads version {supported}: update the program", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u64,
        /// Version this program writes.
        supported: u64,
    },
}
