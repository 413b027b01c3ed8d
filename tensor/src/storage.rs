//! Storage: one aligned block of a device's memory, returned to the device's free list on drop.

use crate::memory::{self, CACHE_LIMIT};
use crate::{Device, Result, TensorError};
use kernels::{Buffer, DType, Layout as KernelLayout, Space, View, ViewMut, planted};
use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Cache-line and vector-register alignment.
const ALIGN: usize = 64;

/// An owned block of memory.
#[derive(Debug)]
pub struct Storage {
    address: usize,
    bytes: usize,
    class: usize,
    device: Device,
}

fn system_layout(class: usize) -> Option<Layout> {
    Layout::from_size_align(class, ALIGN).ok()
}

fn release(class: usize, address: usize) {
    if let Some(layout) = system_layout(class) {
        // SAFETY: `address` came from `alloc_zeroed` with this very layout and is given up exactly once.
        unsafe { dealloc(address as *mut u8, layout) }
    }
}

impl Storage {
    /// A block of `bytes`. Its contents are unspecified (what a former tensor left), but always initialised memory;
    /// debug builds fill reused blocks with NaN patterns, so that reading before writing shows.
    pub fn new(bytes: usize, device: Device) -> Result<Storage> {
        let class = memory::size_class(bytes);
        let address = memory::with_pool(device, |pool| {
            let reused = pool.free.get_mut(&class).and_then(
                |blocks| planted!("storage.block_in_use_handed_out", blocks.pop() => blocks.last().copied()),
            );
            let address = match reused {
                Some(address) => {
                    pool.stats.cached_bytes -= class;
                    pool.stats.reuses += 1;
                    address
                }
                None => {
                    let layout = system_layout(class)?;
                    // SAFETY: the size is at least 64.
                    let fresh = unsafe { alloc_zeroed(layout) } as usize;
                    if fresh == 0 {
                        return None;
                    }
                    pool.stats.system_allocations += 1;
                    fresh
                }
            };
            pool.stats.live_bytes += bytes;
            pool.stats.live_storages += 1;
            pool.stats.peak_bytes = pool.stats.peak_bytes.max(pool.stats.live_bytes);
            Some(address)
        });
        let live = memory::stats(device).live_bytes;
        let address = address.ok_or(TensorError::OutOfMemory { device, bytes, live })?;
        if cfg!(debug_assertions) {
            // SAFETY: we own `class` bytes here.
            unsafe { std::ptr::write_bytes(address as *mut u8, 0xFF, class) }
        }
        Ok(Storage { address, bytes, class, device })
    }

    /// What kernels need to know about the block.
    pub fn buffer(&self) -> Buffer {
        Buffer { address: self.address, bytes: self.bytes, space: Space::Host }
    }
    /// A view of the block, for reading while it is borrowed.
    pub fn view(&self, dtype: DType, layout: KernelLayout) -> kernels::Result<View<'_>> {
        // SAFETY: the block lives as long as `self` is borrowed, is initialised and aligned to 64 bytes; writers need
        // `&mut self`, so nobody writes meanwhile.
        unsafe { View::from_buffer(self.buffer(), dtype, layout) }
    }
    /// A view of the block, for writing.
    pub fn view_mut(&mut self, dtype: DType, layout: KernelLayout) -> kernels::Result<ViewMut<'_>> {
        // SAFETY: as above, and the mutable borrow makes this the only access.
        unsafe { ViewMut::from_buffer(self.buffer(), dtype, layout) }
    }
    /// The device whose memory this is.
    pub fn device(&self) -> Device {
        self.device
    }
    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let surplus = memory::with_pool(self.device, |pool| {
            pool.stats.live_bytes -= planted!("storage.drop_not_counted", self.bytes => 0);
            pool.stats.live_storages -= 1;
            if pool.stats.cached_bytes + self.class > CACHE_LIMIT {
                return true;
            }
            pool.stats.cached_bytes += self.class;
            let class = planted!("storage.returned_under_its_size", self.class => self.bytes);
            pool.free.entry(class).or_default().push(self.address);
            false
        });
        if surplus {
            release(self.class, self.address);
        }
    }
}

/// Give all cached memory of a device back to the system.
pub fn trim(device: Device) {
    let blocks = memory::with_pool(device, |pool| {
        pool.stats.cached_bytes = 0;
        std::mem::take(&mut pool.free)
    });
    for (class, addresses) in blocks {
        addresses.into_iter().for_each(|address| release(class, address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_block_is_reused_and_counted() {
        let odd = 77_777; // a size no other test uses
        drop(Storage::new(odd, Device::Reference).unwrap());
        let before = memory::stats(Device::Reference);
        let again = Storage::new(odd, Device::Reference).unwrap();
        let after = memory::stats(Device::Reference);
        assert!(after.reuses > before.reuses);
        assert_eq!(again.buffer().address % ALIGN, 0);
    }

    #[test]
    fn a_block_in_use_is_not_handed_out_again() {
        let odd = 55_555; // a size no other test uses
        drop([Storage::new(odd, Device::Reference).unwrap(), Storage::new(odd, Device::Reference).unwrap()]);
        let [a, b] = [0, 1].map(|_| Storage::new(odd, Device::Reference).unwrap());
        assert_ne!(a.buffer().address, b.buffer().address);
    }

    #[test]
    fn an_impossible_request_is_a_typed_error() {
        let huge = Storage::new(usize::MAX / 4, Device::Reference);
        assert!(matches!(huge, Err(TensorError::OutOfMemory { .. })));
    }
}
