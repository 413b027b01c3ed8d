//! Continuous batching: requests come and go between two steps of one batch (Yu et al. 2022, Orca, OSDI).
//!
//! A request waits until there are rows and cache pages for all it may become, then its prompt is read, then its
//! samples take part in every decoding step until they end. Admission is in order of arrival, so a large request is not
//! overtaken for ever; and pages are promised in advance, so nothing that was begun is ever thrown out.
//!
//! One [`Engine::step`] is: admit whom there is room for; read at most `chunk` tokens of prompts, taking turns among
//! prompts longer than that; one new token for every running row. So an answer never pauses for longer than one chunk
//! and one step, however long the prompts of others are.
//!
//! A row's tokens depend on its request alone. The model promises that for the bits of logits, `sampling.rs` for the draw.

use super::forward::{Forward, Seat};
use super::pages::Pool;
use super::request::{Event, Finish, Limits, Refusal, Request, RequestId, What};
use super::sampling::{draw, logprobs, numbers};
use super::sequence::Sequence;
use std::collections::VecDeque;
use std::rc::Rc;
use tensor::Tensor;
use tokenizer::Tokenizer;

/// A request whose prompt is being read.
struct Reading {
    /// Its first sample, in whose pages the prompt is read.
    first: Sequence,
    /// Pages for the other samples, those behind the whole pages of the prompt.
    others: Vec<Vec<u32>>,
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
    waiting: VecDeque<(RequestId, Rc<Request>)>,
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
        if self.waiting.len() >= self.limits.waiting {
            return Err(Refusal::Full(self.limits.waiting));
        }
        let id = RequestId(self.next);
        self.next += 1;
        self.stats.accepted += 1;
        self.waiting.push_back((id, Rc::new(request)));
        Ok(id)
    }
    /// Would the request be accepted if nothing else were going on?
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        let (samples, max_tokens, prompt) = (request.samples, request.max_tokens, request.prompt.len());
        let Limits { rows, context, .. } = self.limits;
        if prompt == 0 {
            return Err(Refusal::EmptyPrompt);
        }
        for (what, n) in [("samples", samples), ("max_tokens", max_tokens)] {
            if n == 0 {
                return Err(Refusal::Zero(what));
            }
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
        let (whole, own) = self.needs(request);
        let (need, have) = (whole + samples * own, self.pool.count());
        if need > have { Err(Refusal::TooLarge { need, have }) } else { Ok(()) }
    }
    /// Pages that the prompt fills, which all samples share, and pages that each sample has for itself.
    fn needs(&self, request: &Request) -> (usize, usize) {
        let (prompt, page_len) = (request.prompt.len(), self.forward.page_len());
        let whole = prompt / page_len;
        (whole, (prompt + request.max_tokens).div_ceil(page_len) - whole)
    }
    /// Call a request off: its samples end now. Returns whether there was anything to call off.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let before = self.events.len();
        if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == id) {
            let (_, request) = self.waiting.remove(at).unzip();
            let samples = request.map_or(0, |request| request.samples);
            self.report_cancelled(id, samples);
        }
        if let Some(at) = self.reading.iter().position(|reading| reading.first.id == id)
            && let Some(reading) = self.reading.remove(at)
        {
            self.report_cancelled(id, reading.first.request.samples);
            self.pool.give_back(&reading.first.pages);
            reading.others.iter().for_each(|pages| self.pool.give_back(pages));
        }
        let (called_off, running) =
            std::mem::take(&mut self.running).into_iter().partition(|row| row.id == id);
        self.running = running;
        let called_off: Vec<Sequence> = called_off;
        for mut row in called_off {
            row.finish(Finish::Cancelled, &mut self.events);
            self.retire(row);
        }
        self.events.len() > before
    }
    fn report_cancelled(&mut self, request: RequestId, samples: usize) {
        self.stats.finished += samples as u64;
        let ended = |sample| Event { request, sample, what: What::Finished(Finish::Cancelled) };
        self.events.extend((0..samples).map(ended));
    }

    /// One round: admit, read, decode. Returns what happened since the last one. After an error the engine is of no use
    /// any more.
    pub fn step(&mut self) -> Result<Vec<Event>, F::Error> {
        while self.admit()? {}
        self.read()?;
        self.decode()?;
        Ok(std::mem::take(&mut self.events))
    }
    /// Rows that are taken, now or soon.
    fn rows(&self) -> usize {
        self.running.len() + self.reading.iter().map(|reading| reading.first.request.samples).sum::<usize>()
    }
    /// Give the first that waits its pages, if there is room for it.
    fn admit(&mut self) -> Result<bool, F::Error> {
        let Some((id, request)) = self.waiting.front() else { return Ok(false) };
        let (id, request) = (*id, Rc::clone(request));
        if self.rows() + request.samples > self.limits.rows {
            return Ok(false);
        }
        let (whole, own) = self.needs(&request);
        let found = self.pool.find(&request.prompt[..request.prompt.len() - 1]);
        let partly: Vec<u32> = found.partly.iter().map(|&(page, _)| page).collect();
        let need = whole - found.pages.len() + request.samples * own;
        self.pool.share(&partly); // so that it is not taken
        let mut taken = self.pool.take(need);
        let copied = found.partly.filter(|_| taken.is_some());
        self.pool.give_back(&partly);
        if taken.is_none() {
            taken = self.pool.take(need);
        }
        let Some(mut taken) = taken else {
            self.pool.give_back(&found.pages);
            return Ok(false);
        };
        let mut length = found.pages.len() * self.forward.page_len();
        if let (Some((page, agree)), Some(&to)) = (copied, taken.first()) {
            self.forward.copy_page(page, to)?;
            length += agree;
        }
        let rest = taken.split_off(whole - found.pages.len() + own);
        let pages = [found.pages, taken].concat();
        let first = Sequence::new((id, 0), &request, pages, length, &self.tokenizer);
        self.stats.reused += length as u64;
        self.events.push(first.event(What::Started { reused: length }));
        self.reading.push_back(Reading { first, others: rest.chunks(own).map(<[u32]>::to_vec).collect() });
        self.waiting.pop_front();
        Ok(true)
    }
    /// Read prompts, `chunk` tokens at most. Prompts with equally many tokens left are read together.
    fn read(&mut self) -> Result<(), F::Error> {
        let mut budget = self.limits.chunk;
        while let Some(left) = self.reading.front().map(|reading| reading.first.unread().len()) {
            if left > budget {
                // Too long for what is left of this round; a prompt that is too long for any is read in parts.
                return if budget == self.limits.chunk { self.read_part(budget) } else { Ok(()) };
            }
            let (mut group, mut others) = (Vec::new(), VecDeque::new());
            for reading in self.reading.drain(..) {
                let fits = group.is_empty() || (group.len() + 1) * left <= budget;
                match reading.first.unread().len() == left && fits {
                    true => group.push(reading),
                    false => others.push_back(reading),
                }
            }
            self.reading = others;
            budget = budget.saturating_sub(group.len() * left);
            self.read_to_the_end(group)?;
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
    /// What is left of some prompts, and the first token of all their samples.
    fn read_to_the_end(&mut self, group: Vec<Reading>) -> Result<(), F::Error> {
        let seats: Vec<Seat> = group.iter().map(|r| r.first.seat()).collect();
        let tokens: Vec<u32> = group.iter().flat_map(|r| r.first.unread()).copied().collect();
        let logits = self.forward.feed(&seats, &tokens)?;
        self.stats.read += tokens.len() as u64;
        for (i, Reading { mut first, others }) in group.into_iter().enumerate() {
            let request = Rc::clone(&first.request);
            let (prompt, page_len) = (request.prompt.len(), self.forward.page_len());
            let whole = prompt / page_len;
            first.length = prompt;
            self.pool.remember(&mut first.pages, &request.prompt[..whole * page_len]);
            let mut rows = Vec::with_capacity(1 + others.len());
            for (own, sample) in others.into_iter().zip(1..) {
                if !prompt.is_multiple_of(page_len) {
                    self.forward.copy_page(first.pages[whole], own[0])?;
                }
                self.pool.share(&first.pages[..whole]);
                let pages = [&first.pages[..whole], &own].concat();
                rows.push(Sequence::new((first.id, sample), &request, pages, prompt, &self.tokenizer));
            }
            rows.insert(0, first);
            let vocab = logits.dim(1);
            let same = logits.narrow(0, i, 1)?.expand(&[rows.len(), vocab])?;
            let same = if rows.len() == 1 { same } else { same.contiguous()? };
            self.next_tokens(rows, &same)?;
        }
        Ok(())
    }
    /// One token for every running row.
    fn decode(&mut self) -> Result<(), F::Error> {
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
        self.pool.remember(&mut row.pages, &row.tokens[..row.length]);
        self.pool.give_back(&row.pages);
    }
}

#[cfg(test)]
mod tests;
