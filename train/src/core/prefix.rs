//! Sequences that begin alike: the beginning is read once, into the cache, and each continues from there.
//!
//! An item of four choices after ten examples is the same long text four times over, except for its last words. Reading the
//! text once and the words four times is almost four times less work. Items whose beginnings have the same length go
//! together: n of them make n rows, and k choices of each then k·n rows.

use super::score::{Scorer, Sequence, SpanScore};
use crate::error::Result;
use kernels::planted;
use model::cache::PAGE_LEN;
use std::ops::Range;
use tensor::Tensor;

/// An item whose sequences begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// Its sequences.
    pub all: Range<usize>,
    /// Ids of the beginning.
    pub len: usize,
}

/// Length of the beginning that these sequences have in common and of which no token counts, if reading it once pays.
pub(super) fn of(sequences: &[Sequence]) -> Option<usize> {
    let (first, others) = sequences.split_first()?;
    let same = |i: &usize| others.iter().all(|s| s.ids.get(*i) == first.ids.get(*i));
    let alike = (0..first.ids.len()).take_while(same).count();
    // What comes before the first counted token must be read in the second pass: its state predicts that token.
    let counted = sequences.iter().map(|s| s.start.max(1).min(s.read().max(1)) - 1).min()?;
    let len = alike.min(counted);
    let rest = sequences.iter().map(|s| s.read().saturating_sub(len)).max()?;
    (!others.is_empty() && rest > 0 && len >= PAYS.max(rest / 2)).then_some(len)
}

/// A shorter beginning is sooner read again than the pages of the cache are copied.
const PAYS: usize = PAGE_LEN / 4;

/// Items with beginnings of the same length, as many as fit a pass.
pub(super) fn batches(
    mut items: Vec<Shared>,
    sequences: &[Sequence],
    batch_tokens: usize,
) -> Vec<Vec<Shared>> {
    items.sort_by_key(|item| item.len);
    let rest = |item: &Shared| sequences[item.all.clone()].iter().map(|s| s.read() - item.len).max();
    let mut out: Vec<Vec<Shared>> = Vec::new();
    let (mut rows, mut width) = (0, 0);
    for item in items {
        let (more, wider) = (item.all.len(), rest(&item).unwrap_or(0).max(width));
        match out.last_mut() {
            // The cache holds whole pages of every row.
            Some(batch)
                if batch[0].len == item.len
                    && (rows + more) * (item.len + wider).next_multiple_of(PAGE_LEN) <= 2 * batch_tokens =>
            {
                (rows, width) = (rows + more, wider);
                batch.push(item);
            }
            _ => {
                (rows, width) = (more, rest(&item).unwrap_or(0));
                out.push(vec![item]);
            }
        }
    }
    out
}

