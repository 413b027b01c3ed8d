//! numpy's `default_rng(seed).permutation(n)`: PCG64 (O'Neill 2014, XSL-RR on 128 bits) behind numpy's `SeedSequence`.
//!
//! The hub's data sets are shuffled by it. Next: `tasks/` reads them.

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
/// Words of the pool in which a seed is mixed.
const POOL: usize = 4;

/// A generator as numpy's `default_rng` makes it.
struct Pcg64 {
    state: u128,
    increment: u128,
    /// The upper half of the last 64 bits, if it is unused.
    half: Option<u32>,
}

/// A multiplier that changes at each use.
struct Hasher {
    constant: u32,
    factor: u32,
}

impl Hasher {
    fn mix(&mut self, value: u32) -> u32 {
        let value = value ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.factor);
        let value = value.wrapping_mul(self.constant);
        value ^ (value >> 16)
    }
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn seed_state(seed: u64) -> [u64; 4] {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    let entropy = if high == 0 { vec![low] } else { vec![low, high] };
    let mut hasher = Hasher { constant: 0x43b0_d7e5, factor: 0x931e_8875 };
    let mut pool = [0u32; POOL];
    for (i, slot) in pool.iter_mut().enumerate() {
        *slot = hasher.mix(entropy.get(i).copied().unwrap_or(0));
    }
    for source in 0..POOL {
        for target in (0..POOL).filter(|&t| t != source) {
            let hashed = hasher.mix(pool[source]);
            let mixed = pool[target].wrapping_mul(0xca01_f9dd).wrapping_sub(hashed.wrapping_mul(0x4973_f715));
            pool[target] = mixed ^ (mixed >> 16);
        }
    }
    let mut hasher = Hasher { constant: 0x8b51_f9dd, factor: 0x58f3_8ded };
    let words: Vec<u32> = (0..8).map(|i| hasher.mix(pool[i % POOL])).collect();
    [0, 1, 2, 3].map(|i| u64::from(words[2 * i]) | (u64::from(words[2 * i + 1]) << 32))
}

impl Pcg64 {
    fn new(seed: u64) -> Pcg64 {
        let [a, b, c, d] = seed_state(seed).map(u128::from);
        let mut pcg = Pcg64 { state: 0, increment: (((c << 64) | d) << 1) | 1, half: None };
        pcg.advance();
        pcg.state = pcg.state.wrapping_add((a << 64) | b);
        pcg.advance();
        pcg
    }
    fn advance(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }
    fn next_u64(&mut self) -> u64 {
        self.advance();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }
    /// The low half first, then the high half.
    fn next_u32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let both = self.next_u64();
        self.half = Some((both >> 32) as u32);
        both as u32
    }
    /// Uniform in `0..=most`, by masking and rejecting.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let drawn = self.next_u32() & mask;
            if drawn <= most {
                return drawn;
            }
        }
    }
}

/// `default_rng(seed).permutation(n)`: row i of the shuffled data is row `permutation[i]` of the original. `n` is below 2³².
pub fn permutation(seed: u64, n: usize) -> Vec<usize> {
    let mut pcg = Pcg64::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let j = pcg.up_to(i as u32) as usize;
        order.swap(i, j);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_numpys() {
        let mut pcg = Pcg64::new(42);
        let raw = [pcg.next_u64(), pcg.next_u64(), pcg.next_u64()];
        assert_eq!(raw, [14276969152011380360, 8095878257575067585, 15838336090824644132]);
        assert_eq!(permutation(42, 10), [5, 6, 0, 7, 3, 2, 4, 9, 1, 8]);
        assert_eq!(permutation(42, 7473)[..8], [3082, 2184, 5897, 2437, 6330, 819, 3812, 5878]);
        assert!(permutation(42, 0).is_empty());
    }
}
