//! The flat stream of the classic generation over shards: documents joined end to end, cut into rows of T tokens that begin
//! anywhere. No padding, no cropping.
//!
//! A batch takes B·T + 1 tokens. The first release threw all of them away, so that the last target of a batch was never an
//! input; later versions keep it ([`Step`]). `stream.rs` is the same over documents in memory, in shuffled order.

use super::rows::{Loader, Rows, saved};
use super::source::{DocumentId, Encoded, Place, Source};
use crate::error::Result;
use kernels::planted;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// How far a batch moves the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// By B·T: every token is an input once.
    #[default]
    Tokens,
    /// By B·T + 1, as the first release.
    TokensAndTarget,
}

/// The stream.
pub struct FlatStream {
    source: Source,
    step: Step,
    held: VecDeque<Encoded>,
    /// Tokens of the first held document that are used up.
    used: usize,
    start: Place,
}

/// Where a stream is.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// Which data; absent in checkpoints of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<u64>,
    next: Place,
    held: Vec<DocumentId>,
    used: usize,
}

impl FlatStream {
    /// Over `source`, from where it is.
    pub fn new(source: Source, step: Step) -> FlatStream {
        let start = source.place();
        FlatStream { source, step, held: VecDeque::new(), used: 0, start }
    }
    /// The walk.
    pub fn source(&self) -> &Source {
        &self.source
    }
    fn take(&mut self, n: usize) -> Result<Vec<i32>> {
        let mut out = Vec::with_capacity(n);
        let (mut document, mut from) = (0, self.used);
        while out.len() < n {
            let Some(held) = self.held.get(document) else {
                self.held.extend(self.source.next_batch()?);
                continue;
            };
            let take = (n - out.len()).min(held.ids.len() - from);
            out.extend(&held.ids[from..from + take]);
            from += take;
            if from == held.ids.len() {
                (document, from) = (document + 1, 0);
            }
        }
        Ok(out)
    }
    fn drop_tokens(&mut self, n: usize) {
        self.used += n;
        while let Some(first) = self.held.front().filter(|d| d.ids.len() <= self.used) {
            self.used -= first.ids.len();
            self.held.pop_front();
        }
    }
}

impl Loader for FlatStream {
    fn rows(&mut self, b: usize, t: usize) -> Result<Rows> {
        let tokens = self.take(b * t + 1)?;
        self.drop_tokens(match self.step {
            Step::Tokens => planted!("flat.target_lost", b * t => b * t + 1),
            Step::TokensAndTarget => b * t + 1,
        });
        Ok(Rows::stream(&tokens, b, t))
    }
    fn position(&self) -> Value {
        let (data, held) = (Some(self.source.fingerprint()), self.held.iter().map(|d| d.id).collect());
        json!(Position { data, next: self.source.place(), held, used: self.used })
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        let Position { data, next, held, used } = saved(position)?;
        self.source.check(data)?;
        self.source.seek(next)?;
        self.held = self.source.fetch(&held)?;
        self.used = used;
        Ok(())
    }
    fn restart(&mut self) -> Result<()> {
        self.held.clear();
        self.used = 0;
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
    fn a_resumed_stream_continues_with_the_very_next_token() {
        resumes_exactly(|| Box::new(FlatStream::new(byte_source(23, 1), Step::Tokens)), 2, 7);
        resumes_exactly(|| Box::new(FlatStream::new(byte_source(23, 1), Step::TokensAndTarget)), 3, 5);
    }

    #[test]
    fn every_token_is_an_input_once() {
        let mut stream = FlatStream::new(byte_source(5, 0), Step::Tokens);
        let mut inputs = Vec::new();
        for _ in 0..10 {
            let rows = stream.rows(1, 6).unwrap();
            assert_eq!(rows.ids[1..], rows.targets[..5]);
            inputs.extend(rows.ids);
        }
        let mut source = byte_source(5, 0);
        let mut all = Vec::new();
        while all.len() < inputs.len() {
            all.extend(source.next_batch().unwrap().into_iter().flat_map(|d| d.ids));
        }
        assert_eq!(inputs, all[..inputs.len()]);
    }
}
