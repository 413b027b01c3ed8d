//! Continuous batching: requests come and go between two steps of one batch (Yu et al. 2022, Orca, OSDI).
//!
//! One [`Engine::step`] is: admit whom there is room for (`admission.rs`); read at most `chunk` tokens of prompts, taking
//! turns among prompts longer than that (`reading.rs`); one new token for every running row. So an answer never pauses
//! for longer than one chunk and one step, however long the prompts of others are.
//!
//! Pages are taken as rows grow, not for all they may become: most answers end early. Where none is left, the youngest
//! gives way and is read again later, with what it has said so far; so whoever came first always gets on.
//!
//! A row's tokens depend on its request alone. The model promises that for the bits of logits, however a row's tokens
//! were split into calls; `sampling.rs` for the draw.

mod admission;
mod reading;

use super::forward::{Forward, Seat};
use super::pages::Pool;
use super::request::{Event, Finish, Limits, Refusal, Request, RequestId, What};
use super::sampling::{draw, logprobs, numbers};
use super::sequence::Sequence;
use kernels::planted;
use std::collections::VecDeque;
use std::rc::Rc;
use tensor::Tensor;
use tokenizer::Tokenizer;

/// A text that is being read: a prompt, or a row that had to give way.
struct Reading {
    /// In whose pages it is read: the first sample of a request.
    first: Sequence,
    /// A page for each of the other samples, if they need a copy of one that the prompt fills in part.
    others: Vec<Option<u32>>,
}

/// Counts since the beginning, and what is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests accepted.
    pub accepted: u64,
    /// Samples that ended, however.
    pub finished: u64,
    /// Tokens of prompts that were read.
    pub read: u64,
    /// Tokens of prompts that were there already.
    pub reused: u64,
    /// Tokens generated.
    pub generated: u64,
    /// Decoding steps.
    pub steps: u64,
    /// Rows that had to give way for lack of pages.
    pub paused: u64,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests whose prompts are being read.
    pub reading: usize,
    /// Rows that are being generated.
    pub running: usize,
    /// Cache pages in use.
    pub pages_used: usize,
    /// Cache pages there are.
    pub pages: usize,
}

/// A model, and everything it is asked to do.
pub struct Engine<F: Forward> {
    forward: F,
    tokenizer: Tokenizer,
    limits: Limits,
    pool: Pool,
    /// By age: requests that were not begun, before them rows that gave way.
    waiting: VecDeque<Sequence>,
    reading: VecDeque<Reading>,
    running: Vec<Sequence>,
    events: Vec<Event>,
    next: u64,
    stats: Stats,
}

