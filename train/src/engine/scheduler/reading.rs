//! Prompts become keys and values, a bounded number of tokens between two decoding steps.

use super::{Engine, Reading};
use crate::engine::forward::{Forward, Seat};
use crate::engine::request::{Finish, What};
use crate::engine::sampling::{logprobs, numbers};
use crate::engine::sequence::Sequence;
use kernels::planted;
use std::collections::VecDeque;
use std::rc::Rc;
use tensor::Tensor;

/// Tokens of a prompt whose logits are all wanted, in one call: so many rows of the vocabulary exist at a time.
const SCORED: usize = 64;

impl<F: Forward> Engine<F> {
    /// Read prompts, `chunk` tokens at most. Prompts with equally many tokens left are read together.
    pub(super) fn read(&mut self) -> Result<(), F::Error> {
        let mut budget = self.limits.chunk;
        while let Some(first) = self.reading.front().map(|reading| &reading.first) {
            let left = first.unread().len();
            if first.wants_scores() {
                if budget == 0 {
                    return Ok(());
                }
                let n = left.min(budget).min(SCORED);
                budget -= n;
                self.score_part(n)?;
                continue;
            }
            if left > budget {
                // Too long for what is left of this round; a prompt that is too long for any is read in parts.
                return if budget == self.limits.chunk { self.read_part(budget) } else { Ok(()) };
            }
            let (mut group, mut others) = (Vec::new(), VecDeque::new());
            for reading in self.reading.drain(..) {
                let fits = group.is_empty() || (group.len() + 1) * left <= budget;
                let alike = reading.first.unread().len() == left && !reading.first.wants_scores();
                match alike && fits {
                    true => group.push(reading),
                    false => others.push_back(reading),
                }
            }
            self.reading = others;
            budget = budget.saturating_sub(group.len() * left);
            let seats: Vec<Seat> = group.iter().map(|r| r.first.seat()).collect();
            let tokens: Vec<u32> = group.iter().flat_map(|r| r.first.unread()).copied().collect();
            let logits = self.forward.feed(&seats, &tokens)?;
            self.stats.read += tokens.len() as u64;
            for (i, reading) in group.into_iter().enumerate() {
                self.has_been_read(reading, &logits.narrow(0, i, 1)?)?;
            }
        }
        Ok(())
    }
    /// Some tokens of the first prompt, which then goes behind the others.
    fn read_part(&mut self, n: usize) -> Result<(), F::Error> {
        let Some(mut reading) = self.reading.pop_front() else { return Ok(()) };
        let row = &mut reading.first;
        self.forward.fill(&[row.seat()], &row.unread()[..n])?;
        row.length += n;
        self.stats.read += n as u64;
        self.reading.push_back(reading);
        Ok(())
    }
    /// The same, with log-probabilities of the tokens that come next in the prompt.
    fn score_part(&mut self, n: usize) -> Result<(), F::Error> {
        let Some(mut reading) = self.reading.pop_front() else { return Ok(()) };
        let row = &mut reading.first;
        let logits = self.forward.score(&row.seat(), &row.unread()[..n])?;
        let top = row.request.logprobs.unwrap_or(0);
        let mut found = Vec::new();
        for (i, next) in (row.length + 1..).take(n).enumerate() {
            // After a pause some are known already.
            if planted!("scheduler.scores_again_after_a_pause", next >= row.scored => true)
                && next < row.request.prompt.len()
            {
                found.push(logprobs(&numbers(&logits.narrow(0, i, 1)?), row.tokens[next], top));
            }
        }
        row.length += n;
        row.scored = row.scored.max((row.length + 1).min(row.request.prompt.len()));
        self.stats.read += n as u64;
        if !found.is_empty() {
            self.events.push(row.event(What::Prompt(found)));
        }
        if row.unread().is_empty() {
            return self.has_been_read(reading, &logits.narrow(0, n - 1, 1)?);
        }
        self.reading.push_back(reading);
        Ok(())
    }
    /// The end of a text was read, with `logits` (1, V) behind it: the next token of all its samples.
    fn has_been_read(&mut self, reading: Reading, logits: &Tensor) -> Result<(), F::Error> {
        let Reading { mut first, others } = reading;
        let (request, page_len) = (Rc::clone(&first.request), self.forward.page_len());
        let whole = first.tokens.len() / page_len;
        first.length = first.tokens.len();
        self.pool.remember(&mut first.pages, &first.tokens[..whole * page_len]);
        let mut rows = Vec::with_capacity(1 + others.len());
        for (own, sample) in others.into_iter().zip(1..) {
            let mut row = Sequence::new((first.id, sample), &request, &self.tokenizer);
            if let Some(own) = own {
                planted!("scheduler.sample_starts_on_an_empty_page", self.forward.copy_page(first.pages[whole], own)? => ());
            }
            self.pool.share(&first.pages[..whole]);
            row.pages = {
                let own = planted!("scheduler.shared_page_written", own => own.map(|_| first.pages[whole]));
                first.pages[..whole].iter().copied().chain(own).collect()
            };
            (row.length, row.started, row.scored) = (first.length, true, first.scored);
            rows.push(row);
        }
        rows.insert(0, first);
        if request.max_tokens == 0 {
            for mut row in rows {
                row.finish(Finish::Length, &mut self.events);
                self.retire(row);
            }
            return Ok(());
        }
        let same = logits.expand(&[rows.len(), logits.dim(1)])?;
        let same = if rows.len() == 1 { same } else { same.contiguous()? };
        self.next_tokens(rows, &same)
    }
}
