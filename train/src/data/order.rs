//! The order in which items are visited: a fresh permutation per epoch, a function of (seed, epoch) alone.

use kernels::philox::Philox;
use kernels::planted;

/// Stream number of data order under a run's seed; epochs follow.
const STREAM: u64 = 0x6f72_6465_7200_0000;

/// The permutation of `0..n` for an epoch (Fisher–Yates).
pub fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut rng = Philox::new(seed, STREAM + planted!("order.same_in_every_epoch", epoch => 0));
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.below(i as u32 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_once_and_epochs_differ() {
        let (a, b) = (permutation(100, 1, 0), permutation(100, 1, 1));
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(a, b);
        assert_eq!(a, permutation(100, 1, 0));
    }
}
