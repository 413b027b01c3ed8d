//! Ids to text.
//!
//! Tokens are byte strings, and a token may end in the middle of a character. Bytes that are no valid UTF-8 become
//! U+FFFD, one for each maximal part of a character, as the Unicode standard recommends and Python does.

use crate::error::Result;
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// The text of `ids`; special tokens become their names, invalid UTF-8 becomes U+FFFD. Error: an id outside the
    /// vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.decode_bytes(ids)?).into_owned())
    }

    /// The bytes of `ids`, exactly. Error: an id outside the vocabulary.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            bytes.extend_from_slice(self.token(id)?);
        }
        Ok(bytes)
    }

    /// A decoder for ids that come one at a time.
    pub fn stream_decoder(&self) -> StreamDecoder {
        StreamDecoder { tokenizer: self.clone(), pending: Vec::new() }
    }
}

/// Decodes ids as they come, and holds a character back until all of its bytes are there. What [`push`](Self::push) and
/// [`finish`](Self::finish) return adds up to what [`Tokenizer::decode`] returns for all ids at once.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    /// The beginning of a character: valid so far, at most three bytes.
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// The text that `id` completes; often its own, sometimes nothing. Error: an id outside the vocabulary, which is
    /// then ignored.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.pending.extend_from_slice(self.tokenizer.token(id)?);
        let complete = self.pending.len() - incomplete_tail(&self.pending);
        let text = String::from_utf8_lossy(&self.pending[..complete]).into_owned();
        self.pending.drain(..complete);
        Ok(text)
    }

    /// What was held back: U+FFFD if the ids ended inside a character, else nothing.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// How many bytes at the end are the beginning of a character that more bytes could complete.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    // An invalid part is incomplete, not wrong, if nothing but the end of input speaks against it.
    let wrong = std::str::from_utf8(last).err().is_none_or(|error| error.error_len().is_some());
    if wrong { 0 } else { last.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Special;

    fn bytes_only() -> Tokenizer {
        Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
    }

    #[test]
    fn a_character_appears_when_its_last_byte_arrives() {
        let mut stream = bytes_only().stream_decoder();
        let shown: Vec<String> = "a🙂é".bytes().map(|byte| stream.push(byte.into()).unwrap()).collect();
        assert_eq!(shown, ["a", "", "", "", "🙂", "", "é"]);
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn wrong_bytes_are_replaced_at_once_and_a_cut_character_at_the_end() {
        let mut stream = bytes_only().stream_decoder();
        let shown: Vec<String> =
            [0x80, 0xe4, 0xbd, 0x41, 0xf0, 0x9f].map(|id| stream.push(id).unwrap()).into_iter().collect();
        assert_eq!(shown, ["\u{fffd}", "", "", "\u{fffd}A", "", ""]);
        assert!(stream.push(999).is_err());
        assert_eq!(stream.finish(), "\u{fffd}");
    }

    #[test]
    fn streaming_any_bytes_adds_up_to_decoding_them() {
        let tokenizer = bytes_only();
        let interesting =
            [0x41, 0x80, 0xa0, 0xbf, 0xc0, 0xc3, 0xe0, 0xe4, 0xed, 0xf0, 0xf4, 0xf5, 0x9f, 0x90, 256];
        for seed in 0..interesting.len().pow(4) {
            let ids: Vec<u32> =
                (0..4).map(|i| interesting[seed / interesting.len().pow(i) % interesting.len()]).collect();
            let mut stream = tokenizer.stream_decoder();
            let mut text: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            text += &stream.finish();
            assert_eq!(text, tokenizer.decode(&ids).unwrap(), "{ids:x?}");
        }
        assert_eq!(tokenizer.special(Special::Bos), 256);
    }
}
