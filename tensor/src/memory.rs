//! The allocator's books: what is alive, what waits for reuse, how much may be kept.
//!
//! Memory that a tensor gives up is kept and handed to the next tensor of about that size, so a second training step asks
//! the system for nothing: no page faults, no fragmentation, and growth shows as a number. Policy:
//!
//! - A request is rounded up to one of eight size classes per power of two, so that batches of varying length reuse each
//!   other's memory. A free block of the class is used if there is one, the last returned first (it may still be in a cache).
//! - At most the cache limit is kept. Beyond it, blocks of the class that was used least recently go back to the system.
//! - If the system has no memory, or the memory limit is reached, everything that is kept goes back and the request is
//!   tried once more. Only then it is an error, [`crate::TensorError::OutOfMemory`].
//!
//! Every block carries a label, the name of what asked for it. Read next: [`crate::Storage`].

use crate::Device;
use kernels::planted;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

/// What the allocator has done on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of tensors that exist now, as requested.
    pub live_bytes: usize,
    /// The largest `live_bytes` since the last [`reset_peak`].
    pub peak_bytes: usize,
    /// Bytes held for reuse.
    pub cached_bytes: usize,
    /// Bytes held from the system: the size classes of everything alive or cached.
    pub system_bytes: usize,
    /// How often memory was taken from the system.
    pub system_allocations: u64,
    /// How often memory was given back to it.
    pub system_releases: u64,
    /// How often a free block was reused.
    pub reuses: u64,
    /// Tensors' storages alive now.
    pub live_storages: usize,
}

/// Free blocks of one size; addresses as integers, so that the pool is `Send`.
#[derive(Default)]
pub(crate) struct Class {
    pub(crate) free: Vec<usize>,
    /// When a block of this class was last asked for or returned.
    used: u64,
}

#[derive(Default)]
pub(crate) struct Pool {
    pub(crate) stats: Stats,
    classes: BTreeMap<usize, Class>,
    labels: BTreeMap<&'static str, usize>,
    /// `labels` at the largest [`mark`].
    marked: BTreeMap<&'static str, usize>,
    /// Where they differ from [`CACHE_LIMIT`] and from no limit.
    pub(crate) cache_limit: Option<usize>,
    pub(crate) limit: Option<usize>,
    clock: u64,
}

impl Pool {
    /// The free blocks of a size, noting that it was used.
    pub(crate) fn class(&mut self, size: usize) -> &mut Class {
        self.clock += 1;
        let class = self.classes.entry(size).or_default();
        class.used = self.clock;
        class
    }
    /// Enter a new storage into the books.
    pub(crate) fn born(&mut self, bytes: usize, label: &'static str) {
        self.stats.live_bytes += bytes;
        self.stats.live_storages += 1;
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.stats.live_bytes);
        *self.labels.entry(label).or_default() += bytes;
    }
    /// Strike a storage out.
    pub(crate) fn gone(&mut self, bytes: usize, label: &'static str) {
        self.stats.live_bytes -= bytes;
        self.stats.live_storages -= 1;
        *self.labels.entry(label).or_default() -= bytes;
    }
    /// What must go to the system, so that no more than the cache limit is kept.
    pub(crate) fn shrink(&mut self) -> Vec<(usize, usize)> {
        let limit = self.cache_limit.unwrap_or(CACHE_LIMIT);
        if self.stats.cached_bytes <= limit { Vec::new() } else { self.evict(limit) }
    }
    /// Take free blocks out, least recently used size first, until at most `keep` bytes are left: sizes and addresses,
    /// for the system.
    pub(crate) fn evict(&mut self, keep: usize) -> Vec<(usize, usize)> {
        let mut order: Vec<(u64, usize)> = self.classes.iter().map(|(&size, c)| (c.used, size)).collect();
        order.sort_unstable();
        let mut out = Vec::new();
        for (_, size) in order {
            while self.stats.cached_bytes > keep {
                let Some(address) = self.classes.get_mut(&size).and_then(|c| c.free.pop()) else { break };
                self.stats.cached_bytes -= size;
                self.stats.system_bytes -= size;
                self.stats.system_releases += 1;
                out.push((size, address));
            }
        }
        out
    }
}

static CPU: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);
static REFERENCE: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);
/// A GPU is ours alone, and giving memory back makes it wait: all is kept until something is missing.
static CUDA: LazyLock<Mutex<Pool>> =
    LazyLock::new(|| Mutex::new(Pool { cache_limit: Some(usize::MAX), ..Pool::default() }));
static EMULATED: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);
static DRY_RUN: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

