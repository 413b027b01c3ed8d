//! Fine-tuning batches: each conversation a row of its own, padded to the longest of its batch; only what the assistant says
//! is a target. The conversations of one step are sorted by length before they are cut into batches, so that little of a
//! batch is padding.

use super::batch::Batch;
use super::order::permutation;
use crate::error::{Result, TrainError};
use kernels::planted;
use serde::{Deserialize, Serialize};
use tensor::Device;
use tokenizer::conversation::{Conversation, Rendered};
use tokenizer::{Special, Tokenizer};

/// Where a feed is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Full passes done.
    pub epoch: u64,
    /// Conversations of this epoch already used.
    pub item: usize,
}

/// Rendered conversations, and a position.
pub struct ConversationFeed {
    rows: Vec<Rendered>,
    order: Vec<u32>,
    shuffle: Option<u64>,
    /// Conversations per step: the window in which they are sorted.
    group: usize,
    position: Position,
    pad: i32,
}

impl ConversationFeed {
    /// Render all conversations, cut to `max_tokens`. One without any target after cutting is dropped.
    pub fn new(
        conversations: &[Conversation],
        tokenizer: &Tokenizer,
        max_tokens: usize,
        shuffle: Option<u64>,
        group: usize,
    ) -> Result<ConversationFeed> {
        let mut rows = Vec::with_capacity(conversations.len());
        for conversation in conversations {
            let row = tokenizer.render_conversation(conversation, max_tokens)?;
            if row.mask.iter().skip(1).any(|&m| m == 1) {
                rows.push(row);
            }
        }
        if rows.is_empty() {
            let what =
                "no conversation has an assistant turn within the sequence length; raise --max-seq-len";
            return Err(TrainError::Config(what.into()));
        }
        let pad = tokenizer.special(Special::AssistantEnd) as i32;
        let group = group.max(1);
        let mut feed =
            ConversationFeed { rows, order: Vec::new(), shuffle, group, position: Position::default(), pad };
        feed.seek(Position::default());
        Ok(feed)
    }
    /// Conversations per epoch.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// Is there nothing? (Never: construction refuses.)
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// Where the next batch begins.
    pub fn position(&self) -> Position {
        self.position
    }
    /// Continue from a saved position.
    pub fn seek(&mut self, position: Position) {
        let n = self.rows.len();
        self.order = match self.shuffle {
            Some(seed) => permutation(n, seed, position.epoch),
            None => (0..n as u32).collect(),
        };
        for step in self.order.chunks_mut(self.group) {
            step.sort_by_key(|&r| self.rows[r as usize].ids.len());
        }
        self.position = position;
    }
    /// The next `b` conversations. A row of n tokens gives n − 1 inputs; padding and unsupervised targets are −1.
    pub fn next(&mut self, b: usize, device: Device) -> Result<Batch> {
        let mut picked = Vec::with_capacity(b);
        for _ in 0..b {
            if self.position.item == self.rows.len() {
                self.seek(Position { epoch: self.position.epoch + 1, item: 0 });
            }
            picked.push(self.order[self.position.item] as usize);
            self.position.item += 1;
        }
        let t = picked.iter().map(|&r| self.rows[r].ids.len() - 1).max().unwrap_or(1).max(1);
        let (mut ids, mut targets) = (vec![self.pad; b * t], vec![-1; b * t]);
        for (row, &r) in picked.iter().enumerate() {
            let Rendered { ids: tokens, mask } = &self.rows[r];
            for i in 0..tokens.len() - 1 {
                ids[row * t + i] = tokens[i] as i32;
                if mask[planted!("conversations.mask_not_shifted", i + 1 => i)] == 1 {
                    targets[row * t + i] = tokens[i + 1] as i32;
                }
            }
        }
        Batch::new(&ids, &targets, b, t, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(rows: &[(&[u32], &[u8])]) -> ConversationFeed {
        let rows: Vec<Rendered> =
            rows.iter().map(|(ids, mask)| Rendered { ids: ids.to_vec(), mask: mask.to_vec() }).collect();
        let position = Position::default();
        let mut feed = ConversationFeed { rows, order: vec![], shuffle: None, group: 1, position, pad: 99 };
        feed.seek(position);
        feed
    }

    #[test]
    fn what_the_assistant_says_is_predicted_from_the_token_before_and_padding_is_not() {
        let mut feed = feed(&[(&[1, 2, 3, 4, 5], &[0, 0, 1, 1, 0]), (&[6, 7, 8], &[0, 0, 1])]);
        let batch = feed.next(2, Device::Cpu).unwrap();
        assert_eq!(batch.ids.to_vec::<i32>().unwrap(), [1, 2, 3, 4, 6, 7, 99, 99]);
        assert_eq!(batch.targets.to_vec::<i32>().unwrap(), [-1, 3, 4, -1, -1, 8, -1, -1]);
        assert_eq!((batch.valid, feed.position()), (3, Position { epoch: 0, item: 2 }));
    }
}
