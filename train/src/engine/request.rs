//! What is asked of the engine, what it reports while it works, and why it refuses.

use super::sampling::Sampling;
use super::text::Piece;

/// A prompt and how to continue it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Token ids, beginning with `<|bos|>`.
    pub prompt: Vec<u32>,
    /// Independent continuations; the prompt is read once for all of them.
    pub samples: usize,
    /// Tokens of each continuation at most, forced ones included. 0 is for those who want to know of the prompt alone.
    pub max_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// A continuation ends before the first of these texts.
    pub stop: Vec<String>,
    /// Report the log-probability of every token, and of so many of the likeliest alternatives.
    pub logprobs: Option<usize>,
    /// Report the same of the prompt's tokens.
    pub prompt_logprobs: bool,
}

impl Request {
    /// One greedy continuation without stop texts.
    pub fn greedy(prompt: Vec<u32>, max_tokens: usize) -> Request {
        let sampling = Sampling::greedy();
        Request {
            prompt,
            samples: 1,
            max_tokens,
            sampling,
            stop: Vec::new(),
            logprobs: None,
            prompt_logprobs: false,
        }
    }
}

/// The number of an accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Bounds on what the engine holds at a time. With them its memory is fixed from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows in one decoding step.
    pub rows: usize,
    /// Requests that wait for a place; one more is refused.
    pub waiting: usize,
    /// Tokens of prompts that are read between two decoding steps: the longest pause in other people's answers.
    pub chunk: usize,
    /// Positions of one row: prompt and continuation together.
    pub context: usize,
}

/// Something happened to a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Of which request.
    pub request: RequestId,
    /// Which of its samples, from 0.
    pub sample: usize,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The request has got a place.
    Started {
        /// Tokens whose keys and values were there already.
        reused: usize,
    },
    /// Log-probabilities of the prompt's next tokens, from the second one on. They are the same for all samples and come
    /// with the first.
    Prompt(Vec<Logprobs>),
    /// The next token.
    Token(Token),
    /// Text that was held back to the end.
    Text(Vec<Piece>),
    /// Nothing more will come.
    Finished(Finish),
}

/// One token of a continuation. The token that ends it is reported, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Drawn (true), or forced by the tool machine (false)?
    pub sampled: bool,
    /// The text it completes. Text that may turn out to be a stop text comes later.
    pub text: Vec<Piece>,
    /// Its log-probability and the alternatives', if they were asked for.
    pub logprobs: Option<Logprobs>,
}

/// Natural logarithms of the model's own probabilities: before temperature, penalties and filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// Of the token itself.
    pub token: f32,
    /// The likeliest ids, best first.
    pub top: Vec<(u32, f32)>,
}

/// Why a sample ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model drew `<|assistant_end|>` or `<|bos|>`.
    End,
    /// This stop text came up.
    Stop(String),
    /// `max_tokens` were generated.
    Length,
    /// Somebody called it off.
    Cancelled,
    /// The model produced logits that are not numbers.
    Damaged,
}

/// Why a request was not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing to continue.
    #[error("the prompt is empty: start it with the <|bos|> token")]
    EmptyPrompt,
    /// Nothing is wanted.
    #[error("{0} is 0: ask for at least 1")]
    Zero(&'static str),
    /// More samples than rows.
    #[error("{samples} samples of one prompt do not fit into {rows} rows: ask for {rows} at most")]
    TooManySamples {
        /// Asked for.
        samples: usize,
        /// Rows there are.
        rows: usize,
    },
    /// A number of the sampling is out of range.
    #[error("{field} is {value}: use {range}")]
    Sampling {
        /// Which number.
        field: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// An id that the model does not know.
    #[error("token {id} is outside the vocabulary of {vocab}: encode the prompt with the model's tokenizer")]
    UnknownToken {
        /// The id.
        id: u32,
        /// How many there are.
        vocab: usize,
    },
    /// A stop text without characters would end everything at once.
    #[error("a stop text is empty: leave it out")]
    EmptyStop,
    /// The row would be longer than the context.
    #[error(
        "{prompt} tokens of prompt and {max_tokens} new ones are more than the context of {context}: shorten the prompt or \
         ask for fewer tokens"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// New tokens.
        max_tokens: usize,
        /// Positions there are.
        context: usize,
    },
    /// Even an empty cache could not hold it.
    #[error(
        "the request needs {need} cache pages of {have}: ask for fewer samples or tokens, or give the cache more memory"
    )]
    TooLarge {
        /// Pages needed.
        need: usize,
        /// Pages there are.
        have: usize,
    },
    /// As many requests wait as may.
    #[error("{0} requests are waiting already: try again later")]
    Full(usize),
}
