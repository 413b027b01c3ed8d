//! Conversations as one stream, the loader of the classic midtraining: all tokens of all conversations end to end, masks
//! ignored, cut into rows that begin anywhere.
//!
//! It takes B·T + 1 tokens for a batch and throws all of them away. The original sets its flag of the last step when the
//! cursor has come round, or after a given number of *batches*, which with gradient accumulation is not the number of steps and
//! sent learning rates below zero; here the loop counts steps, and the flag is only reported for comparison.

use super::rows::{Loader, Rows, saved};
use super::source::Rank;
use crate::error::{Result, TrainError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizer::Tokenizer;
use tokenizer::conversation::{Conversation, DEFAULT_MAX_TOKENS};

/// The stream.
pub struct TalkStream {
    conversations: Vec<Vec<i32>>,
    rank: Rank,
    at: Position,
}

/// Where a stream is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    cursor: usize,
    /// Held conversations: tokens of the first that are used, then their numbers.
    used: usize,
    held: Vec<usize>,
    /// How often the cursor came round.
    wraps: u64,
}

impl TalkStream {
    /// Of conversations in the order in which they come.
    pub fn new(conversations: &[Conversation], tokenizer: &Tokenizer, rank: Rank) -> Result<TalkStream> {
        let mut rendered = Vec::with_capacity(conversations.len());
        for c in conversations {
            let ids = tokenizer.render_conversation(c, DEFAULT_MAX_TOKENS)?.ids;
            rendered.push(ids.into_iter().map(|id| id as i32).collect());
        }
        if rendered.len() <= rank.rank || rank.rank >= rank.world {
            return Err(TrainError::Config(format!(
                "rank {} of {} has no conversation: there are {}; give more, or use fewer ranks",
                rank.rank,
                rank.world,
                rendered.len()
            )));
        }
        Ok(TalkStream { conversations: rendered, rank, at: Position::start(rank) })
    }
    /// Number of conversations.
    pub fn len(&self) -> usize {
        self.conversations.len()
    }
    /// Is there none? (Never: construction refuses.)
    pub fn is_empty(&self) -> bool {
        self.conversations.is_empty()
    }
    /// Tokens of all conversations.
    pub fn tokens(&self) -> usize {
        self.conversations.iter().map(Vec::len).sum()
    }
    /// The cursor as a part of the data, as the original reports progress; it starts anew each time round.
    pub fn cursor_progress(&self) -> f64 {
        self.at.cursor as f64 / self.len() as f64
    }
    /// Has the cursor come round?
    pub fn came_round(&self) -> bool {
        self.at.wraps > 0
    }
}

impl Position {
    fn start(rank: Rank) -> Position {
        Position { cursor: rank.rank, used: 0, held: Vec::new(), wraps: 0 }
    }
}

impl Loader for TalkStream {
    fn rows(&mut self, b: usize, t: usize) -> Result<Rows> {
        let need = b * t + 1;
        let mut have: usize =
            self.at.held.iter().map(|&i| self.conversations[i].len()).sum::<usize>() - self.at.used;
        while have < need {
            let cursor = self.at.cursor;
            have += self.conversations[cursor].len();
            self.at.held.push(cursor);
            self.at.cursor += self.rank.world;
            if self.at.cursor >= self.len() {
                self.at.cursor %= self.len();
                self.at.wraps += 1;
            }
        }
        let held = self.at.held.iter().flat_map(|&i| &self.conversations[i]);
        let tokens: Vec<i32> = held.skip(self.at.used).take(need).copied().collect();
        self.at.used += need;
        while let Some(&first) =
            self.at.held.first().filter(|&&i| self.conversations[i].len() <= self.at.used)
        {
            self.at.used -= self.conversations[first].len();
            self.at.held.remove(0);
        }
        Ok(Rows::stream(&tokens, b, t))
    }
    fn position(&self) -> Value {
        json!(self.at)
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        let at: Position = saved(position)?;
        if at.cursor >= self.len() || at.held.iter().any(|&i| i >= self.len()) {
            let n = self.len();
            return Err(TrainError::Config(format!(
                "the saved position is beyond the {n} conversations there are now; restore the data, or start a new run"
            )));
        }
        self.at = at;
        Ok(())
    }
    fn restart(&mut self) -> Result<()> {
        self.at = Position::start(self.rank);
        Ok(())
    }
    fn epochs_done(&self) -> u64 {
        self.at.wraps
    }
    fn tokens_per_epoch(&self) -> Option<usize> {
        Some(self.tokens() / self.rank.world)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader_tests::resumes_exactly;
    use tokenizer::conversation::{Message, Role};

    #[test]
    fn a_resumed_stream_continues_with_the_very_next_token() {
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let talk = |n: usize| Conversation {
            messages: vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, "a".repeat(n))],
        };
        let conversations: Vec<_> = (0..9).map(talk).collect();
        let make =
            || Box::new(TalkStream::new(&conversations, &bytes, Rank::default()).unwrap()) as Box<dyn Loader>;
        resumes_exactly(make, 2, 8);
    }
}
