//! Text to tokens, by Python's rules for numbers, names and string literals.
//!
//! Only what the calculator's two character sets can spell is known here: there are no operators beyond `+ -
//! * / // . ( )` and `...`, no backslash and no newline. What Python refuses to read (`007`, `1__0`, an open
//! quote) is refused here too, by returning `None`. Next: `parser.rs`.

use super::bigint::BigInt;

/// Python refuses to read an integer with more decimal digits than this, and to print one.
pub const MAX_INT_DIGITS: usize = 4300;

/// Python refuses deeper nesting than this; the parser's recursion is bounded by it.
const MAX_PARENTHESES: usize = 200;

/// One piece of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// An integer literal.
    Int(BigInt),
    /// A float literal.
    Float(f64),
    /// A complex literal: legal, but the calculator does not compute with it.
    Complex,
    /// A string literal.
    Str(String),
    /// A bytes literal: legal, but the calculator does not compute with it.
    Bytes,
    /// A name or keyword.
    Name(String),
    /// One of `+ - * / // . ... ( )`.
    Op(&'static str),
}

/// Cuts `text` into tokens; `None` where Python would report a syntax error.
pub fn tokenize(text: &str) -> Option<Vec<Token>> {
    let mut lexer = Lexer { rest: text, depth: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.rest = lexer.rest.trim_start_matches(' ');
        if lexer.rest.is_empty() {
            return Some(tokens);
        }
        tokens.push(lexer.token()?);
    }
}

struct Lexer<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Option<Token> {
        let mut chars = self.rest.chars();
        let (first, second) = (chars.next()?, chars.next());
        match first {
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '\'' | '"' => self.string(),
            c if c.is_ascii_alphabetic() || c == '_' => self.name_or_string(),
            _ => self.operator(),
        }
    }

    fn operator(&mut self) -> Option<Token> {
        let known = ["...", "//", "+", "-", "*", "/", ".", "(", ")"];
        let op = known.into_iter().find(|op| self.rest.starts_with(op))?;
        self.rest = &self.rest[op.len()..];
        match op {
            "(" if self.depth == MAX_PARENTHESES => return None,
            "(" => self.depth += 1,
            ")" => self.depth = self.depth.checked_sub(1)?,
            _ => {}
        }
        Some(Token::Op(op))
    }

    fn name_or_string(&mut self) -> Option<Token> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if !self.rest.starts_with(['\'', '"']) {
            return Some(Token::Name(name.to_string()));
        }
        match name.to_ascii_lowercase().as_str() {
            // Without backslashes and braces, raw strings, f-strings and plain strings read the same.
            "r" | "u" | "f" | "fr" | "rf" => self.string(),
            "b" | "br" | "rb" => self.string().map(|_| Token::Bytes),
            _ => Some(Token::Name(name.to_string())), // then a string follows a name: the parser's error
        }
    }

    fn string(&mut self) -> Option<Token> {
        let quote = &self.rest[..1];
        let triple = quote.repeat(3);
        let quote = if self.rest.starts_with(&triple) { &triple } else { quote };
        let body = &self.rest[quote.len()..];
        let end = body.find(quote)?;
        self.rest = &body[end + quote.len()..];
        Some(Token::Str(body[..end].to_string()))
    }

    fn number(&mut self) -> Option<Token> {
        let token = match self.rest.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("0x") => self.based_integer(16),
            Some("0o") => self.based_integer(8),
            Some("0b") => self.based_integer(2),
            _ => self.decimal(),
        }?;
        // A keyword may touch the number (`1if`), any other letter or digit may not (`1a`, `0b12`).
        let touches = self.rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let keyword = ["and", "else", "for", "if", "in", "is", "or", "not"];
        (!touches || keyword.iter().any(|k| self.rest.starts_with(k))).then_some(token)
    }

    fn based_integer(&mut self, base: u32) -> Option<Token> {
        self.rest = &self.rest[2..];
        self.rest = self.rest.strip_prefix('_').unwrap_or(self.rest);
        BigInt::from_digits(&self.digits(base)?, base).map(Token::Int)
    }

    fn decimal(&mut self) -> Option<Token> {
        let mut text = if self.rest.starts_with('.') { String::new() } else { self.digits(10)? };
        let mut float = false;
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            float = true;
            text.push('.');
            if rest.starts_with(|c: char| c.is_ascii_digit()) {
                text.push_str(&self.digits(10)?);
            }
        }
        let mut after = self.rest.chars();
        if after.next().is_some_and(|c| c == 'e' || c == 'E')
            && after.next().is_some_and(|c| c.is_ascii_digit())
        {
            self.rest = &self.rest[1..];
            float = true;
            text.push('e');
            text.push_str(&self.digits(10)?);
        }
        if let Some(rest) = self.rest.strip_prefix(['j', 'J']) {
            self.rest = rest;
            return Some(Token::Complex);
        }
        if float {
            return text.parse().ok().map(Token::Float);
        }
        let digits = text.trim_start_matches('0');
        let leading_zero = digits.len() < text.len() && !digits.is_empty();
        if leading_zero || digits.len() > MAX_INT_DIGITS {
            return None;
        }
        BigInt::from_digits(digits, 10).map(Token::Int)
    }

    /// Digits of a base with single underscores between them, which are dropped.
    fn digits(&mut self, base: u32) -> Option<String> {
        let text = self.take_while(|c| c.is_digit(base) || c == '_');
        let well_formed = !text.is_empty() && text.split('_').all(|part| !part.is_empty());
        well_formed.then(|| text.replace('_', ""))
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Token> {
        tokenize(text).filter(|t| t.len() == 1).map(|mut t| t.remove(0))
    }

    #[test]
    fn a_leading_zero_spoils_an_integer_but_not_a_float() {
        assert_eq!(tokenize("007"), None);
        assert_eq!(one("000"), Some(Token::Int(BigInt::from(0))));
        assert_eq!(one("007.5"), Some(Token::Float(7.5)));
        assert_eq!(one("5."), Some(Token::Float(5.0)));
        assert_eq!(one(".5"), Some(Token::Float(0.5)));
    }

    #[test]
    fn underscores_only_stand_between_digits() {
        assert_eq!(one("1_0.0_5"), Some(Token::Float(10.05)));
        assert_eq!(one("0x_f"), Some(Token::Int(BigInt::from_digits("15", 10).unwrap())));
        for bad in ["1__0", "1_", "1_.5", "1._5", "0x", "0b12", "1a"] {
            assert_eq!(tokenize(bad), None, "{bad}");
        }
    }

    #[test]
    fn keywords_may_touch_numbers() {
        assert_eq!(tokenize("1if").map(|t| t.len()), Some(2));
        assert_eq!(tokenize("1else").map(|t| t.len()), Some(2));
        assert_eq!(tokenize("0or"), None, "0o starts an octal number");
    }

    #[test]
    fn string_literals_end_at_their_own_quote() {
        assert_eq!(one("\"it's\""), Some(Token::Str("it's".into())));
        assert_eq!(one("'''a'b'''"), Some(Token::Str("a'b".into())));
        assert_eq!(one("r'ab'"), Some(Token::Str("ab".into())));
        assert_eq!(one("''"), Some(Token::Str(String::new())));
        assert_eq!(tokenize("'open"), None);
        assert_eq!(tokenize("''''"), None, "three quotes open, none close");
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |n: usize| "(".repeat(n) + &")".repeat(n);
        assert!(tokenize(&nested(200)).is_some());
        assert_eq!(tokenize(&nested(201)), None);
        assert_eq!(tokenize(")("), None);
    }
}
