//! Python's `random.Random`: the Mersenne Twister MT19937 (Matsumoto, Nishimura 1998) with Python's seeding and its ways to
//! shuffle, choose and sample.
//!
//! The sign of a seed is dropped, so `Random(-8)` and `Random(8)` are one stream. Next: `numpy.rs`.

/// Words of state.
const N: usize = 624;
/// Distance of the two words that are mixed.
const M: usize = 397;

/// A generator.
#[derive(Clone, Debug)]
pub struct Python {
    state: Vec<u32>,
    next: usize,
}

impl Python {
    /// `random.Random(seed)`.
    pub fn new(seed: i64) -> Python {
        let seed = seed.unsigned_abs();
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let key = if high == 0 { vec![low] } else { vec![low, high] };
        let mut python = Python { state: vec![0; N], next: N };
        python.init_by_array(&key);
        python
    }
    fn init(&mut self, seed: u32) {
        self.state[0] = seed;
        for i in 1..N {
            let last = self.state[i - 1];
            self.state[i] = 1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
    }
    fn init_by_array(&mut self, key: &[u32]) {
        self.init(19_650_218);
        let mixed =
            |s: &[u32], i: usize, factor: u32| s[i] ^ (s[i - 1] ^ (s[i - 1] >> 30)).wrapping_mul(factor);
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            self.state[i] = mixed(&self.state, i, 1_664_525).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i == N {
                self.state[0] = self.state[N - 1];
                i = 1;
            }
        }
        for _ in 0..N - 1 {
            self.state[i] = mixed(&self.state, i, 1_566_083_941).wrapping_sub(i as u32);
            i += 1;
            if i == N {
                self.state[0] = self.state[N - 1];
                i = 1;
            }
        }
        self.state[0] = 0x8000_0000;
    }
    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }
    /// `random()`: uniform in [0, 1) with 53 bits.
    pub fn random(&mut self) -> f64 {
        let (a, b) = (f64::from(self.next_u32() >> 5), f64::from(self.next_u32() >> 6));
        (a * 67_108_864.0 + b) / 9_007_199_254_740_992.0
    }
    /// `_randbelow(n)`: uniform in `0..n` by rejection; 0 for `n = 0`. `n` is below 2³².
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = (self.next_u32() >> (32 - bits.min(32))) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }
    /// `shuffle(items)`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }
    /// `choice(items)`: one of a list that is not empty.
    pub fn choice<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
    /// `sample(items, k)`: `k` of them without repetition, all of them if there are fewer.
    ///
    /// Python takes from a pool where that is small, else it draws indices until they are new; which of the two decides the
    /// numbers, so the limit is Python's: 21 plus the power of four at 3k.
    pub fn sample<T: Clone>(&mut self, items: &[T], k: usize) -> Vec<T> {
        let (n, k) = (items.len(), k.min(items.len()));
        let mut limit = 21;
        if k > 5 {
            // 4 ** ceil(log(3k, 4))
            let mut power = 1;
            while power < 3 * k {
                power *= 4;
            }
            limit += power;
        }
        if n <= limit {
            let mut pool: Vec<usize> = (0..n).collect();
            let mut take = |i: usize| {
                let j = self.below(n - i);
                let index = pool[j];
                pool[j] = pool[n - i - 1];
                items[index].clone()
            };
            return (0..k).map(&mut take).collect();
        }
        let mut chosen = std::collections::HashSet::new();
        let mut draw = || loop {
            let j = self.below(n);
            if chosen.insert(j) {
                return items[j].clone();
            }
        };
        (0..k).map(|_| draw()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_pythons() {
        assert_eq!(Python::new(42).random(), 0.6394267984578837);
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..10).collect();
            Python::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(42), [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]);
        assert_eq!(shuffled(1337), [0, 3, 7, 2, 1, 6, 4, 5, 8, 9]);
        let range = |n: u32| (1..=n).collect::<Vec<_>>();
        assert_eq!(Python::new(1234).sample(&range(99), 10), [57, 15, 1, 12, 75, 5, 86, 89, 11, 13]);
        assert_eq!(Python::new(1234).sample(&range(20), 3), [15, 4, 1]);
    }

    #[test]
    fn the_sign_of_a_seed_is_dropped_and_long_seeds_are_two_words() {
        assert_eq!(Python::new(-8).next_u32(), Python::new(8).next_u32());
        assert_ne!(Python::new(1 << 40).next_u32(), Python::new(0).next_u32());
    }

    #[test]
    fn no_request_is_too_large_or_too_small() {
        let mut python = Python::new(1);
        assert_eq!(python.sample(&[1, 2], 5).len(), 2);
        assert!(python.sample::<u8>(&[], 3).is_empty());
        assert_eq!(python.below(0), 0);
        assert_eq!(python.below(1), 0);
    }
}
