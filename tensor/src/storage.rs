//! Storage: one aligned block of a device's memory, returned to the device's free list on drop.

use crate::memory::{self, Pool};
use crate::{Device, Result, TensorError};
use kernels::{Buffer, DType, KernelError, Layout as KernelLayout, View, ViewMut, pages, planted};
use std::sync::Arc;

/// An owned block of memory.
#[derive(Debug)]
pub struct Storage {
    address: usize,
    bytes: usize,
    class: usize,
    device: Device,
    label: &'static str,
    /// Counts the storages of the thread that made this one.
    _maker: Arc<()>,
}

fn release(device: Device, blocks: Vec<(usize, usize)>) {
    for (class, address) in blocks {
        match device.memory() {
            Some(memory) => memory.give_back(address, class),
            // SAFETY: `address` was taken with this very size and is given up exactly once.
            None => unsafe { pages::give_back(address, class) },
        }
    }
}

/// A free block, or one from the system, entered as held.
fn take(pool: &mut Pool, device: Device, class: usize) -> Option<usize> {
    let free = &mut pool.class(class).free;
    let reused = planted!("storage.block_in_use_handed_out", free.pop() => free.last().copied());
    if let Some(address) = reused {
        pool.stats.cached_bytes -= class;
        pool.stats.reuses += 1;
        return Some(address);
    }
    let total =
        pool.stats.system_bytes.checked_add(class).filter(|t| pool.limit.is_none_or(|limit| *t <= limit))?;
    let fresh = device.memory().map_or_else(|| pages::take(class), |memory| memory.take(class))?;
    pool.stats.system_bytes = total;
    pool.stats.system_allocations += 1;
    Some(fresh)
}

impl Storage {
    /// A block of `bytes`. Its contents are unspecified (what a former tensor left), but always initialised memory;
    /// debug builds fill every block with NaN patterns, so that reading before writing shows.
    pub fn new(bytes: usize, device: Device) -> Result<Storage> {
        let label = memory::current_label();
        let found = memory::size_class(bytes).and_then(|class| {
            memory::with_pool(device, |pool| {
                let address = take(pool, device, class).or_else(|| {
                    release(device, pool.evict(0)); // what is kept for reuse may be what is missing
                    take(pool, device, class)
                })?;
                pool.born(bytes, label);
                Some((class, address))
            })
        });
        let Some((class, address)) = found else {
            if let Some(Err(e)) = device.memory().map(cuda::Memory::usable) {
                return Err(KernelError::Device { op: "storage", what: e.to_string() }.into());
            }
            return Err(TensorError::OutOfMemory { device, bytes, live: memory::stats(device).live_bytes });
        };
        if cfg!(debug_assertions) && device.memory().is_none() {
            // SAFETY: we own `class` bytes here.
            unsafe { std::ptr::write_bytes(address as *mut u8, 0xFF, class) }
        }
        Ok(Storage { address, bytes, class, device, label, _maker: memory::mine() })
    }

    /// What kernels need to know about the block.
    pub fn buffer(&self) -> Buffer {
        Buffer { address: self.address, bytes: self.bytes, space: self.device.space() }
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
    /// A copy in another device's memory.
    pub(crate) fn copied_to(&self, device: Device) -> Result<Storage> {
        let failed = |e: cuda::DriverError| KernelError::Device { op: "to_device", what: e.to_string() };
        let mut copy = Storage::new(self.bytes, device)?;
        match self.device.memory() {
            Some(memory) => copy.overwrite(&memory.download(self.address, self.bytes).map_err(failed)?)?,
            None => copy.overwrite(self.host_bytes())?,
        }
        Ok(copy)
    }
    /// Its bytes, where the host can read them; else none.
    pub(crate) fn host_bytes(&self) -> &[u8] {
        let readable = if self.device.memory().is_none() { self.bytes } else { 0 };
        // SAFETY: `readable` initialised bytes that nobody writes while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, readable) }
    }
    /// Overwrite the beginning of the block.
    pub(crate) fn overwrite(&mut self, data: &[u8]) -> kernels::Result<()> {
        const OP: &str = "to_device";
        if data.len() > self.bytes {
            return Err(KernelError::WrongSpace { op: OP, arg: "data" });
        }
        match self.device.memory() {
            Some(memory) => memory
                .upload(self.address, data)
                .map_err(|e| KernelError::Device { op: OP, what: e.to_string() })?,
            // SAFETY: at least as long, and nobody else's while it is borrowed.
            None => unsafe {
                std::ptr::copy_nonoverlapping(data.as_ptr(), self.address as *mut u8, data.len());
            },
        }
        Ok(())
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
            pool.gone(planted!("storage.drop_not_counted", self.bytes => 0), self.label);
            let class = planted!("storage.returned_under_its_size", self.class => self.bytes);
            pool.class(class).free.push(self.address);
            pool.stats.cached_bytes += self.class;
            pool.shrink()
        });
        release(self.device, surplus);
    }
}

/// Keep at most `bytes` of a device's free memory for reuse, from now on; what is beyond goes back to the system.
pub fn set_cache_limit(device: Device, bytes: usize) {
    let surplus = memory::with_pool(device, |pool| {
        pool.cache_limit = Some(bytes);
        pool.shrink()
    });
    release(device, surplus);
}

/// Give all cached memory of a device back to the system.
pub fn trim(device: Device) {
    release(device, memory::with_pool(device, |pool| pool.evict(0)));
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
        assert_eq!(again.buffer().address % pages::ALIGN, 0);
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
