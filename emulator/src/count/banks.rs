//! Wavefronts of shared memory.

/// Wavefronts and requests of an access of `size` bytes per lane. A request serves at most 128 bytes: 32 lanes of 4 bytes,
/// 16 of 8, 8 of 16. Within one, each bank gives one word per wavefront, to any number of lanes that want that word.
pub(crate) fn wavefronts(offsets: &[u64; 32], mask: u32, size: u64) -> (u64, u64) {
    let unit = size.max(4);
    let (log2, groups) = (unit.trailing_zeros(), (128 / unit) as usize);
    let (mut waves, mut requests) = (0, 0);
    for start in (0..32).step_by(groups) {
        let members = mask >> start & (u32::MAX >> (32 - groups));
        if members == 0 {
            continue;
        }
        requests += 1;
        // All in different groups of banks: nothing to count.
        let group = |lane: usize| 1_u32 << ((offsets[start + lane] >> log2) as usize % groups);
        let hit = crate::exec::lanes(members).fold(0, |all, lane| all | group(lane));
        if hit.count_ones() == members.count_ones() {
            waves += 1;
            continue;
        }
        let mut seen = [0; 32];
        let (mut count, mut per_group, mut worst) = (0, [0_u8; 32], 1);
        for lane in crate::exec::lanes(members) {
            let word = offsets[start + lane] >> log2;
            if seen[..count].contains(&word) {
                continue;
            }
            seen[count] = word;
            count += 1;
            let group = &mut per_group[word as usize % groups];
            *group += 1;
            worst = worst.max(*group);
        }
        waves += u64::from(worst);
    }
    (waves, requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stride(bytes: u64) -> [u64; 32] {
        std::array::from_fn(|i| bytes * i as u64)
    }

    #[test]
    fn wavefronts_are_the_words_of_the_worst_bank() {
        assert_eq!(wavefronts(&stride(4), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts(&stride(0), u32::MAX, 4), (1, 1), "one word for all");
        assert_eq!(wavefronts(&stride(8), u32::MAX, 4), (2, 1));
        assert_eq!(wavefronts(&stride(128), u32::MAX, 4), (32, 1));
        assert_eq!(wavefronts(&stride(132), u32::MAX, 4), (1, 1), "the padded column");
        assert_eq!(wavefronts(&stride(2), u32::MAX, 2), (1, 1), "two halves of a word");
        assert_eq!(wavefronts(&stride(16), u32::MAX, 16), (4, 4));
        assert_eq!(wavefronts(&stride(256), u32::MAX, 16), (32, 4));
        assert_eq!(wavefronts(&stride(128), 0b11, 4), (2, 1));
    }
}
