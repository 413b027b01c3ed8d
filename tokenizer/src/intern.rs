//! Byte strings to small numbers: each distinct string gets the next index, and is stored once.
//!
//! Training counts pieces by it, encoding looks pieces up in the vocabulary by it (there the index is the token id).
//! One arena holds all bytes, one open-addressing table holds 8 bytes per slot: part of the hash, so that a miss rarely
//! reads the arena, and the index. That is several times smaller, and faster to fill, than a map of boxed strings.

const EMPTY: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    index: u32,
}

/// The set of strings seen so far, numbered from 0 in order of first appearance.
#[derive(Clone, Debug)]
pub(crate) struct Interner {
    arena: Vec<u8>,
    /// String `i` is `arena[bounds[i]..bounds[i + 1]]`.
    bounds: Vec<usize>,
    /// Length a power of two, at most half full.
    slots: Vec<Slot>,
}

impl Interner {
    pub(crate) fn new() -> Self {
        Self::with_slots(1 << 10)
    }

    fn with_slots(n: usize) -> Self {
        Interner { arena: Vec::new(), bounds: vec![0], slots: vec![Slot { hash: 0, index: EMPTY }; n] }
    }

    /// Number of distinct strings.
    pub(crate) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// String number `index`; panics when there is none.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        &self.arena[self.bounds[index]..self.bounds[index + 1]]
    }

    /// All strings in order of their indices.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bounds.windows(2).map(|ends| &self.arena[ends[0]..ends[1]])
    }

    /// The index of `bytes`, if they were inserted.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u32> {
        let slot = self.slots[self.probe(bytes, hash(bytes))];
        (slot.index != EMPTY).then_some(slot.index)
    }

    /// The index of `bytes`, which are added if they are new. Indices are 32 bits wide: four billion distinct strings
    /// would not fit in any memory.
    #[inline]
    pub(crate) fn insert(&mut self, bytes: &[u8]) -> u32 {
        let hash = hash(bytes);
        let at = self.probe(bytes, hash);
        if self.slots[at].index != EMPTY {
            return self.slots[at].index;
        }
        let index = self.len() as u32;
        self.slots[at] = Slot { hash, index };
        self.arena.extend_from_slice(bytes);
        self.bounds.push(self.arena.len());
        if self.len() * 2 > self.slots.len() {
            self.grow();
        }
        index
    }

    /// The slot that holds `bytes`, or the empty one where they belong.
    #[inline]
    fn probe(&self, bytes: &[u8], hash: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.index == EMPTY || slot.hash == hash && self.get(slot.index as usize) == bytes {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let bigger = vec![Slot { hash: 0, index: EMPTY }; self.slots.len() * 2];
        let mask = bigger.len() - 1;
        for slot in std::mem::replace(&mut self.slots, bigger) {
            if slot.index != EMPTY {
                let mut at = slot.hash as usize & mask;
                while self.slots[at].index != EMPTY {
                    at = (at + 1) & mask;
                }
                self.slots[at] = slot;
            }
        }
    }
}

/// A fast hash for short strings: their first and last words, the rest in steps of 8 bytes, mixed by wide
/// multiplications. It is not keyed, so whoever writes the training corpus could make it slow, not wrong.
#[inline]
fn hash(bytes: &[u8]) -> u32 {
    let mut state = (bytes.len() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (head, tail) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(head), Some(tail)) => {
            if bytes.len() > 16 {
                for word in bytes[8..].as_chunks().0 {
                    state = mix(state ^ u64::from_le_bytes(*word), 0xd6e8_feb8_6659_fd93);
                }
            }
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        }
        _ => short_words(bytes),
    };
    let full = mix(head ^ state, tail ^ 0xa076_1d64_78bd_642f);
    (full ^ full >> 32) as u32
}

/// At most 7 bytes as two words, which overlap in the middle.
#[inline]
fn short_words(bytes: &[u8]) -> (u64, u64) {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(head), Some(tail)) => (u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into()),
        _ => match *bytes {
            [a, b, c] => (u64::from(a) | u64::from(b) << 8, c.into()),
            [a, b] => (a.into(), b.into()),
            [a] => (a.into(), 0),
            _ => (0, 0),
        },
    }
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Strings of every length up to 40 over two letters, many of them equal.
    fn strings() -> impl Iterator<Item = Vec<u8>> {
        (0..60_000_u64).map(|i| {
            let bits = mix(i % 45_000 + 1, 0x9e37_79b9_7f4a_7c15);
            (0..i % 41).map(|k| b'a' + (bits >> (k % 19) & 1) as u8).collect()
        })
    }

    #[test]
    fn it_numbers_strings_like_a_map_does() {
        let mut ours = Interner::new();
        let mut map: HashMap<Vec<u8>, u32> = HashMap::new();
        for bytes in strings() {
            assert_eq!(ours.find(&bytes), map.get(&bytes).copied());
            let next = map.len() as u32;
            assert_eq!(ours.insert(&bytes), *map.entry(bytes).or_insert(next));
        }
        assert_eq!(ours.len(), map.len());
        assert!(ours.iter().enumerate().all(|(i, bytes)| map[bytes] == i as u32 && ours.get(i) == bytes));
    }

    #[test]
    fn hashes_spread() {
        let mut strings: Vec<Vec<u8>> = strings().collect();
        strings.sort();
        strings.dedup();
        let mut hashes: Vec<u32> = strings.iter().map(|bytes| hash(bytes)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert!(hashes.len() + 5 >= strings.len(), "{} of {}", hashes.len(), strings.len());
    }

    #[test]
    fn every_byte_of_a_long_string_counts() {
        for len in [9, 16, 17, 23, 24, 25, 64, 65] {
            let zeros = vec![0; len];
            for i in 0..len {
                let mut one = zeros.clone();
                one[i] = 1;
                assert_ne!(hash(&one), hash(&zeros), "byte {i} of {len}");
            }
        }
    }
}
