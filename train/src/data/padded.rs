//! Conversations each in a row of its own, the fine-tuning batches of the classic generation: padded with `<|assistant_end|>`
//! to the longest of the batch; targets are what the assistant says. `conversations.rs` does the same with less padding.

use super::rows::Rows;
use super::source::Rank;
use crate::error::{Result, TrainError};
use tokenizer::conversation::{Conversation, DEFAULT_MAX_TOKENS, Rendered};
use tokenizer::{Special, Tokenizer};

/// Batches in the order of the data, for ever.
pub struct PaddedBatches {
    conversations: Vec<Rendered>,
    rank: Rank,
    pad: i32,
    next: usize,
}

impl PaddedBatches {
    /// Of conversations in the order in which they come.
    pub fn new(conversations: &[Conversation], tokenizer: &Tokenizer, rank: Rank) -> Result<PaddedBatches> {
        let render = |c| tokenizer.render_conversation(c, DEFAULT_MAX_TOKENS);
        let conversations = conversations.iter().map(render).collect::<std::result::Result<Vec<_>, _>>()?;
        if conversations.len() <= rank.rank || rank.rank >= rank.world {
            return Err(TrainError::Config(
                "no conversation for this rank: give more, or use fewer ranks".into(),
            ));
        }
        let pad = tokenizer.special(Special::AssistantEnd) as i32;
        Ok(PaddedBatches { conversations, rank, pad, next: rank.rank })
    }
    /// The next `b` conversations.
    pub fn next(&mut self, b: usize) -> Rows {
        let mut picked = Vec::with_capacity(b);
        for _ in 0..b {
            if self.next >= self.conversations.len() {
                self.next = self.rank.rank;
            }
            picked.push(&self.conversations[self.next]);
            self.next += self.rank.world;
        }
        pad(&picked, self.pad)
    }
}

/// Rendered sequences as rows: a sequence of n ids gives n − 1 positions; targets outside the mask, and padding, are −1.
pub fn pad(sequences: &[&Rendered], pad: i32) -> Rows {
    let b = sequences.len();
    let t = sequences.iter().map(|r| r.ids.len().saturating_sub(1)).max().unwrap_or(0).max(1);
    let (mut ids, mut targets) = (vec![pad; b * t], vec![-1; b * t]);
    for (row, Rendered { ids: tokens, mask }) in sequences.iter().enumerate() {
        for i in 1..tokens.len() {
            ids[row * t + i - 1] = tokens[i - 1] as i32;
            if mask[i] == 1 {
                targets[row * t + i - 1] = tokens[i] as i32;
            }
        }
    }
    Rows { ids, targets, b, t }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_to_the_longest_and_padding_is_no_target() {
        let row = |ids: &[u32], mask: &[u8]| Rendered { ids: ids.to_vec(), mask: mask.to_vec() };
        let (a, b) = (row(&[1, 2, 3, 4], &[0, 0, 1, 1]), row(&[5, 6], &[0, 1]));
        let rows = pad(&[&a, &b], 9);
        assert_eq!((rows.b, rows.t), (2, 3));
        assert_eq!(rows.ids, [1, 2, 3, 5, 9, 9]);
        assert_eq!(rows.targets, [-1, 3, 4, 6, -1, -1]);
        assert_eq!(pad(&[&row(&[7], &[0])], 9).targets, [-1]);
    }
}