impl<F: Forward> Engine<F> {
    /// Nothing to do yet. The limits are cut to what the model can do.
    pub fn new(forward: F, tokenizer: &Tokenizer, limits: Limits) -> Engine<F> {
        let context = limits.context.min(forward.context());
        let limits = Limits { rows: limits.rows.max(1), chunk: limits.chunk.max(1), context, ..limits };
        Engine {
            pool: Pool::new(forward.pages(), forward.page_len()),
            tokenizer: tokenizer.clone(),
            forward,
            limits,
            waiting: VecDeque::new(),
            reading: VecDeque::new(),
            running: Vec::new(),
            events: Vec::new(),
            next: 0,
            stats: Stats::default(),
        }
    }
    /// The model.
    pub fn forward(&self) -> &F {
        &self.forward
    }
    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }
    /// Counts and loads.
    pub fn stats(&self) -> Stats {
        Stats {
            waiting: self.waiting.len(),
            reading: self.reading.len(),
            running: self.running.len(),
            pages_used: self.pool.used(),
            pages: self.pool.count(),
            ..self.stats
        }
    }
    /// Is there nothing to do?
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.reading.is_empty()
            && self.running.is_empty()
            && self.events.is_empty()
    }

    /// Accept a request, or say why not.
    pub fn submit(&mut self, request: Request) -> Result<RequestId, Refusal> {
        self.check(&request)?;
        if self.waiting.iter().filter(|row| !row.started).count() >= self.limits.waiting {
            return Err(Refusal::Full(self.limits.waiting));
        }
        let id = RequestId(self.next);
        self.next += 1;
        self.stats.accepted += 1;
        self.waiting.push_back(Sequence::new((id, 0), &Rc::new(request), &self.tokenizer));
        Ok(id)
    }
    /// Would the request be accepted if nothing else were going on?
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        let (samples, max_tokens, prompt) = (request.samples, request.max_tokens, request.prompt.len());
        let Limits { rows, context, .. } = self.limits;
        if prompt == 0 {
            return Err(Refusal::EmptyPrompt);
        }
        let nothing = max_tokens == 0 && !request.prompt_logprobs;
        if let Some(what) = (samples == 0).then_some("samples").or(nothing.then_some("max_tokens")) {
            return Err(Refusal::Zero(what));
        }
        if samples > rows {
            return Err(Refusal::TooManySamples { samples, rows });
        }
        request.sampling.check()?;
        let vocab = self.forward.vocab_size();
        if let Some(&id) = request.prompt.iter().find(|&&id| id as usize >= vocab) {
            return Err(Refusal::UnknownToken { id, vocab });
        }
        if request.stop.iter().any(String::is_empty) {
            return Err(Refusal::EmptyStop);
        }
        if prompt.saturating_add(max_tokens) > context {
            return Err(Refusal::TooLong { prompt, max_tokens, context });
        }
        let page_len = self.forward.page_len();
        let whole = prompt / page_len; // pages that all samples share
        let own = (prompt + max_tokens).div_ceil(page_len) - whole;
        let (need, have) = (whole + samples * own, self.pool.count());
        if need > have { Err(Refusal::TooLarge { need, have }) } else { Ok(()) }
    }
    /// Call a request off: its samples end now. Returns whether there was anything to call off.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let before = self.events.len();
        let mut called_off = Vec::new();
        for row in std::mem::take(&mut self.waiting) {
            if row.id == id { called_off.push(row) } else { self.waiting.push_back(row) }
        }
        for Reading { first, others } in std::mem::take(&mut self.reading) {
            if first.id == id {
                let copies = others.into_iter().flatten();
                copies.for_each(|page| {
                    planted!("scheduler.copies_lost_when_called_off", self.pool.give_back(&[page]) => ())
                });
                called_off.push(first);
            } else {
                self.reading.push_back(Reading { first, others });
            }
        }
        for row in std::mem::take(&mut self.running) {
            if row.id == id { called_off.push(row) } else { self.running.push(row) }
        }
        for mut row in called_off {
            let others = row.sample + 1..row.sample + row.rows(); // of a prompt that was not read
            row.finish(Finish::Cancelled, &mut self.events);
            self.stats.finished += others.len() as u64;
            let ended = |sample| Event { request: id, sample, what: What::Finished(Finish::Cancelled) };
            self.events.extend(others.map(ended));
            self.retire(row);
        }
        self.events.len() > before
    }

    /// One round: admit, read, decode. Returns what happened since the last one. After an error the engine is of no use
    /// any more.
    pub fn step(&mut self) -> Result<Vec<Event>, F::Error> {
        while self.admit()? {}
        self.read()?;
        self.decode()?;
        Ok(std::mem::take(&mut self.events))
    }
    /// One token for every running row.
    fn decode(&mut self) -> Result<(), F::Error> {
        self.make_room();
        let mut rows = std::mem::take(&mut self.running); // with those whose first token was drawn in this very round
        if rows.is_empty() {
            return Ok(());
        }
        let seats: Vec<Seat> = rows.iter().map(Sequence::seat).collect();
        let tokens: Vec<u32> = rows.iter().flat_map(|row| row.unread()).copied().collect();
        let logits = self.forward.feed(&seats, &tokens)?;
        self.stats.steps += 1;
        rows.iter_mut().for_each(|row| row.length += 1);
        self.next_tokens(rows, &logits)
    }
    /// Draw behind logits (rows, V); rows that have not ended go on running.
    fn next_tokens(&mut self, rows: Vec<Sequence>, logits: &Tensor) -> Result<(), F::Error> {
        let wishes: Vec<_> = rows.iter().map(Sequence::draw).collect();
        let drawn = draw(logits, &wishes)?;
        for (i, (mut row, drawn)) in rows.into_iter().zip(drawn).enumerate() {
            let wanted = row.request.logprobs;
            let row_logits = wanted.map(|_| logits.narrow(0, i, 1)).transpose()?;
            let likely = |id| row_logits.zip(wanted).map(|(z, top)| logprobs(&numbers(&z), id, top));
            self.stats.generated += 1;
            match row.accept(drawn, likely, &self.tokenizer, &mut self.events) {
                true => self.retire(row),
                false => self.running.push(row),
            }
        }
        Ok(())
    }
    /// A row has ended: remember what was read, give the pages back.
    fn retire(&mut self, mut row: Sequence) {
        self.stats.finished += 1;
        let read = planted!("scheduler.remembers_what_was_not_read", row.length => row.tokens.len());
        self.pool.remember(&mut row.pages, &row.tokens[..read]);
        self.pool.give_back(&row.pages);
    }
}

#[cfg(test)]
mod tests;
