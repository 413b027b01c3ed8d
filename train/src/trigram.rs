//! What counting alone achieves: an interpolated Kneser–Ney trigram over the model's tokens (Kneser and Ney 1995; Chen and
//! Goodman 1998), for a pretrained model to stand beside.
//!
//! A word is predicted from the two before it, and what the discount D takes from seen continuations is given to the
//! prediction from one word less:
//!
//! ```text
//! p(w|u,v) = max(c(uvw) − D₃, 0)/c(uv) + D₃·n(uv)/c(uv) · p(w|v)        c: how often, n: followed by how many different
//! p(w|v)   = max(l(vw)  − D₂, 0)/l(v)  + D₂·n(v)/l(v)   · p(w)          l(vw): preceded by how many different
//! p(w)     = max(l(w)   − D₁, 0)/l     + D₁·n/l         · 1/V
//! ```
//!
//! D = n₁/(n₁ + 2n₂) of each order, from the numbers of counts that are 1 and 2. Sums in f64. Read next: `bpb.rs`.

use crate::bpb::BitsPerByte;
use crate::data::rows::{Loader, Rows};
use crate::error::Result;
use std::collections::HashMap;

/// What is known of a context: Σ of its counts, and how many different words follow.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    sum: u64,
    different: u64,
}

/// Counts of one order.
#[derive(Debug, Default)]
struct Order {
    /// Of context and word.
    counts: HashMap<(u64, u32), u64>,
    contexts: HashMap<u64, Context>,
    discount: f64,
}

impl Order {
    fn of(counts: HashMap<(u64, u32), u64>) -> Order {
        let mut contexts: HashMap<u64, Context> = HashMap::new();
        let (mut ones, mut twos) = (0u64, 0u64);
        for (&(context, _), &n) in &counts {
            let known = contexts.entry(context).or_default();
            known.sum += n;
            known.different += 1;
            ones += u64::from(n == 1);
            twos += u64::from(n == 2);
        }
        // Without a count of 1 nothing was learnt of the unseen; something must be left for it all the same.
        let discount = if ones == 0 { 0.5 } else { ones as f64 / (ones + 2 * twos) as f64 };
        Order { counts, contexts, discount: discount.min(0.95) }
    }
    /// The probability of `word`, given that of the next shorter context.
    fn probability(&self, context: u64, word: u32, shorter: f64) -> f64 {
        let Some(known) = self.contexts.get(&context) else { return shorter };
        let n = self.counts.get(&(context, word)).map_or(0.0, |&n| n as f64);
        let left = self.discount * known.different as f64;
        ((n - self.discount).max(0.0) + left * shorter) / known.sum as f64
    }
}

/// The three orders.
#[derive(Debug)]
pub struct Trigram {
    orders: [Order; 3],
    vocab: usize,
}

fn pair(u: u32, v: u32) -> u64 {
    (u64::from(u) << 32) | u64::from(v)
}

impl Trigram {
    /// Learns from rows of tokens; a context does not reach beyond the beginning of its row.
    pub fn learn<'a>(rows: impl Iterator<Item = &'a [u32]>, vocab: usize) -> Trigram {
        let (mut three, mut two) = (HashMap::new(), HashMap::new());
        for row in rows {
            for w in row.windows(3) {
                *three.entry((pair(w[0], w[1]), w[2])).or_insert(0) += 1;
            }
            // The beginning of a row has no word before it; it is a predecessor like any other.
            if let [u, v, ..] = *row {
                two.entry((u64::from(u), v)).or_insert(1u64);
            }
        }
        for &(context, word) in three.keys() {
            *two.entry((context & 0xffff_ffff, word)).or_insert(0) += 1;
        }
        let mut one = HashMap::new();
        for &(_, word) in two.keys() {
            *one.entry((0, word)).or_insert(0) += 1;
        }
        Trigram { orders: [Order::of(one), Order::of(two), Order::of(three)], vocab }
    }
    /// The probability of `word` after the last words of `before`.
    pub fn probability(&self, before: &[u32], word: u32) -> f64 {
        let [one, two, three] = &self.orders;
        let p = one.probability(0, word, 1.0 / self.vocab as f64);
        match *before {
            [] => p,
            [v] => two.probability(v.into(), word, p),
            [.., u, v] => three.probability(pair(u, v), word, two.probability(v.into(), word, p)),
        }
    }
    /// Bits per byte of rows, as [`BitsPerByte::add`] counts them of a model; like that one it sees a row from its beginning.
    pub fn score(&self, rows: &Rows, token_bytes: &[u32], sums: &mut BitsPerByte) {
        let t = rows.t.max(1);
        for (row, targets) in rows.ids.chunks(t).zip(rows.targets.chunks(t)) {
            let row: Vec<u32> = row.iter().map(|&id| id as u32).collect();
            for (i, &target) in targets.iter().enumerate() {
                let Some(&bytes) = usize::try_from(target).ok().and_then(|t| token_bytes.get(t)) else {
                    continue;
                };
                let loss = -self.probability(&row[..=i], target as u32).ln();
                sums.targets += 1;
                sums.all_nats += loss;
                if bytes > 0 {
                    sums.nats += loss;
                    sums.bytes += u64::from(bytes);
                }
            }
        }
    }
}

