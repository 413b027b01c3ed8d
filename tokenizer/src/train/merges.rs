//! The second half of training: byte pair encoding over counted pieces.
//!
//! Again and again: find the pair of neighbouring ids that occurs most often in the corpus, give it the next id, and
//! replace it everywhere. Counting anew each time would read everything tens of thousands of times. Instead
//!
//! - each pair knows its count and the words (distinct pieces) that may contain it, so a merge visits those alone;
//! - replacing (a, b) by n between p and q changes the counts of (p, a), (b, q), (p, n), (n, q) and of nothing else;
//! - a heap keeps the pairs by count. Pairs without the newest id only lose occurrences, so an entry of the heap may be
//!   too large but never too small: the first one that is still true is the best pair of all.
//!
//! Since every pair with id n appears in the merge that makes n, the list of words of a pair is complete when that
//! merge ends, and never grows.

use std::cmp::Reverse;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// One step of training: `left` and `right` became `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Id of the first token.
    pub left: u32,
    /// Id of the second token.
    pub right: u32,
    /// The new id: 256 + the number of merges before.
    pub id: u32,
    /// How often the pair stood in the corpus. In `aaa` the pair (a, a) stands twice, though only one is replaced.
    pub count: i64,
}

/// Learns up to `wanted` merges from pieces and their counts; fewer if no pair is left. The most frequent pair first,
/// the smallest (left, right) on ties; the order of `counts` does not matter. `done` hears the number of merges so far.
pub(super) fn learn<'a>(
    counts: impl Iterator<Item = (&'a [u8], i64)>,
    wanted: usize,
    mut done: impl FnMut(usize),
) -> Vec<Merge> {
    let mut corpus = Corpus::new(counts);
    let mut merges = Vec::new();
    while merges.len() < wanted
        && let Some((count, Reverse(pair))) = corpus.most_frequent()
    {
        let id = 256 + merges.len() as u32;
        corpus.replace(pair, id);
        merges.push(Merge { left: pair.0, right: pair.1, id, count });
        done(merges.len());
    }
    merges
}

type Pair = (u32, u32);
/// Ordered so that the largest is the next to merge.
type Candidate = (i64, Reverse<Pair>);
type PairMap = HashMap<Pair, Occurrences, BuildHasherDefault<PairHasher>>;

/// A distinct piece as it is tokenised so far: `len` ids from `start` on.
struct Word {
    start: usize,
    len: usize,
    count: i64,
}

#[derive(Default)]
struct Occurrences {
    count: i64,
    /// Every word that contains the pair, and perhaps some that no longer do.
    words: Vec<u32>,
}

struct Corpus {
    words: Vec<Word>,
    ids: Vec<u32>,
    pairs: PairMap,
    heap: BinaryHeap<Candidate>,
}

impl Corpus {
    fn new<'a>(counts: impl Iterator<Item = (&'a [u8], i64)>) -> Corpus {
        let (mut words, mut ids, mut pairs) = (Vec::new(), Vec::new(), PairMap::default());
        for (piece, count) in counts.filter(|(piece, _)| piece.len() > 1) {
            let word = words.len() as u32;
            for neighbours in piece.windows(2) {
                let pair = (neighbours[0].into(), neighbours[1].into());
                pairs.entry(pair).or_insert_with(Occurrences::default).add(word, count);
            }
            words.push(Word { start: ids.len(), len: piece.len(), count });
            ids.extend(piece.iter().map(|&byte| u32::from(byte)));
        }
        let heap = pairs.iter().map(|(&pair, found)| (found.count, Reverse(pair))).collect();
        Corpus { words, ids, pairs, heap }
    }

    /// Takes the best pair from the heap, correcting what is out of date on the way.
    fn most_frequent(&mut self) -> Option<Candidate> {
        while let Some(mut top) = self.heap.peek_mut() {
            match self.pairs.get(&top.1.0) {
                Some(found) if found.count == top.0 => return Some(PeekMut::pop(top)),
                Some(found) => top.0 = found.count,
                None => _ = PeekMut::pop(top),
            }
        }
        None
    }

    /// Replaces `pair` by `id` in all words and brings counts and heap up to date.
    fn replace(&mut self, pair: Pair, id: u32) {
        let Some(found) = self.pairs.remove(&pair) else { return };
        let mut created = PairMap::default();
        for index in found.words {
            let Word { start, len, count } = self.words[index as usize];
            let ids = &mut self.ids[start..start + len];
            self.words[index as usize].len = replace_in_word(ids, pair, id, |changed, sign| {
                if changed.0 == id || changed.1 == id {
                    // A pair may come and go within one word, as (n, a) in `aaaa` when the second (a, a) is replaced.
                    created.entry(changed).or_default().add(index, sign * count);
                } else if let Entry::Occupied(mut entry) = self.pairs.entry(changed) {
                    entry.get_mut().count += sign * count;
                    if entry.get().count == 0 {
                        entry.remove();
                    }
                }
            });
        }
        created.retain(|_, found| found.count > 0);
        self.heap.extend(created.iter().map(|(&pair, found)| (found.count, Reverse(pair))));
        self.pairs.extend(created);
    }
}

