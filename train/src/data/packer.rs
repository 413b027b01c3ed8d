//! Conversations in rows, the fine-tuning loader of the current generation: each row of T + 1 tokens is filled with the
//! longest held conversations that fit; where none fits, the rest is `<|bos|>`, which nobody has to predict. No conversation is cut
//! in favour of another.
//!
//! In the original a conversation longer than a row stays held for ever; a hundred of those, and all rows are padding, the loss
//! is NaN and the epoch never ends. Here it is cut to the row when it is rendered ([`Overlong::Cut`]).

use super::best_fit::longest_that_fits;
use super::rows::{Loader, Rows, saved};
use super::source::Rank;
use crate::error::{Result, TrainError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizer::Tokenizer;
use tokenizer::conversation::{Conversation, DEFAULT_MAX_TOKENS, Rendered};

/// Conversations held in the original.
pub const HELD: usize = 100;

/// What happens to conversations longer than a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// They are cut to the row.
    Cut,
    /// They are held and never placed, as in the original: for comparisons only.
    Keep,
}

/// The loader.
pub struct Packer {
    conversations: Vec<Rendered>,
    rank: Rank,
    hold: usize,
    overlong: Overlong,
    bos: i32,
    at: Position,
}

/// Where a loader is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// The next conversation to be held.
    cursor: usize,
    /// Numbers of the held ones.
    held: Vec<usize>,
    /// Conversations placed, by all ranks, as this one counts.
    consumed: usize,
    /// Passes begun.
    epoch: u64,
}

impl Packer {
    /// Of conversations in the order in which they come.
    pub fn new(
        conversations: &[Conversation],
        tokenizer: &Tokenizer,
        rank: Rank,
        hold: usize,
        overlong: Overlong,
    ) -> Result<Packer> {
        let render = |c| tokenizer.render_conversation(c, DEFAULT_MAX_TOKENS);
        let conversations = conversations.iter().map(render).collect::<std::result::Result<Vec<_>, _>>()?;
        if conversations.len() <= rank.rank || rank.rank >= rank.world {
            return Err(TrainError::Config(format!(
                "rank {} of {} has no conversation: there are {}; give more, or use fewer ranks",
                rank.rank,
                rank.world,
                conversations.len()
            )));
        }
        let bos = tokenizer.bos() as i32;
        Ok(Packer { conversations, rank, hold: hold.max(1), overlong, bos, at: Position::start(rank) })
    }
    /// Conversations.
    pub fn len(&self) -> usize {
        self.conversations.len()
    }
    /// Is there none? (Never: construction refuses.)
    pub fn is_empty(&self) -> bool {
        self.conversations.is_empty()
    }
    /// Conversations placed, as a part of all of them: 1 after an epoch.
    pub fn progress(&self) -> f64 {
        self.at.consumed as f64 / self.len() as f64
    }
    /// Passes begun, counted from 1: ahead of [`Packer::progress`] by what is held.
    pub fn epoch(&self) -> u64 {
        self.at.epoch
    }
    /// Rows of `t` that an epoch fills, found by packing it once.
    pub fn rows_per_epoch(&mut self, t: usize) -> usize {
        let saved = std::mem::replace(&mut self.at, Position::start(self.rank));
        let (mut rows, mut out) = (0, Rows::default());
        while self.at.consumed < self.len() && self.overlong == Overlong::Cut {
            self.row(&mut out, t);
            out = Rows::default();
            rows += 1;
        }
        self.at = saved;
        rows
    }
    fn refill(&mut self) {
        while self.at.held.len() < self.hold {
            self.at.held.push(self.at.cursor);
            self.at.cursor += self.rank.world;
            if self.at.cursor >= self.len() {
                self.at.cursor %= self.len();
                self.at.epoch += 1;
            }
        }
    }
    fn length(&self, index: usize, capacity: usize) -> usize {
        let n = self.conversations[index].ids.len();
        match self.overlong {
            Overlong::Cut => n.min(capacity),
            Overlong::Keep => n,
        }
    }
    /// Appends one row of `t + 1` ids as `t` inputs and targets.
    fn row(&mut self, out: &mut Rows, t: usize) {
        let (mut ids, mut mask) = (Vec::with_capacity(t + 1), Vec::with_capacity(t + 1));
        while ids.len() < t + 1 {
            self.refill();
            let remaining = t + 1 - ids.len();
            let Some(i) = longest_that_fits(&self.at.held, |&c| self.length(c, t + 1), remaining) else {
                ids.resize(t + 1, self.bos);
                mask.resize(t + 1, 0);
                break;
            };
            let index = self.at.held.remove(i);
            let n = self.length(index, t + 1);
            let Rendered { ids: tokens, mask: learnt } = &self.conversations[index];
            ids.extend(tokens[..n].iter().map(|&id| id as i32));
            mask.extend(&learnt[..n]);
            self.at.consumed += self.rank.world;
        }
        out.ids.extend(&ids[..t]);
        out.targets.extend((1..=t).map(|i| if mask[i] == 1 { ids[i] } else { -1 }));
    }
}

