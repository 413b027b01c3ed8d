//! Bytes and ids, conversations to ids and masks.
//!
//! A language model reads numbers. This crate learns which byte strings deserve a number ([`Tokenizer::train`]),
//! turns text into numbers and back ([`Tokenizer::encode`], [`Tokenizer::decode`]), and lays conversations out so that
//! a model can learn to answer ([`Tokenizer::render_conversation`]). It knows nothing of tensors.
//!
//! The same corpus gives the same vocabulary as nanochat's trainer, and the same vocabulary gives the same ids as
//! tiktoken; both are tested. Read in this order:
//!
//! 1. [`split`]: text into pieces;
//! 2. [`train`]: pieces into a vocabulary;
//! 3. `bpe/`: a piece into ids;
//! 4. [`conversation`]: turns into ids, and which of them to learn;
//! 5. `file.rs`: how a tokenizer is kept.

mod bpe;
pub mod conversation;
mod decode;
mod encode;
mod error;
mod file;
mod intern;
mod ranks;
mod special;
pub mod split;
mod tokenizer;
pub mod train;

pub use conversation::{Content, Conversation, Message, Part, PartKind, Rendered, Role};
pub use decode::StreamDecoder;
pub use error::{Result, TokenizerError};
pub use special::Special;
pub use tokenizer::Tokenizer;
pub use train::{Progress, TrainOptions, TrainReport};
