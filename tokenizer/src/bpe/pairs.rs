//! Pairs of neighbouring tokens to the token they merge into.
//!
//! nanochat encodes with tiktoken, which merges two neighbours if their bytes, put together, are in the vocabulary.
//! What matters are thus the bytes, not which pair was merged in training. To avoid hashing bytes at every step, all
//! ways to cut each token into two tokens are written down once, in a table keyed by the two ids.

use crate::intern::Interner;

/// Stands for "these two do not merge".
pub(super) const NONE: u32 = u32::MAX;

/// An open-addressing table at most half full. A free slot has [`NONE`] as its value.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    slots: Vec<(u64, u32)>,
    shift: u32,
}

impl Pairs {
    /// All pairs of tokens whose concatenation is a token. `tokens`: by id.
    pub(super) fn of(tokens: &Interner) -> Pairs {
        let longest = tokens.iter().map(<[u8]>::len).max().unwrap_or(0);
        let mut length_exists = vec![false; longest + 1];
        for token in tokens.iter() {
            length_exists[token.len()] = true;
        }
        let mut found = Vec::new();
        for (id, token) in tokens.iter().enumerate() {
            for cut in 1..token.len() {
                // A few huge tokens must not cost the square of their length.
                if length_exists[cut]
                    && length_exists[token.len() - cut]
                    && let Some(left) = tokens.find(&token[..cut])
                    && let Some(right) = tokens.find(&token[cut..])
                {
                    found.push((key(left, right), id as u32));
                }
            }
        }
        Pairs::from_entries(&found)
    }

    fn from_entries(entries: &[(u64, u32)]) -> Pairs {
        let bits = (entries.len() * 2).max(2).next_power_of_two().trailing_zeros();
        let mut pairs = Pairs { slots: vec![(0, NONE); 1 << bits], shift: 64 - bits };
        for &(key, id) in entries {
            let at = pairs.probe(key);
            pairs.slots[at] = (key, id);
        }
        pairs
    }

    /// The token that `left` and `right` merge into, or [`NONE`].
    #[inline]
    pub(super) fn merged(&self, left: u32, right: u32) -> u32 {
        self.slots[self.probe(key(left, right))].1
    }

    #[inline]
    fn probe(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        // Fibonacci hashing: the high bits of a product by 2^64 / golden ratio.
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        while self.slots[at].1 != NONE && self.slots[at].0 != key {
            at = (at + 1) & mask;
        }
        at
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_into_two_tokens_is_known() {
        let mut tokens = Interner::new();
        for token in ["a", "b", "c", "ab", "bc", "abc"] {
            tokens.insert(token.as_bytes());
        }
        let pairs = Pairs::of(&tokens);
        assert_eq!(pairs.merged(0, 1), 3);
        assert_eq!(pairs.merged(1, 2), 4);
        assert_eq!(pairs.merged(0, 4), 5); // a + bc
        assert_eq!(pairs.merged(3, 2), 5); // ab + c
        assert_eq!(pairs.merged(2, 0), NONE);
        assert_eq!(pairs.merged(5, 5), NONE);
    }
}