impl Position {
    fn start(rank: Rank) -> Position {
        Position { cursor: rank.rank, held: Vec::new(), consumed: rank.rank, epoch: 1 }
    }
}

impl Loader for Packer {
    fn rows(&mut self, b: usize, t: usize) -> Result<Rows> {
        let mut out = Rows { ids: Vec::with_capacity(b * t), targets: Vec::with_capacity(b * t), b, t };
        for _ in 0..b {
            self.row(&mut out, t);
        }
        Ok(out)
    }
    fn position(&self) -> Value {
        json!(self.at)
    }
    fn seek(&mut self, position: &Value) -> Result<()> {
        let at: Position = saved(position)?;
        if at.cursor >= self.len() || at.held.iter().any(|&i| i >= self.len()) {
            return Err(TrainError::Config(format!(
                "the saved position is beyond the {} conversations there are now; restore the data, or start a new run",
                self.len()
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
        self.progress() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader_tests::resumes_exactly;
    use tokenizer::conversation::{Message, Role};

    fn packer(lengths: &[usize], overlong: Overlong) -> Packer {
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let talk = |&n: &usize| Conversation {
            messages: vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, "a".repeat(n))],
        };
        let conversations: Vec<_> = lengths.iter().map(talk).collect();
        Packer::new(&conversations, &bytes, Rank::default(), 4, overlong).unwrap()
    }

    #[test]
    fn footgun_conversations_longer_than_a_row_are_cut_and_do_not_clog_the_loader() {
        let lengths = [100; 9];
        let mut ours = packer(&lengths, Overlong::Cut);
        let counted = |p: &mut Packer| p.rows(2, 20).unwrap().targets.iter().filter(|&&t| t >= 0).count();
        for _ in 0..10 {
            assert!(counted(&mut ours) > 20);
        }
        assert!(ours.progress() > 1.0, "the epoch ends");
        let mut theirs = packer(&lengths, Overlong::Keep);
        assert_eq!((counted(&mut theirs), theirs.progress()), (0, 0.0));
    }

    #[test]
    fn footgun_a_rank_without_conversations_is_an_error_and_one_with_a_single_one_goes_round() {
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let talk = Conversation {
            messages: vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, "aaa")],
        };
        let of = |rank, world, n| {
            Packer::new(&vec![talk.clone(); n], &bytes, Rank { rank, world }, 4, Overlong::Cut)
        };
        for (rank, world, n) in [(3, 4, 3), (0, 1, 0), (0, 0, 3), (2, 2, 3)] {
            let error = of(rank, world, n).err().unwrap().to_string();
            assert!(error.contains("fewer ranks"), "{rank} {world} {n}: {error}");
        }
        let mut last = of(2, 3, 3).unwrap();
        last.rows(4, 12).unwrap();
        assert!(last.progress() >= 1.0, "the epoch ends for a rank of one conversation");
    }

    #[test]
    fn footgun_the_mask_decides_what_is_a_target() {
        let mut p = packer(&[3], Overlong::Cut);
        let rows = p.rows(1, 12).unwrap();
        // bos user q user_end assistant a a a assistant_end, then padding
        let counted: Vec<usize> = (0..12).filter(|&i| rows.targets[i] >= 0).collect();
        assert_eq!(counted, [4, 5, 6, 7]);
        assert_eq!(rows.targets[4..7], [97, 97, 97]);
    }

    #[test]
    fn the_rows_of_an_epoch_are_counted_without_moving() {
        let mut p = packer(&[1, 9, 4, 30, 2, 2, 8, 5], Overlong::Cut);
        let before = p.position();
        let n = p.rows_per_epoch(24);
        assert_eq!(p.position(), before);
        p.rows(n - 1, 24).unwrap();
        assert!(p.progress() < 1.0);
        p.rows(1, 24).unwrap();
        assert!(p.progress() >= 1.0);
    }

    #[test]
    fn a_resumed_loader_holds_what_it_held() {
        resumes_exactly(|| Box::new(packer(&[1, 9, 4, 30, 2, 2, 8, 5], Overlong::Cut)), 2, 24);
    }
}
