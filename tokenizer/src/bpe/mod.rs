//! From one piece of text to token ids: byte pair encoding (Gage 1994; for words: Sennrich et al. 2016).
//!
//! Start from single bytes; as long as two neighbours merge into a token, merge the two whose result has the lowest id,
//! the leftmost such pair on ties. Low ids were learned first, so this replays training. A piece that is itself a token
//! takes its id at once: in tiktoken this is a rule of its own, and so it is here.
//!
//! Most pieces are short, and for them scanning all neighbours for the best pair is fastest (`merge_by_scan`). That is
//! quadratic, so longer pieces use a heap (`heap.rs`).

mod heap;
mod pairs;

use crate::error::{Result, TokenizerError};
use crate::intern::Interner;
use pairs::{NONE, Pairs};

/// Pieces of up to so many bytes are merged by scanning.
const SCAN_LIMIT: usize = 100;

/// A vocabulary of byte strings, and what encoding needs to know about it.
#[derive(Clone, Debug)]
pub(crate) struct Bpe {
    /// The index of a string is its token id.
    tokens: Interner,
    pairs: Pairs,
    /// The token of each single byte.
    bytes: [u32; 256],
    longest: usize,
}

impl Bpe {
    /// `ranks[id]` is the byte string of token `id`. Errors: an empty string, one that occurs twice, a single byte that
    /// is missing (then some text could not be encoded).
    pub(crate) fn new<T: AsRef<[u8]>>(ranks: &[T]) -> Result<Bpe> {
        let mut tokens = Interner::new();
        for (id, token) in ranks.iter().map(AsRef::as_ref).enumerate() {
            if token.is_empty() {
                return Err(TokenizerError::EmptyToken { id });
            }
            let first = tokens.insert(token) as usize;
            if first != id {
                return Err(TokenizerError::DuplicateToken { id, first });
            }
        }
        let mut bytes = [0; 256];
        for byte in 0..=u8::MAX {
            bytes[usize::from(byte)] = tokens.find(&[byte]).ok_or(TokenizerError::MissingByte { byte })?;
        }
        let longest = tokens.iter().map(<[u8]>::len).max().unwrap_or(0);
        Ok(Bpe { pairs: Pairs::of(&tokens), tokens, bytes, longest })
    }

    /// The byte strings by id.
    pub(crate) fn tokens(&self) -> &Interner {
        &self.tokens
    }

    /// Appends the tokens of one piece to `ids`.
    #[inline]
    pub(crate) fn encode_piece(&self, piece: &[u8], ids: &mut Vec<u32>) {
        if let [byte] = *piece {
            ids.push(self.bytes[usize::from(byte)]);
            return;
        }
        if piece.len() <= self.longest
            && let Some(id) = self.tokens.find(piece)
        {
            ids.push(id);
            return;
        }
        if piece.len() <= SCAN_LIMIT {
            self.merge_by_scan(piece, ids);
        } else {
            heap::merge(self, piece, ids);
        }
    }

    /// Merges in place, in the tail of `ids`. `merged[i]` is what tokens `i` and `i + 1` would become.
    fn merge_by_scan(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let start = ids.len();
        ids.extend(piece.iter().map(|&byte| self.bytes[usize::from(byte)]));
        let tokens = &mut ids[start..];
        let mut merged = [NONE; SCAN_LIMIT];
        for i in 1..tokens.len() {
            merged[i - 1] = self.pairs.merged(tokens[i - 1], tokens[i]);
        }
        let mut len = tokens.len();
        while let Some((i, id)) = leftmost_lowest(&merged[..len.saturating_sub(1)]) {
            tokens[i] = id;
            tokens.copy_within(i + 2..len, i + 1);
            merged.copy_within(i + 1..len, i);
            len -= 1;
            merged[len - 1] = NONE;
            if i > 0 {
                merged[i - 1] = self.pairs.merged(tokens[i - 1], id);
            }
            if i + 1 < len {
                merged[i] = self.pairs.merged(id, tokens[i + 1]);
            }
        }
        ids.truncate(start + len);
    }
}

/// The smallest entry and where it first occurs; `None` if all are [`NONE`].
#[inline]
fn leftmost_lowest(merged: &[u32]) -> Option<(usize, u32)> {
    let mut best = (0, NONE);
    for (i, &id) in merged.iter().enumerate() {
        if id < best.1 {
            best = (i, id);
        }
    }
    (best.1 != NONE).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bpe(learned: &[&str]) -> Bpe {
        let mut ranks: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        ranks.extend(learned.iter().map(|token| token.as_bytes().to_vec()));
        Bpe::new(&ranks).unwrap()
    }

    fn encode(bpe: &Bpe, piece: &str) -> Vec<u32> {
        let mut ids = vec![7]; // what is there already must stay
        bpe.encode_piece(piece.as_bytes(), &mut ids);
        assert_eq!(ids.remove(0), 7);
        ids
    }

    #[test]
    fn the_lowest_id_merges_first_and_the_leftmost_on_ties() {
        let bpe = bpe(&["bc", "ab", "aa"]);
        assert_eq!(encode(&bpe, "abc"), [97, 256]);
        assert_eq!(encode(&bpe, "aaa"), [258, 97]);
        assert_eq!(encode(&bpe, "aab"), [97, 257]);
    }

    #[test]
    fn a_piece_in_the_vocabulary_is_one_token_even_if_no_merge_leads_there() {
        let bpe = bpe(&["xyz"]);
        assert_eq!(encode(&bpe, "xyz"), [256]);
        assert_eq!(encode(&bpe, "xyzx"), [120, 121, 122, 120]);
    }

    #[test]
    fn scan_and_heap_agree() {
        let bpe = bpe(&["ab", "aa", "ba", "abab", "aab", "bb", "aaa", "abb", "bbab"]);
        let mut bits = 1_u64;
        for _ in 0..3000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let len = 2 + (bits >> 58) as usize % (SCAN_LIMIT - 1);
            let piece: Vec<u8> =
                (0..len).map(|i| b'a' + (bits.rotate_left(i as u32 * 5) >> 9 & 1) as u8).collect();
            let (mut by_scan, mut by_heap) = (Vec::new(), Vec::new());
            bpe.merge_by_scan(&piece, &mut by_scan);
            heap::merge(&bpe, &piece, &mut by_heap);
            assert_eq!(by_scan, by_heap);
        }
    }

    #[test]
    fn a_vocabulary_that_cannot_encode_everything_is_refused() {
        let mut ranks: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        ranks.push(b"a".to_vec());
        assert!(matches!(Bpe::new(&ranks), Err(TokenizerError::DuplicateToken { id: 256, first: 97 })));
        ranks[256].clear();
        assert!(matches!(Bpe::new(&ranks), Err(TokenizerError::EmptyToken { id: 256 })));
        ranks[256] = b"ab".to_vec();
        ranks.remove(5);
        assert!(matches!(Bpe::new(&ranks), Err(TokenizerError::MissingByte { byte: 5 })));
    }
}