impl Occurrences {
    /// Called for one word after the other, so looking at the last one is enough to list each once.
    fn add(&mut self, word: u32, count: i64) {
        self.count += count;
        if self.words.last() != Some(&word) {
            self.words.push(word);
        }
    }
}

/// Replaces non-overlapping occurrences of `pair` from left to right. Returns the new length; `change` hears every
/// neighbouring pair that came (+1) or went (-1), except the occurrences of `pair` that were replaced.
fn replace_in_word(ids: &mut [u32], pair: Pair, id: u32, mut change: impl FnMut(Pair, i64)) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < ids.len() {
        if from + 1 == ids.len() || (ids[from], ids[from + 1]) != pair {
            ids[to] = ids[from];
            from += 1;
            to += 1;
            continue;
        }
        if to > 0 {
            let previous = ids[to - 1]; // as already rewritten
            change((previous, pair.0), -1);
            change((previous, id), 1);
        }
        if let Some(&next) = ids.get(from + 2) {
            change((pair.1, next), -1);
            change((id, next), 1);
        }
        ids[to] = id;
        from += 2;
        to += 1;
    }
    to
}

/// Packs the two ids of a pair into one word; one wide multiplication, folded, spreads them over all bits.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write_u32(&mut self, id: u32) {
        self.0 = self.0.rotate_left(32) ^ u64::from(id);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn finish(&self) -> u64 {
        let product = u128::from(self.0) * 0x9e37_79b9_7f4a_7c15;
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(words: &[(&str, i64)], wanted: usize) -> Vec<(u32, u32, i64)> {
        let merges = learn(words.iter().map(|&(word, count)| (word.as_bytes(), count)), wanted, |_| {});
        merges.iter().map(|merge| (merge.left, merge.right, merge.count)).collect()
    }

    #[test]
    fn ties_go_to_the_smallest_pair() {
        assert_eq!(pairs(&[("zy", 2), ("ab", 2)], 2), [(97, 98, 2), (122, 121, 2)]);
        assert_eq!(pairs(&[("ab", 1), ("aa", 1)], 2), [(97, 97, 1), (97, 98, 1)]);
    }

    #[test]
    fn overlapping_occurrences_count_but_are_not_replaced_twice() {
        // aaaaa: (a,a) four times, then 256 256 a
        assert_eq!(pairs(&[("aaaaa", 3)], 9), [(97, 97, 12), (256, 97, 3), (256, 257, 3)]);
    }

    #[test]
    fn merging_ends_when_every_word_is_one_token() {
        assert_eq!(pairs(&[("ab", 1), ("c", 5)], 300), [(97, 98, 1)]);
        assert_eq!(pairs(&[], 300), []);
    }

    #[test]
    fn the_example_of_the_specification() {
        let (learned, mut heard) = ([("banana", 2), (" bandana", 2), (" banana", 2)], Vec::new());
        let merges = learn(learned.iter().map(|&(word, n)| (word.as_bytes(), n)), 3, |n| heard.push(n));
        assert_eq!(merges[0], Merge { left: 97, right: 110, id: 256, count: 12 });
        assert_eq!(heard, [1, 2, 3]);
    }
}
