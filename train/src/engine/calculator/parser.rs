//! Recursive descent over the tokens, computing as it goes: one method per line of the grammar.
//!
//! ```text
//! expression  = disjunction ["if" disjunction "else" expression]
//! disjunction = conjunction {"or" conjunction}
//! conjunction = inversion {"and" inversion}
//! inversion   = {"not"} comparison
//! comparison  = sum {("in" | "not" "in" | "is" | "is" "not") sum}
//! sum         = term {("+" | "-") term}
//! term        = factor {("*" | "/" | "//") factor}
//! factor      = {"+" | "-"} primary
//! primary     = atom {"." name | "(" [expression] ")"}
//! atom        = number | string {string} | name | "..." | "(" [expression] ")"
//! ```
//!
//! `None` from a method is a syntax error; an error while computing is the value [`Value::Raised`] (see
//! `value.rs` for why that allows computing both sides of `or`). Only parentheses recurse, and the lexer
//! limits those.

use super::lexer::Token;
use super::strings;
use super::value::Value;

/// The value of a whole expression; `None` if it is not well formed.
pub fn evaluate(tokens: Vec<Token>) -> Option<Value> {
    let mut parser = Parser { tokens, at: 0 };
    let value = parser.expression()?;
    (parser.at == parser.tokens.len()).then_some(value)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

/// Words that cannot be names. `True`, `False` and `None` are not here: they are values.
const KEYWORDS: [&str; 32] = [
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
    "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

impl Parser {
    fn expression(&mut self) -> Option<Value> {
        let mut chosen = None; // decided by an earlier link of `a if b else c if d else e`
        loop {
            let value = self.disjunction()?;
            if !self.word("if") {
                return Some(chosen.unwrap_or(value));
            }
            let condition = self.disjunction()?;
            if !self.word("else") {
                return None;
            }
            chosen = chosen.or(match condition.truth() {
                None => Some(Value::Raised),
                Some(true) => Some(value),
                Some(false) => None,
            });
        }
    }

    fn disjunction(&mut self) -> Option<Value> {
        let mut value = self.conjunction()?;
        while self.word("or") {
            let right = self.conjunction()?;
            if value.truth() == Some(false) {
                value = right;
            }
        }
        Some(value)
    }

    fn conjunction(&mut self) -> Option<Value> {
        let mut value = self.inversion()?;
        while self.word("and") {
            let right = self.inversion()?;
            if value.truth() == Some(true) {
                value = right;
            }
        }
        Some(value)
    }

    fn inversion(&mut self) -> Option<Value> {
        let mut nots = 0;
        while self.word("not") {
            nots += 1;
        }
        let value = self.comparison()?;
        Some(match (nots, value.truth()) {
            (0, _) => value,
            (_, None) => Value::Raised,
            (n, Some(truth)) => Value::Bool(truth != (n % 2 == 1)),
        })
    }

    /// `a in b in c` means `a in b and b in c`.
    fn comparison(&mut self) -> Option<Value> {
        let mut left = self.sum()?;
        let mut result = None;
        while let Some((test, negated)) = self.comparison_operator() {
            let right = self.sum()?;
            let outcome = match test {
                "in" => right.contains(&left),
                _ => left.is(&right),
            };
            let outcome = match (outcome, negated) {
                (Value::Bool(b), true) => Value::Bool(!b),
                (other, _) => other,
            };
            if result.as_ref().is_none_or(|r: &Value| r.truth() == Some(true)) {
                result = Some(outcome);
            }
            left = right;
        }
        Some(result.unwrap_or(left))
    }

    fn comparison_operator(&mut self) -> Option<(&'static str, bool)> {
        if self.word("in") {
            return Some(("in", false));
        }
        if self.word("is") {
            return Some(("is", self.word("not")));
        }
        let two_words = matches!(self.tokens.get(self.at + 1), Some(Token::Name(name)) if name == "in");
        (two_words && self.word("not")).then(|| {
            self.at += 1;
            ("in", true)
        })
    }

    fn sum(&mut self) -> Option<Value> {
        let mut value = self.term()?;
        while let Some(op) = self.any_op(&["+", "-"]) {
            value = Value::binary(op, value, self.term()?);
        }
        Some(value)
    }

    fn term(&mut self) -> Option<Value> {
        let mut value = self.factor()?;
        while let Some(op) = self.any_op(&["*", "/", "//"]) {
            value = Value::binary(op, value, self.factor()?);
        }
        Some(value)
    }

    fn factor(&mut self) -> Option<Value> {
        let mut signs = 0;
        let mut minus = false;
        while let Some(op) = self.any_op(&["+", "-"]) {
            signs += 1;
            minus ^= op == "-";
        }
        let value = self.primary()?;
        Some(if signs > 0 { value.unary(minus) } else { value })
    }

    fn primary(&mut self) -> Option<Value> {
        let mut value = self.atom()?;
        loop {
            if self.any_op(&["."]).is_some() {
                let name = self.name()?;
                value = if value == Value::Raised { value } else { Value::Method(Box::new(value), name) };
            } else if self.any_op(&["("]).is_some() {
                let argument = self.rest_of_parentheses()?;
                value = match value {
                    Value::Method(receiver, name) => strings::call(&receiver, &name, argument.as_ref()),
                    _ => Value::Raised,
                };
            } else {
                return Some(value);
            }
        }
    }

    fn atom(&mut self) -> Option<Value> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        match token {
            Token::Int(x) => Some(Value::Int(x)),
            Token::Float(x) => Some(Value::Float(x)),
            Token::Complex => Some(Value::Raised),
            Token::Str(first) => self.adjacent_strings(first),
            Token::Bytes => self.adjacent_bytes(),
            Token::Op("...") => Some(Value::Ellipsis),
            Token::Op("(") => Some(self.rest_of_parentheses()?.unwrap_or(Value::Tuple(Vec::new()))),
            Token::Op(_) => None,
            Token::Name(name) => match name.as_str() {
                "True" => Some(Value::Bool(true)),
                "False" => Some(Value::Bool(false)),
                "None" => Some(Value::None),
                // There are no variables and no built-in functions, so any other name is unknown.
                _ => (!KEYWORDS.contains(&name.as_str())).then_some(Value::Raised),
            },
        }
    }

    /// After `(`: an optional expression and the closing parenthesis.
    fn rest_of_parentheses(&mut self) -> Option<Option<Value>> {
        if self.any_op(&[")"]).is_some() {
            return Some(None);
        }
        let value = self.expression()?;
        self.any_op(&[")"]).map(|_| Some(value))
    }

    /// `'ab' 'cd'` is one literal.
    fn adjacent_strings(&mut self, mut text: String) -> Option<Value> {
        while let Some(Token::Str(more)) = self.tokens.get(self.at) {
            text.push_str(more);
            self.at += 1;
        }
        (self.tokens.get(self.at) != Some(&Token::Bytes)).then_some(Value::Str(text))
    }

    fn adjacent_bytes(&mut self) -> Option<Value> {
        while self.tokens.get(self.at) == Some(&Token::Bytes) {
            self.at += 1;
        }
        (!matches!(self.tokens.get(self.at), Some(Token::Str(_)))).then_some(Value::Raised)
    }

    /// A name after a dot.
    fn name(&mut self) -> Option<String> {
        let Some(Token::Name(name)) = self.tokens.get(self.at) else { return None };
        let reserved =
            KEYWORDS.contains(&name.as_str()) || matches!(name.as_str(), "True" | "False" | "None");
        self.at += 1;
        (!reserved).then(|| name.clone())
    }

    /// Steps over the keyword if it is next.
    fn word(&mut self, word: &str) -> bool {
        let here = matches!(self.tokens.get(self.at), Some(Token::Name(name)) if name == word);
        self.at += usize::from(here);
        here
    }

    /// Steps over one of the operators if it is next.
    fn any_op(&mut self, ops: &[&str]) -> Option<&'static str> {
        let Some(&Token::Op(op)) = self.tokens.get(self.at) else { return None };
        ops.contains(&op).then(|| {
            self.at += 1;
            op
        })
    }
}
