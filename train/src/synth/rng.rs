//! Random choices that are the same on every machine.
//!
//! The idea: SplitMix64 (Steele, Lea, Flood 2014), eight lines, one `u64` of state. Training uses Philox from the
//! kernels; the corpus needs nothing that strong and must not depend on them. A [`Deck`] deals a list in shuffled
//! rounds, so that every item comes up equally often: facts are learnt by repetition, and chance would starve some.
//! Next: `world.rs`, which deals the facts.

/// SplitMix64: adds a constant, then mixes.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

/// The mixing function of SplitMix64, a bijection of `u64`.
pub(super) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

impl Rng {
    /// A generator for one purpose: different `stream`s of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        Rng { state: mix(mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ stream) }
    }

    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// Uniform in `0..n` (0 for `n = 0`), by multiplying the high 32 bits: the bias is below `n / 2^32`.
    pub fn below(&mut self, n: usize) -> usize {
        (((self.next_u64() >> 32) * n as u64) >> 32) as usize
    }

    /// Uniform in `low..=high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below((high - low + 1) as usize) as u32
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One item of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Deals `0..n` in shuffled rounds: after `k·n` draws every number has come exactly `k` times.
#[derive(Clone, Debug)]
pub struct Deck {
    order: Vec<usize>,
    next: usize,
}

impl Deck {
    /// A deck of `n` cards, `n > 0`.
    pub fn new(n: usize) -> Self {
        Deck { order: (0..n).collect(), next: n }
    }

    /// The next card; shuffles when a round is over.
    pub fn deal(&mut self, rng: &mut Rng) -> usize {
        if self.next == self.order.len() {
            rng.shuffle(&mut self.order);
            self.next = 0;
        }
        self.next += 1;
        self.order[self.next - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deck_deals_every_card_once_per_round() {
        let mut rng = Rng::new(1, 2);
        let mut deck = Deck::new(13);
        let mut seen = [0; 13];
        (0..13 * 7).for_each(|_| seen[deck.deal(&mut rng)] += 1);
        assert_eq!(seen, [7; 13]);
    }

    #[test]
    fn below_reaches_every_value_and_never_the_bound() {
        let mut rng = Rng::new(3, 0);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[rng.below(10)] += 1);
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let draw = |seed, stream| Rng::new(seed, stream).next_u64();
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }
}
