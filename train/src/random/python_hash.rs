//! `hash((a, b, c))` of CPython (3.8 and later, 64 bits) for a tuple of small whole numbers: xxHash's mixing of their values.
//! Reinforcement learning seeds each batch of rollouts with it.

const P1: u64 = 11_400_714_785_074_694_791;
const P2: u64 = 14_029_467_366_897_019_727;
const P5: u64 = 2_870_177_450_012_600_261;

/// The hash of a tuple of non-negative numbers.
pub fn tuple(items: &[u64]) -> i64 {
    let mut acc = P5;
    for &item in items {
        acc = acc.wrapping_add(item.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1);
    }
    let acc = acc.wrapping_add((items.len() as u64) ^ (P5 ^ 3_527_539));
    // −1 means an error inside CPython, so no hash is −1.
    if acc == u64::MAX { 1_546_275_796 } else { acc as i64 }
}

/// The seed of the rollouts of an example: its low 31 bits.
pub fn rollout_seed(step: usize, example: usize, chunk: usize) -> u64 {
    (tuple(&[step as u64, example as u64, chunk as u64]) & 0x7fff_ffff) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seed_is_that_of_the_original() {
        assert_eq!(rollout_seed(0, 0, 0), 360_982_090);
        assert_ne!(rollout_seed(0, 1, 0), rollout_seed(1, 0, 0));
    }
}
