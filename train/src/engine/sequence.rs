//! One sample on its way: its tokens, the pages that hold it, its tool state and its text.

use super::forward::Seat;
use super::request::{Event, Finish, Logprobs, Request, RequestId, Token, What};
use super::sampling::{Draw, uniform};
use super::text::TextStream;
use super::tools::RowState;
use kernels::planted;
use std::rc::Rc;
use tokenizer::Tokenizer;

/// A row of the batch.
#[derive(Debug)]
pub(super) struct Sequence {
    pub id: RequestId,
    pub sample: usize,
    pub request: Rc<Request>,
    /// The prompt and what was generated.
    pub tokens: Vec<u32>,
    /// Pages for what it is, and at times one more. None while it waits.
    pub pages: Vec<u32>,
    /// Positions filled: tokens that the model has read. None while it waits.
    pub length: usize,
    /// Has its beginning been reported?
    pub started: bool,
    /// Tokens of the prompt whose log-probabilities were reported.
    pub scored: usize,
    tools: RowState,
    text: TextStream,
}

impl Sequence {
    /// At the end of the prompt, of which nothing has been read.
    pub fn new((id, sample): (RequestId, usize), request: &Rc<Request>, tokenizer: &Tokenizer) -> Sequence {
        Sequence {
            id,
            sample,
            request: Rc::clone(request),
            tokens: request.prompt.clone(),
            pages: Vec::new(),
            length: 0,
            started: false,
            scored: 0,
            tools: RowState::new(),
            text: TextStream::new(tokenizer, request.stop.clone()),
        }
    }
    /// Who came first: requests in the order they arrived, and the samples of each.
    pub fn age(&self) -> (RequestId, usize) {
        (self.id, self.sample)
    }
    /// Rows that it is or will become: a prompt that was not read stands for all its samples.
    pub fn rows(&self) -> usize {
        if self.generated() == 0 { self.request.samples } else { 1 }
    }
    /// May it become longer than its pages? The last token that is drawn is never fed.
    pub fn grows(&self, page_len: usize) -> bool {
        self.pages.len() * page_len + 1 < self.request.prompt.len() + self.request.max_tokens
    }
    /// Are the log-probabilities of its prompt still to be found?
    pub fn wants_scores(&self) -> bool {
        self.request.prompt_logprobs && self.scored < self.request.prompt.len()
    }
    /// Tokens generated.
    pub fn generated(&self) -> usize {
        self.tokens.len() - self.request.prompt.len()
    }
    /// Where it lies.
    pub fn seat(&self) -> Seat<'_> {
        let before = self.length.checked_sub(1);
        let at = |last: usize| planted!("sequence.smears_the_token_itself", last => self.tokens.len() - 1);
        let before = before.map(|last| self.tokens[at(last)]);
        Seat { pages: &self.pages, length: self.length, before }
    }
    /// What the model has not read yet.
    pub fn unread(&self) -> &[u32] {
        &self.tokens[self.length..]
    }
    /// How the next token is drawn.
    pub fn draw(&self) -> Draw<'_> {
        let sampling = &self.request.sampling;
        let uniform = uniform(
            sampling.seed,
            planted!("scheduler.samples_draw_alike", self.sample => 0),
            self.generated(),
        );
        Draw { sampling, uniform, seen: &self.tokens, prompt: self.request.prompt.len() }
    }
    /// Takes the token that was drawn, or the one that the tool machine puts in its place. Returns whether the row has ended.
    pub fn accept(
        &mut self,
        drawn: Option<u32>,
        logprobs: impl FnOnce(u32) -> Option<Logprobs>,
        tokenizer: &Tokenizer,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(drawn) = drawn else { return self.finish(Finish::Damaged, events) };
        let (id, sampled) = self.tools.choose(drawn);
        self.tools.observe(id, tokenizer);
        self.tokens.push(id);
        let ended = self.tools.completed();
        let (text, stop) = if ended { (Vec::new(), None) } else { self.text.push(id) };
        let token = Token { id, sampled, text, logprobs: logprobs(id) };
        events.push(self.event(What::Token(token)));
        match stop {
            _ if ended => self.finish(Finish::End, events),
            Some(stop) => self.finish(Finish::Stop(stop), events),
            None if planted!("sequence.one_token_too_many", self.generated() >= self.request.max_tokens => self.generated() > self.request.max_tokens) => {
                self.finish(Finish::Length, events)
            }
            None => false,
        }
    }
    /// Reports the end, after the text that was held back.
    pub fn finish(&mut self, why: Finish, events: &mut Vec<Event>) -> bool {
        let rest = self.text.flush();
        if !rest.is_empty() {
            events.push(self.event(What::Text(rest)));
        }
        events.push(self.event(What::Finished(why)));
        true
    }
    pub fn event(&self, what: What) -> Event {
        Event { request: self.id, sample: self.sample, what }
    }
}
