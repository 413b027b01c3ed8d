//! Memory from the system: in huge pages where blocks are large, always initialised.
//!
//! A processor finds a page's place through a small table (the TLB): about 3,000 entries, which at 4 KiB cover 12 MiB, less
//! than one activation of a training step. With pages of 2 MiB the same table covers gigabytes, and a new block costs one
//! fault per 2 MiB instead of 512. So large blocks begin at a multiple of 2 MiB and the system is told, before the first
//! touch, that huge pages are wanted (Linux; a refusal changes nothing but speed). Elsewhere this is an aligned allocation.
//!
//! Who keeps blocks for reuse calls this once per block: the tensors' storage. Where to read next: `tensor/src/memory.rs`.

use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Cache-line and vector-register alignment: every block has at least this.
pub const ALIGN: usize = 64;

/// A huge page.
const HUGE: usize = 2 << 20;

/// Smaller blocks stay in small pages: a partly used huge page wastes memory.
const LARGE: usize = HUGE;

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), if bytes >= LARGE { HUGE } else { ALIGN }).ok()
}

/// A block of `bytes` zeros, as an address; `None` if the system has no memory for it.
pub fn take(bytes: usize) -> Option<usize> {
    let layout = layout(bytes)?;
    if bytes < LARGE {
        // SAFETY: the size is not zero.
        let address = unsafe { alloc_zeroed(layout) } as usize;
        return (address != 0).then_some(address);
    }
    // SAFETY: as above.
    let start = unsafe { std::alloc::alloc(layout) };
    if start.is_null() {
        return None;
    }
    want_huge_pages(start, bytes);
    // SAFETY: the block is ours and has `bytes` bytes.
    unsafe { std::ptr::write_bytes(start, 0, bytes) };
    Some(start as usize)
}

/// Return a block to the system.
///
/// # Safety
/// `address` came from [`take`] with this very number of bytes, and nobody uses it any more.
pub unsafe fn give_back(address: usize, bytes: usize) {
    if let Some(layout) = layout(bytes) {
        // SAFETY: the caller vouches for the address; the layout is a function of the size.
        unsafe { dealloc(address as *mut u8, layout) }
    }
}

/// `len` times `value`, in huge pages as far as they fit: what kernels are timed on should lie as tensors do.
pub fn filled<T: Copy>(len: usize, value: T) -> Vec<T> {
    let mut block: Vec<T> = Vec::with_capacity(len);
    want_huge_pages(block.as_mut_ptr().cast(), len * size_of::<T>());
    block.resize(len, value);
    block
}

/// Ask for huge pages under the whole ones of a block.
#[cfg(target_os = "linux")]
fn want_huge_pages(start: *mut u8, bytes: usize) {
    let skip = (start as usize).next_multiple_of(HUGE) - start as usize;
    let whole = bytes.saturating_sub(skip) / HUGE * HUGE;
    if whole > 0 {
        // SAFETY: advice about memory that is ours; it changes how the system backs it, never what it holds.
        unsafe { libc::madvise(start.wrapping_add(skip).cast(), whole, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn want_huge_pages(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_every_size_are_aligned_and_zero() {
        for bytes in [1, 64, 4096, LARGE - 1, LARGE, 3 * HUGE + 12345] {
            let address = take(bytes).unwrap();
            assert_eq!(address % if bytes >= LARGE { HUGE } else { ALIGN }, 0);
            // SAFETY: the block is ours and initialised.
            let block = unsafe { std::slice::from_raw_parts_mut(address as *mut u8, bytes) };
            assert!(block.iter().all(|b| *b == 0));
            block.fill(0xAB); // every byte may be written
            // SAFETY: taken above with this size; `block` is not used again.
            unsafe { give_back(address, bytes) };
        }
    }

    #[test]
    fn a_filled_vector_is_full() {
        let block = filled(HUGE + 5, 7u16);
        assert!(block.len() == HUGE + 5 && block.iter().all(|&v| v == 7));
    }

    #[test]
    fn an_impossible_request_is_refused() {
        assert_eq!(take(usize::MAX / 2), None);
    }
}
