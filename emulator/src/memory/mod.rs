//! The memories of the software GPU. One generic address space of 64 bits holds three windows that never overlap: global
//! memory, shared memory of the block, local memory of the thread. Nothing is mapped near zero, and between any two
//! allocations lies a gap, so that a wrong address hits nothing.
//!
//! Read next: `device.rs` (allocations, what the host calls), `global.rs` (what a kernel sees of them).

mod device;
mod global;
mod plain;

pub use device::{Buffer, Config, Device, MemoryError};
pub(crate) use global::{Allocation, GlobalMemory};
pub use plain::Plain;

/// Where generic addresses of shared memory begin.
pub(crate) const SHARED_WINDOW: u64 = 0x1000_0000_0000;
/// Where generic addresses of local memory begin.
pub(crate) const LOCAL_WINDOW: u64 = 0x2000_0000_0000;
/// Bytes of each of these windows.
pub(crate) const WINDOW_BYTES: u64 = 1 << 32;
/// Where global memory begins.
pub(crate) const GLOBAL_BASE: u64 = 0x4000_0000_0000;
/// At least so many bytes lie between allocations.
pub(crate) const GAP: u64 = 4096;
