//! Tokens become text as they come: no half characters, nothing behind a stop text, tool calls apart from words.
//!
//! Two things hold text back. A character whose last byte has not come yet; and the end of the text so far, as long as it
//! could be the beginning of a stop text. Both come out with the token that settles it, or at the end.

use kernels::planted;
use tokenizer::{Special, StreamDecoder, Tokenizer};

/// What a piece of a continuation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Part {
    /// Words to the reader.
    #[default]
    Text,
    /// An expression for the calculator.
    Python,
    /// What the calculator answered.
    Output,
}

/// Some text of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The kind.
    pub part: Part,
    /// Whole characters.
    pub text: String,
}

/// The text of one continuation, as it comes.
#[derive(Debug)]
pub struct TextStream {
    tokenizer: Tokenizer,
    decoder: StreamDecoder,
    part: Part,
    stop: Vec<String>,
    /// Text that may be the beginning of a stop text.
    held: String,
}

impl TextStream {
    /// Nothing said yet.
    pub fn new(tokenizer: &Tokenizer, stop: Vec<String>) -> TextStream {
        let (decoder, tokenizer) = (tokenizer.stream_decoder(), tokenizer.clone());
        TextStream { tokenizer, decoder, part: Part::Text, stop, held: String::new() }
    }
    /// The text that `id` completes, and the stop text it completes, if any: then no more tokens may follow.
    ///
    /// Special tokens have no text; those of tools change the kind of what follows. Stop texts are looked for among words
    /// only. An id outside the vocabulary (of a padded head) is a replacement character.
    pub fn push(&mut self, id: u32) -> (Vec<Piece>, Option<String>) {
        let Some(special) = self.tokenizer.as_special(id) else {
            let text = self.decoder.push(id).unwrap_or_else(|_| "\u{fffd}".into());
            let (piece, stop) = self.release(&text);
            return (piece.into_iter().collect(), stop);
        };
        let pieces = self.flush();
        self.part = match special {
            Special::PythonStart => Part::Python,
            Special::OutputStart => Part::Output,
            Special::PythonEnd | Special::OutputEnd => Part::Text,
            _ => self.part,
        };
        (pieces, None)
    }
    /// Everything that was held back: no more tokens come, or others than text.
    pub fn flush(&mut self) -> Vec<Piece> {
        let decoder = std::mem::replace(&mut self.decoder, self.tokenizer.stream_decoder());
        let (piece, stop) = self.release(&decoder.finish());
        let held = std::mem::take(&mut self.held);
        let rest = if stop.is_none() { self.piece(held) } else { None };
        piece.into_iter().chain(rest).collect()
    }
    fn piece(&self, text: String) -> Option<Piece> {
        (!text.is_empty()).then_some(Piece { part: self.part, text })
    }
    /// What of `held + text` cannot be part of a stop text; up to the first stop text if there is one.
    fn release(&mut self, text: &str) -> (Option<Piece>, Option<String>) {
        if self.part != Part::Text || self.stop.is_empty() {
            return (self.piece(text.into()), None);
        }
        self.held.push_str(text);
        let found = self.stop.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop)));
        if let Some((at, stop)) = found.min_by_key(|&(at, stop)| (at, std::cmp::Reverse(stop.len()))) {
            let (before, stop) = (self.held[..at].to_string(), stop.clone());
            self.held.clear();
            return (self.piece(before), Some(stop));
        }
        let open = self.stop.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let open = planted!("text.stop_text_missed_over_a_border", open => 0);
        let sure = self.held.len() - open;
        let text = self.held.drain(..sure).collect();
        (self.piece(text), None)
    }
}

/// Bytes at the end of `text` that are the beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(at, _)| at);
    let ends = ends.filter(|&at| text.ends_with(&stop[..at]));
    ends.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_only() -> Tokenizer {
        Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
    }

    /// What is shown after each byte of `text`, up to a stop text.
    fn shown(text: &str, stop: &[&str]) -> (Vec<String>, Option<String>) {
        let mut stream = TextStream::new(&bytes_only(), stop.iter().map(|s| s.to_string()).collect());
        let words = |pieces: Vec<Piece>| pieces.into_iter().map(|p| p.text).collect::<String>();
        let mut all = Vec::new();
        for byte in text.bytes() {
            let (pieces, stopped) = stream.push(byte.into());
            all.push(words(pieces));
            if stopped.is_some() {
                return (all, stopped);
            }
        }
        all.push(words(stream.flush()));
        (all, None)
    }

    #[test]
    fn a_character_is_never_split() {
        let (all, _) = shown("a🙂", &[]);
        assert_eq!(all, ["a", "", "", "", "🙂", ""]);
        assert_eq!(shown("é", &["x"]).0, ["", "é", ""]);
        let mut stream = TextStream::new(&bytes_only(), Vec::new());
        assert_eq!(stream.push(0xf0).0, []);
        assert_eq!(stream.flush()[0].text, "\u{fffd}");
    }

    #[test]
    fn what_may_be_a_stop_text_waits_until_it_is_settled() {
        let (all, stopped) = shown("ab\nUser: x", &["\nUser:"]);
        assert_eq!((all.concat().as_str(), stopped.as_deref()), ("ab", Some("\nUser:")));
        let (all, stopped) = shown("ab\nUs\nUsq", &["\nUser:"]);
        assert_eq!((all.concat().as_str(), stopped), ("ab\nUs\nUsq", None));
        assert_eq!(all[2..6], ["", "", "", "\nUs"]);
        let (all, _) = shown("ab\nU", &["\nUser:"]);
        assert_eq!(all.last().unwrap(), "\nU", "the end settles it");
    }

    #[test]
    fn the_first_stop_text_counts_and_of_two_at_one_place_the_longer() {
        assert_eq!(shown("one two", &["two", "ne t"]).0.concat(), "o");
        assert_eq!(shown("aab", &["ab", "b"]).1.as_deref(), Some("ab"));
        assert_eq!(shown("grüß", &["ß"]).0.concat(), "grü");
    }

    #[test]
    fn tool_calls_are_pieces_of_their_own_and_hold_no_stop_text() {
        let tokenizer = bytes_only();
        let mut stream = TextStream::new(&tokenizer, vec!["2".into()]);
        let special = |s| tokenizer.special(s);
        let ids = [
            u32::from(b'x'),
            special(Special::PythonStart),
            u32::from(b'2'),
            special(Special::PythonEnd),
            special(Special::OutputStart),
            u32::from(b'2'),
            special(Special::OutputEnd),
            u32::from(b'2'),
        ];
        let all: Vec<_> = ids.iter().map(|&id| stream.push(id)).collect();
        let parts: Vec<_> = all.iter().flat_map(|(p, _)| p).map(|p| (p.part, p.text.as_str())).collect();
        assert_eq!(parts, [(Part::Text, "x"), (Part::Python, "2"), (Part::Output, "2")]);
        assert_eq!(all.last().unwrap().1.as_deref(), Some("2"));
    }
}