/// Free memory beyond this is returned to the system, unless [`crate::set_cache_limit`] says otherwise.
pub const CACHE_LIMIT: usize = 4 << 30;

/// Run `f` on a device's pool. A poisoned lock is used all the same: the pool is consistent between calls.
pub(crate) fn with_pool<R>(device: Device, f: impl FnOnce(&mut Pool) -> R) -> R {
    let lock = match device {
        Device::Cpu => &CPU,
        Device::Reference => &REFERENCE,
        Device::Cuda => &CUDA,
        Device::Emulated => &EMULATED,
        Device::DryRun => &DRY_RUN,
    };
    let mut guard: MutexGuard<'_, Pool> = lock.lock().unwrap_or_else(|e| e.into_inner());
    f(&mut guard)
}

/// Current statistics of a device.
pub fn stats(device: Device) -> Stats {
    with_pool(device, |p| p.stats)
}

/// Start a new peak measurement, and forget the last [`mark`].
pub fn reset_peak(device: Device) {
    with_pool(device, |p| {
        p.stats.peak_bytes = p.stats.live_bytes;
        p.marked.clear();
    });
}

/// Let the device hold at most `bytes` from the system; beyond that is out of memory. No limit at first.
pub fn set_limit(device: Device, bytes: usize) {
    with_pool(device, |p| p.limit = Some(bytes));
}

/// Bytes alive by label.
pub fn by_label(device: Device) -> Vec<(&'static str, usize)> {
    with_pool(device, |p| p.labels.iter().map(|(l, b)| (*l, *b)).filter(|(_, b)| *b > 0).collect())
}

/// Remember [`by_label`] as it is now, if it is more than at the last mark. [`marked`] gives it back. Nothing is remembered
/// while a [`label`] holds: a sweep inside a sweep (checkpointing) is not the end of a forward pass.
pub fn mark(device: Device) {
    with_pool(device, |p| {
        if LABEL.get() == UNLABELLED && p.stats.live_bytes > p.marked.values().sum() {
            p.marked = p.labels.clone();
        }
    });
}

/// Bytes alive by label at the largest [`mark`] since the last [`reset_peak`]; empty if there was none.
pub fn marked(device: Device) -> Vec<(&'static str, usize)> {
    with_pool(device, |p| p.marked.iter().map(|(l, b)| (*l, *b)).filter(|(_, b)| *b > 0).collect())
}

const UNLABELLED: &str = "other";

thread_local! {
    static LABEL: Cell<&'static str> = const { Cell::new(UNLABELLED) };
    /// Every storage made by this thread holds a clone, whoever drops it, so the count is exact at any time.
    static MINE: Arc<()> = Arc::new(());
}

/// Storages made on this thread carry `name` until the guard is dropped.
pub fn label(name: &'static str) -> Labelled {
    Labelled { before: LABEL.replace(name), _this_thread: PhantomData }
}

/// Puts the label back that was there before; see [`label`].
#[must_use = "the label holds until this is dropped: `let _label = …`"]
pub struct Labelled {
    before: &'static str,
    _this_thread: PhantomData<*const ()>,
}

impl Drop for Labelled {
    fn drop(&mut self) {
        LABEL.set(self.before);
    }
}

pub(crate) fn current_label() -> &'static str {
    LABEL.get()
}

pub(crate) fn mine() -> Arc<()> {
    MINE.with(Arc::clone)
}

/// Storages alive that this thread made, on any device: equal before and after what must not leak. Other threads do not
/// disturb it, so tests that run side by side can use it.
pub fn live_here() -> usize {
    MINE.with(|mine| Arc::strong_count(mine) - 1)
}

/// The size class of a request: the next of eight steps per power of two, at least 64 bytes; `None` beyond all memory.
pub(crate) fn size_class(bytes: usize) -> Option<usize> {
    if bytes <= 64 {
        return Some(64);
    }
    let step = (bytes.checked_next_power_of_two()? / 16).max(64);
    let steps = planted!("memory.size_class_rounds_down", bytes.div_ceil(step) => bytes / step);
    steps.checked_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_waste_at_most_an_eighth() {
        for bytes in [1usize, 64, 65, 100, 1000, 4097, 1 << 20, (1 << 20) + 1, 123_456_789] {
            let class = size_class(bytes).unwrap();
            assert!(class >= bytes && class <= bytes + bytes / 8 + 64, "{bytes} -> {class}");
            assert_eq!(size_class(class), Some(class));
        }
        assert_eq!(size_class(usize::MAX), None);
    }
}
