//! The calculator: the one tool a chat model can call.
//!
//! A model that writes an expression between `<|python_start|>` and `<|python_end|>` gets the result forced
//! into its context (see `tools.rs`). The expression is whatever the model came up with, so it is never run
//! as code: it is read by a small parser for the part of Python that two character sets can spell, with
//! Python's results down to the last digit.
//!
//! * Numbers: `+ - * / //`, parentheses, integers of any size, doubles. `12/60` is `0.2`, `2**3` is refused.
//! * Strings: only when `.count(` occurs, so that `'strawberry'.count('r')` works, and with a list of
//!   forbidden words that is matched anywhere in the text, even inside `'profile'`.
//!
//! Anything wrong (syntax, division by zero, overflow, an unknown name) is no result. Length, digits and
//! nesting are limited, so nothing can hang and no clock is needed.
//!
//! Read `lexer.rs`, `parser.rs`, `value.rs`, then `strings.rs`, `bigint.rs` and `limbs.rs`.

mod bigint;
mod lexer;
mod limbs;
mod parser;
mod strings;
#[cfg(test)]
mod tests;
mod value;

/// Longer expressions are refused; with it the slowest arithmetic takes a fraction of a second.
const MAX_EXPRESSION_BYTES: usize = 1 << 16;

/// Words that string mode refuses wherever they occur, in upper or lower case. The parser would find nothing
/// to call anyway; the list is kept because models were trained with its refusals.
const FORBIDDEN: [&str; 17] = [
    "__",
    "import",
    "exec",
    "eval",
    "compile",
    "open",
    "file",
    "input",
    "raw_input",
    "globals",
    "locals",
    "vars",
    "dir",
    "getattr",
    "setattr",
    "delattr",
    "hasattr",
];

/// Evaluates `expression` as Python would and returns what `print` would show, or `None` for no result.
///
/// Commas are removed first, everywhere: `1,000*3` is 3000. A result of `None` (which Python could also
/// reach, with `None if 'a'.count('a') else 1`) is no result.
///
/// Differences from Python, none of which models use: no bytes, complex numbers, generators, methods with
/// more than one argument, or `is` between equal strings; operator chains may be longer than Python's own
/// recursion limit.
pub fn use_calculator(expression: &str) -> Option<String> {
    if expression.len() > MAX_EXPRESSION_BYTES {
        return None;
    }
    let expression = expression.replace(',', "");
    let arithmetic = expression.bytes().all(|b| b"0123456789*+-/.() ".contains(&b));
    let allowed = if arithmetic { !expression.contains("**") } else { string_mode_allows(&expression) };
    if !allowed {
        return None;
    }
    parser::evaluate(lexer::tokenize(&expression)?)?.to_text()
}

fn string_mode_allows(expression: &str) -> bool {
    let lower = expression.to_ascii_lowercase();
    expression.bytes().all(|b| b.is_ascii_alphanumeric() || b"'\"()._ ".contains(&b))
        && !FORBIDDEN.iter().any(|word| lower.contains(word))
        && expression.contains(".count(")
}
