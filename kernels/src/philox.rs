//! Philox4x32-10, the one random number generator (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3").
//!
//! Counter based: number `i` of stream `s` under seed `k` is a pure function of `(k, s, i)`. No state is carried, any
//! thread or device can make any number, and the same arguments give the same bits everywhere.

use crate::planted;

const MUL: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

// ANCHOR: philox
/// One block: four 32-bit words from a 128-bit counter and a 64-bit key, ten rounds.
pub fn philox4x32(mut ctr: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = MUL[0] as u64 * ctr[0] as u64;
        let b = MUL[1] as u64 * ctr[2] as u64;
        ctr = [(b >> 32) as u32 ^ ctr[1] ^ key[0], b as u32, (a >> 32) as u32 ^ ctr[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    ctr
}
// ANCHOR_END: philox

/// Word `index` of stream `stream` under `seed`.
pub fn word(seed: u64, stream: u64, index: u64) -> u32 {
    let stream = planted!("philox.stream_cut_to_a_bit", stream => stream & 1);
    let block = index / 4;
    let ctr = [block as u32, (block >> 32) as u32, stream as u32, (stream >> 32) as u32];
    philox4x32(ctr, [seed as u32, (seed >> 32) as u32])[(index % 4) as usize]
}

/// A uniform f32 in [0, 1) with 24 random bits, from one word.
pub fn unit_f32(word: u32) -> f32 {
    planted!(
        "philox.unit_reaches_one",
        (word >> 8) as f32 * (1.0 / (1 << 24) as f32) => word as f32 * (1.0 / (1u64 << 32) as f32)
    )
}

/// A standard normal number from two random words (Box & Muller 1958), with this crate's own logarithm and cosine, so that
/// initial weights have the same bits on every platform.
fn box_muller(a: u32, b: u32) -> f64 {
    let u = (a as f64 + 0.5) / 4_294_967_296.0; // in (0, 1): the logarithm is finite
    let v = b as f64 / 4_294_967_296.0;
    (-2.0 * crate::portable::ln(u)).sqrt() * crate::portable::sin_cos(v * std::f64::consts::TAU).1
}

/// Standard normal number `index` of `stream` under `seed`: words `2·index` and `2·index + 1`.
pub fn normal_at(seed: u64, stream: u64, index: u64) -> f64 {
    let block = index / 2;
    let ctr = [block as u32, (block >> 32) as u32, stream as u32, (stream >> 32) as u32];
    let words = philox4x32(ctr, [seed as u32, (seed >> 32) as u32]);
    let at = planted!("philox.normals_share_a_word", 2 => 1) * (index % 2) as usize;
    box_muller(words[at], words[at + 1])
}

/// A walk along one stream, for host code: data order, initial weights, test cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Philox {
    seed: u64,
    stream: u64,
    /// Index of the next word; saved in checkpoints, so that a resumed run continues bit for bit.
    pub next: u64,
}

impl Philox {
    /// Start of `stream` under `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Philox { seed, stream, next: 0 }
    }
    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.next += 1;
        word(self.seed, self.stream, self.next - 1)
    }
    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f32 {
        unit_f32(self.next_u32())
    }
    /// Uniform in [0, 1), 53 bits.
    pub fn uniform_f64(&mut self) -> f64 {
        let (hi, lo) = ((self.next_u32() >> 5) as f64, (self.next_u32() >> 6) as f64);
        (hi * 67_108_864.0 + lo) / 9_007_199_254_740_992.0
    }
    /// Uniform in `0..n`, without bias (rejection); 0 when `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        if n <= 1 {
            return 0;
        }
        let limit = u32::MAX - (u32::MAX % n + 1) % n; // the largest multiple of n, minus one
        loop {
            let v = self.next_u32();
            if planted!("philox.below_keeps_the_ragged_end", v <= limit => true) {
                return v % n;
            }
        }
    }
    /// Standard normal, from two words.
    pub fn normal(&mut self) -> f64 {
        let (a, b) = (self.next_u32(), self.next_u32());
        box_muller(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_of_random123_hold() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let mut rng = Philox::new(7, 1);
        let x: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let kurt = x.iter().map(|v| (v - mean).powi(4)).sum::<f64>() / n / var.powi(2);
        assert!(
            mean.abs() < 0.013 && (var - 1.0).abs() < 0.018 && (kurt - 3.0).abs() < 0.07,
            "{mean} {var} {kurt}"
        );
    }

    #[test]
    fn numbers_by_index_are_those_of_a_walk() {
        let mut walk = Philox::new(5, 9);
        assert!((0..9).all(|i| walk.next_u32() == word(5, 9, i)));
        let mut walk = Philox::new(5, 9);
        assert!((0..9).all(|i| walk.normal() == normal_at(5, 9, i)));
    }

    #[test]
    fn the_largest_word_stays_below_one() {
        assert_eq!(unit_f32(u32::MAX), 1.0 - 2f32.powi(-24));
    }

    #[test]
    fn below_is_unbiased_where_a_quarter_of_all_words_does_not_fit() {
        let (mut rng, third) = (Philox::new(1, 3), 1 << 30);
        let low = (0..9000).filter(|_| rng.below(3 * third) < third).count();
        assert!(low.abs_diff(3000) < 200, "{low}"); // more than four standard deviations; without rejection 4500
    }

    #[test]
    fn below_is_unbiased_enough_to_pass_chi_squared() {
        let mut rng = Philox::new(1, 2);
        let mut counts = [0f64; 7];
        (0..70_000).for_each(|_| counts[rng.below(7) as usize] += 1.0);
        let chi2: f64 = counts.iter().map(|c| (c - 1e4).powi(2) / 1e4).sum();
        assert!(chi2 < 22.5, "{chi2}"); // 99.9 % point of 6 degrees of freedom
    }
}
