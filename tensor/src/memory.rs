//! Allocation statistics and the free lists behind [`crate::Storage`].
//!
//! Memory that a tensor gives up is kept and handed to the next tensor of about that size, so a second training step asks
//! the system for nothing: no page faults, no fragmentation, and growth shows as a number. Sizes are rounded up to one of
//! eight classes per power of two, so that batches of varying length reuse each other's memory.

use crate::Device;
use kernels::planted;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// What the allocator has done on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of tensors that exist now, as requested.
    pub live_bytes: usize,
    /// The largest `live_bytes` since the last [`reset_peak`].
    pub peak_bytes: usize,
    /// Bytes held for reuse.
    pub cached_bytes: usize,
    /// How often memory was taken from the system.
    pub system_allocations: u64,
    /// How often a free block was reused.
    pub reuses: u64,
    /// Tensors' storages alive now.
    pub live_storages: usize,
}

#[derive(Default)]
pub(crate) struct Pool {
    pub(crate) stats: Stats,
    /// Free blocks by size class; addresses as integers, so that the pool is `Send`.
    pub(crate) free: BTreeMap<usize, Vec<usize>>,
}

static CPU: Mutex<Option<Pool>> = Mutex::new(None);
static REFERENCE: Mutex<Option<Pool>> = Mutex::new(None);

/// Free memory beyond this is returned to the system.
pub(crate) const CACHE_LIMIT: usize = 4 << 30;

/// Run `f` on a device's pool. A poisoned lock is used all the same: the pool is consistent between calls.
pub(crate) fn with_pool<R>(device: Device, f: impl FnOnce(&mut Pool) -> R) -> R {
    let lock = match device {
        Device::Cpu => &CPU,
        Device::Reference => &REFERENCE,
    };
    let mut guard: MutexGuard<'_, Option<Pool>> = lock.lock().unwrap_or_else(|e| e.into_inner());
    f(guard.get_or_insert_with(Pool::default))
}

/// Current statistics of a device.
pub fn stats(device: Device) -> Stats {
    with_pool(device, |p| p.stats)
}

/// Start a new peak measurement.
pub fn reset_peak(device: Device) {
    with_pool(device, |p| p.stats.peak_bytes = p.stats.live_bytes);
}

/// The size class of a request: the next of eight steps per power of two, at least 64 bytes.
pub(crate) fn size_class(bytes: usize) -> usize {
    if bytes <= 64 {
        return 64;
    }
    let step = (bytes.next_power_of_two() / 16).max(64);
    planted!("memory.size_class_rounds_down", bytes.div_ceil(step) => bytes / step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_waste_at_most_an_eighth() {
        for bytes in [1usize, 64, 65, 100, 1000, 4097, 1 << 20, (1 << 20) + 1, 123_456_789] {
            let class = size_class(bytes);
            assert!(class >= bytes && class <= bytes + bytes / 8 + 64, "{bytes} -> {class}");
            assert_eq!(size_class(class), class);
        }
    }
}
