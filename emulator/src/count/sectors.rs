//! Sectors of global memory.

const SECTOR: u64 = 32;

/// Distinct sectors that the accesses `[a, a + size)` of the active lanes touch.
pub(crate) fn sectors(addresses: &[u64; 32], mask: u32, size: u64) -> u64 {
    distinct(addresses, mask, SECTOR.trailing_zeros(), size)
}

/// The fewest sectors that could hold the distinct bytes.
pub(crate) fn min_sectors(addresses: &[u64; 32], mask: u32, size: u64) -> u64 {
    // an access is aligned to its size, so distinct accesses are disjoint
    let accesses = distinct(addresses, mask, size.trailing_zeros(), size);
    (accesses * size).div_ceil(SECTOR)
}

/// Distinct values of `address >> log2` over the lanes. Accesses are aligned, so none reaches into a second sector.
fn distinct(addresses: &[u64; 32], mask: u32, log2: u32, _size: u64) -> u64 {
    let mut found = [0; 32];
    let (mut count, mut sorted) = (0, true);
    for lane in crate::exec::lanes(mask) {
        let id = addresses[lane] >> log2;
        if count > 0 && found[count - 1] == id {
            continue;
        }
        sorted &= count == 0 || found[count - 1] < id;
        found[count] = id;
        count += 1;
    }
    if !sorted {
        found[..count].sort_unstable();
        return (1..count).filter(|&i| found[i] != found[i - 1]).count() as u64 + 1;
    }
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contiguous_access_needs_what_it_touches_and_a_strided_one_more() {
        let line: [u64; 32] = std::array::from_fn(|i| 0x1000 + 4 * i as u64);
        assert_eq!((sectors(&line, u32::MAX, 4), min_sectors(&line, u32::MAX, 4)), (4, 4));
        let shifted = line.map(|a| a + 4);
        assert_eq!((sectors(&shifted, u32::MAX, 4), min_sectors(&shifted, u32::MAX, 4)), (5, 4));
        let strided: [u64; 32] = std::array::from_fn(|i| 0x1000 + 64 * i as u64);
        assert_eq!((sectors(&strided, u32::MAX, 4), min_sectors(&strided, u32::MAX, 4)), (32, 4));
        let same = [0x1000; 32];
        assert_eq!((sectors(&same, u32::MAX, 4), min_sectors(&same, u32::MAX, 4)), (1, 1));
        let backwards: [u64; 32] = std::array::from_fn(|i| 0x1000 + 16 * (31 - i as u64));
        assert_eq!((sectors(&backwards, u32::MAX, 16), min_sectors(&backwards, u32::MAX, 16)), (16, 16));
        assert_eq!(sectors(&strided, 0b101, 4), 2);
    }
}
