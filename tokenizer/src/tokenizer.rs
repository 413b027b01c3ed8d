//! The tokenizer itself: a vocabulary that several threads share.

use crate::bpe::Bpe;
use crate::error::{Result, TokenizerError};
use crate::special::Special;
use std::sync::Arc;

/// Text to token ids and back.
///
/// Ids below [`num_mergeable`](Self::num_mergeable) are byte strings, the nine above are the [`Special`] tokens.
/// Cloning is cheap: clones share one vocabulary, also across threads.
///
/// ```
/// # fn main() -> tokenizer::Result<()> {
/// use tokenizer::{Tokenizer, TrainOptions};
/// let options = TrainOptions { vocab_size: 270, ..TrainOptions::default() };
/// let (tokenizer, report) = Tokenizer::train(["low lower lowest"], &options, &mut |_| {})?;
/// assert_eq!((report.merges[0].left, report.merges[0].right), (108, 111)); // l, o
/// let ids = tokenizer.encode("slow");
/// assert_eq!(tokenizer.decode(&ids)?, "slow");
/// # Ok(())
/// # }
/// ```
///
/// Where to find the methods: `train/mod.rs`, `encode.rs`, `decode.rs`, `conversation/render.rs`, `file.rs`,
/// `ranks.rs`.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    bpe: Arc<Bpe>,
}

impl Tokenizer {
    /// 256 single bytes and the special tokens.
    pub const MIN_VOCAB_SIZE: usize = 256 + Special::COUNT;

    /// A tokenizer from the byte strings of its tokens: `ranks[id]` is token `id`; special tokens follow. For
    /// vocabularies of others; they are used with the split pattern of this crate.
    ///
    /// Errors: fewer than 256 or too many tokens, an empty one, one that occurs twice, a single byte that is missing.
    pub fn from_ranks(ranks: Vec<Vec<u8>>) -> Result<Tokenizer> {
        let vocab_size = ranks.len() + Special::COUNT;
        if vocab_size < Self::MIN_VOCAB_SIZE {
            return Err(TokenizerError::VocabTooSmall {
                requested: vocab_size,
                minimum: Self::MIN_VOCAB_SIZE,
            });
        }
        if u32::try_from(vocab_size).is_err() {
            return Err(TokenizerError::VocabTooLarge { requested: vocab_size });
        }
        Ok(Tokenizer { bpe: Arc::new(Bpe::new(&ranks)?) })
    }

    pub(crate) fn bpe(&self) -> &Bpe {
        &self.bpe
    }

    /// Number of ids, special tokens included.
    pub fn vocab_size(&self) -> usize {
        self.num_mergeable() + Special::COUNT
    }

    /// Number of ids that stand for byte strings; the id of the first special token.
    pub fn num_mergeable(&self) -> usize {
        self.bpe.tokens().len()
    }

    /// The id of a special token.
    pub fn special(&self, special: Special) -> u32 {
        (self.num_mergeable() + special.index()) as u32
    }

    /// The id of the token that starts every document.
    pub fn bos(&self) -> u32 {
        self.special(Special::Bos)
    }

    /// The id of the special token with this name, such as `<|bos|>`.
    pub fn special_by_name(&self, name: &str) -> Option<u32> {
        Special::from_name(name).map(|special| self.special(special))
    }

    /// Which special token `id` is, if any.
    pub fn as_special(&self, id: u32) -> Option<Special> {
        let index = (id as usize).checked_sub(self.num_mergeable())?;
        Special::ALL.get(index).copied()
    }

    /// The bytes that `id` stands for; for a special token, its name. Error: an id outside the vocabulary.
    pub fn token(&self, id: u32) -> Result<&[u8]> {
        if (id as usize) < self.num_mergeable() {
            return Ok(self.bpe.tokens().get(id as usize));
        }
        let special = self.as_special(id);
        let unknown = TokenizerError::UnknownId { id, vocab_size: self.vocab_size() };
        special.map(|special| special.name().as_bytes()).ok_or(unknown)
    }

    /// How many bytes of text each id stands for, 0 for special tokens. Bits per byte is a loss divided by these.
    pub fn token_bytes(&self) -> Vec<u32> {
        self.lengths(<[u8]>::len)
    }

    /// [`token_bytes`](Self::token_bytes) as nanochat first computed it: the length after decoding the token alone, so
    /// that each part of a token that is not valid UTF-8 counts as the three bytes of U+FFFD. Only for comparing with
    /// numbers of that time.
    pub fn token_bytes_classic(&self) -> Vec<u32> {
        self.lengths(|token| String::from_utf8_lossy(token).len())
    }

    fn lengths(&self, length: impl Fn(&[u8]) -> usize) -> Vec<u32> {
        let mergeable = self.bpe.tokens().iter().map(|token| length(token) as u32);
        mergeable.chain([0; Special::COUNT]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<Vec<u8>> {
        (0..=u8::MAX).map(|byte| vec![byte]).collect()
    }

    #[test]
    fn specials_follow_the_last_token() {
        let mut ranks = bytes();
        ranks.push("é!".into());
        let tokenizer = Tokenizer::from_ranks(ranks).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.bos()), (266, 257));
        assert_eq!(tokenizer.special(Special::OutputEnd), 265);
        assert_eq!(tokenizer.special_by_name("<|assistant_end|>"), Some(261));
        assert_eq!(tokenizer.special_by_name("assistant_end"), None);
        assert_eq!((tokenizer.as_special(256), tokenizer.as_special(266)), (None, None));
        assert_eq!(tokenizer.as_special(257), Some(Special::Bos));
        assert_eq!(tokenizer.token(258).unwrap(), b"<|user_start|>");
        assert!(matches!(tokenizer.token(266), Err(TokenizerError::UnknownId { id: 266, vocab_size: 266 })));
    }

    #[test]
    fn lengths_are_raw_bytes_and_classic_ones_those_of_replacements() {
        let mut ranks = bytes();
        ranks.push(vec![b'a', 0xe4, 0xbd]); // the beginning of a character of three bytes
        let tokenizer = Tokenizer::from_ranks(ranks).unwrap();
        let (raw, classic) = (tokenizer.token_bytes(), tokenizer.token_bytes_classic());
        assert_eq!((raw.len(), classic.len()), (266, 266));
        assert_eq!((raw[97], raw[0x80], raw[256], raw[257]), (1, 1, 3, 0));
        assert_eq!((classic[97], classic[0x80], classic[256], classic[257]), (1, 3, 4, 0));
    }

    #[test]
    fn a_vocabulary_below_the_bytes_is_refused_with_the_minimum() {
        let error = Tokenizer::from_ranks(vec![b"a".to_vec()]).unwrap_err();
        assert!(error.to_string().contains("at least 265"), "{error}");
    }

    #[test]
    fn it_can_be_shared_between_threads() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        shared::<Tokenizer>();
    }
}
