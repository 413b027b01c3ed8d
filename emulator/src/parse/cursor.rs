//! A place in the tokens, with the few moves that parsing needs.

use super::lex::{Kind, Token};
use super::{Number, Refusal};

/// The tokens and how many were read.
pub(super) struct Cursor<'a, 't> {
    tokens: &'t [Token<'a>],
    at: usize,
}

impl<'a, 't> Cursor<'a, 't> {
    /// At the first token. The last token must be `End`.
    pub fn new(tokens: &'t [Token<'a>]) -> Self {
        Cursor { tokens, at: 0 }
    }

    pub fn peek(&self) -> Token<'a> {
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    /// The token after the next.
    pub fn peek_second(&self) -> Token<'a> {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    pub fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Takes the mark if it is next.
    pub fn take(&mut self, mark: u8) -> bool {
        let found = self.peek().kind == Kind::Mark(mark);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, mark: u8) -> Result<(), Refusal> {
        if self.take(mark) { Ok(()) } else { Err(self.refuse(&format!("`{}`", mark as char))) }
    }

    /// A name or directive.
    pub fn name(&mut self) -> Result<&'a str, Refusal> {
        match self.peek().kind {
            Kind::Name => Ok(self.next().text),
            _ => Err(self.refuse("a name")),
        }
    }

    /// A whole number that is not negative.
    pub fn count(&mut self) -> Result<u64, Refusal> {
        match self.peek().kind {
            Kind::Number(Number::Int(n)) => {
                self.at += 1;
                u64::try_from(n).map_err(|_| (self.peek().line, "a number is too large".into()))
            }
            _ => Err(self.refuse("a whole number")),
        }
    }

    /// "expected WHAT, found the next token"
    pub fn refuse(&self, what: &str) -> Refusal {
        let token = self.peek();
        (token.line, format!("expected {what}, found `{}`", token.text))
    }
}
