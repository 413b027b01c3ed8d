//! The flat stream of pretraining: documents in a shuffled order, each begun by `<|bos|>`, joined end to end and cut into
//! rows of T tokens. A batch reads B·T + 1 tokens and moves on by B·T, so every token is an input once and a target once.
//! No padding, no cropping; rows begin anywhere.

use super::batch::Batch;
use super::order::permutation;
use super::rows::{Loader, Rows, saved};
use super::shards::{EMPTY, hash};
use crate::error::{Result, TrainError};
use kernels::{par, planted};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::Range;
use tensor::Device;
use tokenizer::Tokenizer;

/// Where a stream is: enough to continue with the very next token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Full passes done.
    pub epoch: u64,
    /// Place in the epoch's order.
    pub document: usize,
    /// Tokens of that document already used as inputs.
    pub token: usize,
}

/// All documents as tokens, and a position.
pub struct TokenStream {
    tokens: Vec<i32>,
    documents: Vec<Range<usize>>,
    order: Vec<u32>,
    shuffle: Option<u64>,
    position: Position,
    /// Of all tokens.
    fingerprint: u64,
}

/// What a checkpoint has.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// Which data; absent in checkpoints of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<u64>,
    #[serde(flatten)]
    position: Position,
}

impl TokenStream {
    /// Encode `documents`; visit them in an order drawn from `shuffle`, or as they come.
    pub fn new(documents: &[String], tokenizer: &Tokenizer, shuffle: Option<u64>) -> Result<TokenStream> {
        // Blocks of documents are encoded in parallel and joined in order.
        let bos = tokenizer.bos();
        let encoded = par::map_blocks(documents.len(), 64, |range| {
            documents[range].iter().map(|d| tokenizer.encode_between(Some(bos), d, None)).collect::<Vec<_>>()
        });
        let (mut tokens, mut ranges) = (Vec::new(), Vec::new());
        for ids in encoded.into_iter().flatten() {
            let start = tokens.len();
            tokens.extend(ids.into_iter().map(|id| id as i32));
            ranges.push(start..tokens.len());
        }
        if tokens.len() < 2 {
            let what = "the corpus holds no text: give files with at least one non-empty document";
            return Err(TrainError::Config(what.into()));
        }
        let fingerprint = tokens.iter().fold(EMPTY, |so_far, id| hash(so_far, &id.to_le_bytes()));
        let mut stream = TokenStream {
            fingerprint,
            tokens,
            documents: ranges,
            order: Vec::new(),
            shuffle,
            position: Position::default(),
        };
        stream.seek(Position::default());
        Ok(stream)
    }
    /// Tokens in one epoch.
    pub fn tokens_per_epoch(&self) -> usize {
        self.tokens.len()
    }
    /// Where the next batch begins.
    pub fn position(&self) -> Position {
        self.position
    }
    /// Continue from a saved position.
    pub fn seek(&mut self, position: Position) {
        self.order = self.order_of(planted!("stream.resumes_in_the_first_order", position.epoch => 0));
        self.position = position;
    }
    fn order_of(&self, epoch: u64) -> Vec<u32> {
        match self.shuffle {
            Some(seed) => permutation(self.documents.len(), seed, epoch),
            None => (0..self.documents.len() as u32).collect(),
        }
    }
    /// The next batch of `b` rows of `t` tokens, on a device.
    pub fn next(&mut self, b: usize, t: usize, device: Device) -> Result<Batch> {
        self.next_rows(b, t).on(device)
    }
    fn next_rows(&mut self, b: usize, t: usize) -> Rows {
        let n = b * t;
        let mut ids = Vec::with_capacity(n + 1);
        let mut at = self.position;
        while ids.len() < n + 1 {
            if at.document == self.order.len() {
                at = Position { epoch: at.epoch + 1, document: 0, token: 0 };
                self.order = self.order_of(at.epoch);
            }
            let document = &self.tokens[self.documents[self.order[at.document] as usize].clone()];
            let take = (n + 1 - ids.len()).min(document.len() - at.token);
            ids.extend_from_slice(&document[at.token..at.token + take]);
            at.token += take;
            if at.token == document.len() {
                at = Position { document: at.document + 1, token: 0, ..at };
            }
        }
        self.rewind_one(at);
        let targets = planted!("stream.targets_not_shifted", &ids[1..] => &ids[..n]);
        Rows { ids: ids[..n].to_vec(), targets: targets.to_vec(), b, t }
    }
    /// Step back by the one token that was only a target.
    fn rewind_one(&mut self, mut at: Position) {
        if at.token == 0 {
            // The last token read ended a document, which lies in the same epoch: epochs advance only before reading.
            at.document -= 1;
            at.token = self.documents[self.order[at.document] as usize].len();
        }
        let token = planted!("stream.last_target_never_an_input", at.token - 1 => at.token);
        self.position = Position { token, ..at };
    }
}