/// Learns from the first `tokens` tokens of a loader, and at most one pass. Returns how many there were, too.
pub fn learn_from(loader: &mut dyn Loader, t: usize, tokens: u64, vocab: usize) -> Result<(Trigram, u64)> {
    loader.restart()?;
    let mut rows: Vec<Vec<u32>> = Vec::new();
    let mut read = 0;
    while read < tokens && loader.epochs_done() == 0 {
        let batch = loader.rows(1, t)?;
        // A row and the target behind it are one text.
        let last = batch.targets.last().filter(|&&id| id >= 0).copied();
        rows.push(batch.ids.iter().copied().chain(last).map(|id| id as u32).collect());
        read += t as u64;
    }
    Ok((Trigram::learn(rows.iter().map(Vec::as_slice), vocab), read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::philox::Philox;

    #[test]
    fn probabilities_add_up_to_one_after_any_words() {
        let mut rng = Philox::new(3, 1);
        let text: Vec<u32> = (0..400).map(|_| rng.below(12).min(rng.below(12))).collect();
        let trigram = Trigram::learn(text.chunks(50), 20);
        for before in [&[][..], &[3], &[19], &[1, 2], &[0, 0], &[19, 0], &[5, 19], &[7, 1, 2]] {
            let sum: f64 = (0..20).map(|w| trigram.probability(before, w)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{before:?}: {sum}");
            assert!((0..20).all(|w| trigram.probability(before, w) > 0.0));
        }
    }

    #[test]
    fn a_small_text_gives_the_numbers_that_were_worked_out_by_hand() {
        // a b a b a c: trigrams aba 2, bab 1, bac 1. Two: ab begins the row (1) and follows b (1) = 2, ba follows a = 1,
        // ac follows b = 1. One: b after a; a after b; c after a: 1 each.
        let trigram = Trigram::learn([&[0, 1, 0, 1, 0, 2][..]].into_iter(), 4);
        // Discounts: one: 3/(3+0) → 0.95; two: 2/(2+2·1) = 0.5; three: 2/(2+2·1) = 0.5.
        let one = |n: f64| (n - 0.95f64).max(0.0) / 3.0 + 0.95 * 3.0 / 3.0 * 0.25;
        let c_after_a = 0.5 / 3.0 + 0.5 * 2.0 / 3.0 * one(1.0);
        let c_after_ba = 0.5 / 2.0 + 0.5 * 2.0 / 2.0 * c_after_a;
        for (before, word, want) in [(&[][..], 2, one(1.0)), (&[0], 2, c_after_a), (&[1, 0], 2, c_after_ba)] {
            let got = trigram.probability(before, word);
            assert!((got - want).abs() < 1e-12, "{before:?} {word}: {got} {want}");
        }
        assert!((trigram.probability(&[3, 0], 2) - c_after_a).abs() < 1e-12, "an unseen pair backs off");
    }

    #[test]
    fn bits_per_byte_count_what_stands_for_bytes() {
        let trigram = Trigram::learn([&[0, 1, 2, 3][..]].into_iter(), 4);
        let mut sums = BitsPerByte::default();
        let rows = Rows { ids: vec![0, 1, 2, 0], targets: vec![1, 2, 3, -1], b: 2, t: 2 };
        trigram.score(&rows, &[0, 2, 1, 5], &mut sums);
        assert_eq!((sums.targets, sums.bytes), (3, 8));
        let want =
            -(trigram.probability(&[0], 1) * trigram.probability(&[0, 1], 2) * trigram.probability(&[2], 3))
                .ln();
        assert!((sums.nats - want).abs() < 1e-12 && sums.nats == sums.all_nats);
    }
}