impl Scorer<'_> {
    /// The scores of `sequences`, all those of these items, whose beginnings have one length.
    pub(super) fn after_prefixes(&self, items: &[Shared], sequences: &[&Sequence]) -> Result<Vec<SpanScore>> {
        let (gpt, device) = (self.gpt, self.gpt.options().device);
        let len = items.first().map_or(0, |item| item.len);
        let width = sequences.iter().map(|s| s.read() - len).max().unwrap_or(0);
        let (mut begin, mut copies, mut next) = (Vec::new(), Vec::new(), 0);
        for (row, item) in items.iter().enumerate() {
            begin.extend(sequences[next].ids[..len].iter().map(|&id| id as i32));
            copies.extend(vec![planted!("prefix.every_item_has_the_first_one", row => 0); item.all.len()]);
            next += item.all.len();
        }
        let mut cache = gpt.cache(items.len(), len)?;
        gpt.hidden_cached(&Tensor::ids(&begin, &[items.len(), len], device)?, &mut cache)?;
        let mut cache = cache.select(gpt.config(), &copies, len + width)?;
        let mut ids = vec![self.bos as i32; sequences.len() * width];
        for (row, s) in ids.chunks_mut(width).zip(sequences) {
            for (id, &read) in row.iter_mut().zip(&s.ids[len..s.read()]) {
                *id = read as i32;
            }
        }
        let hidden = gpt.hidden_cached(&Tensor::ids(&ids, &[sequences.len(), width], device)?, &mut cache)?;
        self.spans(hidden.value(), len, sequences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Gpt, GptConfig, GptOptions, init};
    use tensor::Device;

    fn sequence(ids: &[u32], start: usize) -> Sequence {
        Sequence { ids: ids.to_vec(), start, end: ids.len() }
    }

    #[test]
    fn the_beginning_ends_before_the_state_that_predicts_the_first_counted_token() {
        // Twenty ids in front of each.
        let behind = |ids: &[u32], start: usize| sequence(&[&[7; 20], ids].concat(), 20 + start);
        let two = |a: &[u32], b: &[u32], start| of(&[behind(a, start), behind(b, start)]);
        assert_eq!(two(&[1, 2, 3, 4], &[1, 2, 3, 5], 3), Some(22));
        assert_eq!(two(&[1, 2, 3, 4], &[1, 2, 3, 5], 2), Some(21));
        assert_eq!(two(&[1, 2, 7, 4], &[1, 8, 7, 4], 2), Some(21), "they differ before the span");
        assert_eq!(two(&[1, 2], &[1, 2, 3], 2), Some(20), "an empty span");
        assert_eq!(of(&[behind(&[1, 2, 3], 2)]), None, "one sequence shares with nobody");
        assert_eq!(of(&[sequence(&[9, 1, 2], 2), sequence(&[9, 1, 3], 2)]), None, "too short to pay");
        let (one, other) = (vec![7; 90], [vec![7; 30], vec![8; 60]].concat());
        assert_eq!(of(&[sequence(&one, 80), sequence(&other, 80)]), Some(30));
        assert_eq!(of(&[sequence(&one, 20), sequence(&other, 20)]), None, "the rest is too long");
    }

    #[test]
    fn items_of_one_length_go_together_up_to_the_size_of_a_pass() {
        let ids: Vec<u32> = (0..10).collect();
        let sequences = vec![sequence(&ids, 8); 8];
        let item = |i: usize, len| Shared { all: 2 * i..2 * i + 2, len };
        let of = |tokens| {
            let all = vec![item(0, 5), item(1, 7), item(2, 5), item(3, 5)];
            batches(all, &sequences, tokens).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!((of(1000), of(128), of(1)), (vec![3, 1], vec![2, 1, 1], vec![1, 1, 1, 1]));
    }

    #[test]
    fn scores_are_those_of_each_sequence_read_by_itself_in_both_families() {
        for config in [
            GptConfig {
                sequence_len: 80,
                vocab_size: 50,
                n_layer: 2,
                n_head: 2,
                n_kv_head: 1,
                n_embd: 32,
                ..GptConfig::default()
            },
            GptConfig { window_pattern: "SL".into(), ..GptConfig::current_from_depth(2, 50, 80).unwrap() },
        ] {
            let mut gpt = Gpt::new(config, 1, GptOptions::default()).unwrap();
            for (i, p) in gpt.params_mut().iter_mut().enumerate() {
                let dims = p.value().dims().to_vec();
                p.set(init::normal(3, 100 + i as u64, 0.1, &dims, Device::Cpu).unwrap());
            }
            let mut rng = kernels::philox::Philox::new(5, 0);
            let mut ids = |n: usize| -> Vec<u32> { (0..n).map(|_| rng.below(50)).collect() };
            let mut items = Vec::new();
            for (begin, lengths, start) in [
                (30, vec![3, 1, 7, 2], 30),
                (66, vec![4, 4], 68),
                (30, vec![5, 5, 1], 30),
                (9, vec![2], 9),
                (1, vec![9, 9], 1),
                (12, vec![2, 2], 12),
                (70, vec![9, 4], 40),
            ] {
                let first = ids(begin);
                items.push(
                    lengths.into_iter().map(|n| sequence(&[first.clone(), ids(n)].concat(), start)).collect(),
                );
            }
            let items: Vec<Vec<Sequence>> = items;
            assert_eq!(items.iter().filter(|i| of(i).is_some()).count(), 4);
            let scored = |one_by_one, batch_tokens| {
                let scorer = Scorer { one_by_one, batch_tokens, ..Scorer::new(&gpt, 0) };
                let scores = scorer.score(&items, &mut |_| true).unwrap();
                scores.into_iter().map(Option::unwrap).collect::<Vec<_>>()
            };
            let alone = scored(true, 1);
            for tokens in [1, 100, 4096] {
                for (i, (a, b)) in alone.iter().zip(scored(false, tokens)).enumerate() {
                    assert!((a.mean_loss - b.mean_loss).abs() <= 1e-5 * a.mean_loss, "{i}: {a:?} {b:?}");
                    assert_eq!((&a.predicted, a.exact), (&b.predicted, b.exact), "{i}");
                }
            }
        }
    }
}