impl Loader for TokenStream {
    fn rows(&mut self, b: usize, t: usize) -> Result<Rows> {
        Ok(self.next_rows(b, t))
    }
    fn position(&self) -> Value {
        json!(Saved { data: Some(self.fingerprint), position: self.position })
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        let Saved { data, position } = saved(position)?;
        if position.document > self.documents.len() || data.is_some_and(|data| data != self.fingerprint) {
            return Err(TrainError::Config(format!(
                "the data are not those of the checkpoint, which was at document {} (there are {} now); restore them as they were, or start a new run",
                position.document,
                self.documents.len()
            )));
        }
        TokenStream::seek(self, position);
        Ok(())
    }
    fn restart(&mut self) -> Result<()> {
        TokenStream::seek(self, Position::default());
        Ok(())
    }
    fn epochs_done(&self) -> u64 {
        self.position.epoch
    }
    fn tokens_per_epoch(&self) -> Option<usize> {
        Some(self.tokens.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(documents: &[Vec<i32>], shuffle: Option<u64>) -> TokenStream {
        let (mut tokens, mut ranges) = (Vec::new(), Vec::new());
        for d in documents {
            ranges.push(tokens.len()..tokens.len() + d.len());
            tokens.extend(d);
        }
        let position = Position::default();
        let mut s =
            TokenStream { tokens, documents: ranges, order: vec![], shuffle, position, fingerprint: 1 };
        s.seek(Position::default());
        s
    }

    #[test]
    fn every_token_is_an_input_once_and_a_target_once() {
        let documents: Vec<Vec<i32>> = vec![(0..7).collect(), (7..8).collect(), (8..20).collect()];
        let mut s = stream(&documents, None);
        let mut inputs = Vec::new();
        for _ in 0..8 {
            let batch = s.next(1, 5, Device::Cpu).unwrap();
            let (x, y) = (batch.ids.to_vec::<i32>().unwrap(), batch.targets.to_vec::<i32>().unwrap());
            assert!(x.iter().zip(&y).all(|(x, y)| (x + 1) % 20 == *y));
            inputs.extend(x);
        }
        assert_eq!(inputs, (0..40).map(|i| i % 20).collect::<Vec<_>>());
    }

    #[test]
    fn a_saved_position_continues_with_the_next_token() {
        let documents: Vec<Vec<i32>> = (0..9).map(|d| (d * 10..d * 10 + 1 + d % 4).collect()).collect();
        let mut whole = stream(&documents, Some(3));
        let next = |s: &mut TokenStream| s.next(2, 3, Device::Cpu).unwrap().ids.to_vec::<i32>().unwrap();
        for _ in 0..30 {
            let mut resumed = stream(&documents, Some(3));
            resumed.seek(whole.position());
            assert_eq!(next(&mut whole), next(&mut resumed));
            assert_eq!(whole.position(), resumed.position());
        }
    }

    #[test]
    fn other_documents_than_those_of_the_checkpoint_are_refused() {
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let of = |text: &str| TokenStream::new(&["a".into(), text.into()], &bytes, Some(1)).unwrap();
        let saved = Loader::position(&of("b"));
        Loader::seek(&mut of("b"), &saved).unwrap();
        let error = Loader::seek(&mut of("c"), &saved).unwrap_err().to_string();
        assert!(error.contains("restore them"), "{error}");
        Loader::seek(&mut of("c"), &json!(Position::default())).unwrap(); // a checkpoint of before
    }
}
