//! Splitting text into pieces: the first step of everything else in this crate.
//!
//! Merges never cross a piece, so the pieces decide what a token can look like: a word with its leading space, up to
//! two digits, a run of punctuation, a run of white space. nanochat writes the rule as one regular expression,
//! [`PATTERN`]. Regex engines need look-ahead and possessive quantifiers for it and are the bottleneck of most
//! tokenizers, so here the seven alternatives are one small scanner that looks at each character once or twice.
//! `tests/split_oracle.rs` compares it with a regex engine.
//!
//! Read next: `class.rs` (kinds of characters), then [`crate::train`] or `bpe/`.

mod class;
mod tables;

use class::{Class, class_at};

/// The pattern that [`pieces`] implements, in the syntax that tiktoken and fancy-regex read. It differs from GPT-4's in
/// one place: numbers are cut into groups of two digits, not three, which suits smaller vocabularies.
pub const PATTERN: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";

/// Cuts `text` into pieces. They are never empty and concatenate to `text`.
///
/// ```
/// let pieces: Vec<&str> = tokenizer::split::pieces("I'll pay 1234 now").collect();
/// assert_eq!(pieces, ["I", "'ll", " pay", " ", "12", "34", " now"]);
/// ```
pub fn pieces(text: &str) -> Pieces<'_> {
    Pieces { text, at: 0 }
}

/// Iterator over the pieces of a text, made by [`pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        if self.at == self.text.len() {
            return None;
        }
        let start = self.at;
        self.at = piece_end(self.text.as_bytes(), start);
        Some(&self.text[start..self.at])
    }
}

impl std::iter::FusedIterator for Pieces<'_> {}

/// Where the piece that starts at `start` ends. The alternatives of [`PATTERN`] are numbered in their order there.
#[inline]
fn piece_end(text: &[u8], start: usize) -> usize {
    let (class, len) = class_at(text, start);
    let second = start + len;
    match class {
        // 2. letters
        Class::Letter => run_end(text, second, Class::Letter),
        // 3. one or two numbers
        Class::Number => match class_after(text, second) {
            Some((Class::Number, len)) => second + len,
            _ => second,
        },
        Class::Newline => white_space_end(text, start),
        Class::Space | Class::Other => {
            // 1. 's 'll 've ...
            if text[start] == b'\''
                && let Some(end) = contraction_end(text, second)
            {
                return end;
            }
            let next = class_after(text, second);
            // 2. letters after one character that is neither newline nor number
            if let Some((Class::Letter, len)) = next {
                return run_end(text, second + len, Class::Letter);
            }
            // 4. symbols, perhaps after one space (U+0020 only), with the newlines that follow
            if class == Class::Other || text[start] == b' ' && matches!(next, Some((Class::Other, _))) {
                return run_end(text, run_end(text, second, Class::Other), Class::Newline);
            }
            white_space_end(text, start)
        }
    }
}

#[inline(always)]
fn class_after(text: &[u8], at: usize) -> Option<(Class, usize)> {
    (at < text.len()).then(|| class_at(text, at))
}

/// The end of the run of `class` that may start at `at`.
#[inline]
fn run_end(text: &[u8], mut at: usize, class: Class) -> usize {
    while let Some((found, len)) = class_after(text, at)
        && found == class
    {
        at += len;
    }
    at
}

/// Alternative 1, from behind the apostrophe. Case-insensitive means Unicode case folding, under which U+017F, the long
/// s, equals s; the other letters have no such relatives.
#[inline]
fn contraction_end(text: &[u8], at: usize) -> Option<usize> {
    let lower = |i: usize| text.get(at + i).map(|byte| byte | 0x20);
    match (lower(0)?, lower(1)) {
        (b's' | b'd' | b'm' | b't', _) => Some(at + 1),
        (b'l', Some(b'l')) | (b'v' | b'r', Some(b'e')) => Some(at + 2),
        _ => text[at..].starts_with("ſ".as_bytes()).then_some(at + "ſ".len()),
    }
}

/// Alternatives 5 to 7, at a white-space character: up to the last newline of the run; else the run without its last
/// character, which belongs to what follows; else (nothing follows, or the run is one character) all of it.
fn white_space_end(text: &[u8], start: usize) -> usize {
    let (mut at, mut last, mut after_newline) = (start, start, None);
    while let Some((class, len)) = class_after(text, at)
        && matches!(class, Class::Space | Class::Newline)
    {
        last = at;
        at += len;
        if class == Class::Newline {
            after_newline = Some(at);
        }
    }
    match after_newline {
        Some(end) => end,
        None if at < text.len() && last > start => last,
        None => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        pieces(text).collect()
    }

    #[test]
    fn words_take_one_leading_character_and_numbers_none() {
        assert_eq!(split("foo_bar->baz++;\n\n"), ["foo", "_bar", "->", "baz", "++;\n\n"]);
        assert_eq!(split("a\tb 1"), ["a", "\tb", " ", "1"]);
        assert_eq!(split("你好,世界 🙂🙂"), ["你好", ",世界", " 🙂🙂"]);
        assert_eq!(split("price: $3.14\r\n\r\nnext   ").len(), 9);
    }

    #[test]
    fn contractions_come_before_words_and_ignore_case() {
        assert_eq!(split("I'LL we've 'S"), ["I", "'LL", " we", "'ve", " '", "S"]);
        assert_eq!(split("o'clock'llama"), ["o", "'clock", "'ll", "ama"]);
        assert_eq!(split("'ſt 'K"), ["'ſ", "t", " '", "K"]);
        assert_eq!(split("'"), ["'"]);
        assert_eq!(split("'l"), ["'l"]);
    }

    #[test]
    fn white_space_runs_end_at_their_last_newline_or_leave_one_for_the_word() {
        assert_eq!(split("\n\n\n x"), ["\n\n\n", " x"]);
        assert_eq!(split(" \n \n  x"), [" \n \n", " ", " x"]);
        assert_eq!(split("a   b"), ["a", "  ", " b"]);
        assert_eq!(split("a   "), ["a", "   "]);
        assert_eq!(split("  1"), [" ", " ", "1"]);
    }

    #[test]
    fn a_long_text_of_one_kind_is_one_piece() {
        for text in ["x", " ", "!", "\n"] {
            assert_eq!(split(&text.repeat(1 << 20)).len(), 1);
        }
        assert_eq!(split(&"7".repeat(9)).len(), 5);
    }
}
