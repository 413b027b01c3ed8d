//! What the host calls: allocate, copy, free.

use super::global::{Allocation, GlobalMemory};
use super::{GAP, GLOBAL_BASE, Plain};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

/// What the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of global memory.
    pub memory_bytes: u64,
    /// Compute capability times ten: a module for a newer one is refused.
    pub compute_capability: u32,
    /// Shared memory that one block may use at most.
    pub shared_bytes_per_block: u64,
}

impl Default for Config {
    /// An A100's limits, with 4 GiB of memory.
    fn default() -> Config {
        Config { memory_bytes: 4 << 30, compute_capability: 90, shared_bytes_per_block: 163 << 10 }
    }
}

/// A piece of device memory: an address and a length. It is plain data; `Device::free` ends its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    /// The device address.
    pub address: u64,
    /// Its length.
    pub bytes: u64,
}

/// What the host did wrong with device memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryError {
    /// The device is full.
    OutOfMemory {
        /// What was asked for.
        bytes: u64,
        /// What is left.
        free: u64,
    },
    /// No allocation begins at this address: it was freed, or belongs to another device.
    NoBuffer {
        /// The address.
        address: u64,
    },
    /// A copy goes beyond the end of its buffer.
    TooLong {
        /// Bytes of the copy, with its offset.
        bytes: u64,
        /// Bytes of the buffer.
        buffer: u64,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::OutOfMemory { bytes, free } => {
                write!(
                    f,
                    "{bytes} bytes do not fit into the {free} that are left: free buffers, or raise Config::memory_bytes"
                )
            }
            MemoryError::NoBuffer { address } => {
                write!(f, "no buffer begins at {address:#x}: it was freed, or is another device's")
            }
            MemoryError::TooLong { bytes, buffer } => {
                write!(
                    f,
                    "a copy reaches to byte {bytes} of a buffer of {buffer}: shorten it, or allocate more"
                )
            }
        }
    }
}

impl std::error::Error for MemoryError {}

/// A GPU in software: its memory, and the variables of the modules that ran on it.
pub struct Device {
    pub(crate) config: Config,
    pub(crate) allocations: Vec<Allocation>,
    /// By a module's identity: the addresses of its variables.
    pub(crate) variables: HashMap<u64, Vec<u64>>,
    next: u64,
    used: u64,
}

impl Device {
    /// A device with nothing in its memory.
    pub fn new(config: Config) -> Device {
        Device { config, allocations: Vec::new(), variables: HashMap::new(), next: GLOBAL_BASE, used: 0 }
    }

    /// Memory that counts as not written until something writes it.
    pub fn alloc(&mut self, bytes: u64) -> Result<Buffer, MemoryError> {
        self.alloc_aligned(bytes, 256, false)
    }

    pub(crate) fn alloc_aligned(
        &mut self,
        bytes: u64,
        align: u64,
        read_only: bool,
    ) -> Result<Buffer, MemoryError> {
        let free = self.free_bytes();
        if bytes > free {
            return Err(MemoryError::OutOfMemory { bytes, free });
        }
        // Addresses are never used twice, so a pointer to freed memory hits nothing.
        let address = self.next.next_multiple_of(align.max(256));
        self.next = address + bytes.max(1) + GAP;
        self.used += bytes;
        self.allocations.push(Allocation::new(address, bytes, read_only));
        Ok(Buffer { address, bytes })
    }

    /// A new buffer with these numbers.
    pub fn upload<T: Plain>(&mut self, data: &[T]) -> Result<Buffer, MemoryError> {
        let buffer = self.alloc((data.len() * T::BYTES) as u64)?;
        self.write(buffer, 0, data)?;
        Ok(buffer)
    }

    /// Copies numbers into a buffer, from a byte offset on.
    pub fn write<T: Plain>(&mut self, buffer: Buffer, offset: u64, data: &[T]) -> Result<(), MemoryError> {
        let mut bytes = vec![0; data.len() * T::BYTES];
        for (out, value) in bytes.chunks_exact_mut(T::BYTES).zip(data) {
            value.write(out);
        }
        let allocation = self.allocation(buffer)?;
        let end = offset.saturating_add(bytes.len() as u64);
        if end > allocation.bytes {
            return Err(MemoryError::TooLong { bytes: end, buffer: allocation.bytes });
        }
        if offset.is_multiple_of(8) {
            let (whole, tail) = bytes.as_chunks::<8>();
            for (i, chunk) in whole.iter().enumerate() {
                allocation.double_any(offset + 8 * i as u64).store(u64::from_le_bytes(*chunk), Relaxed);
            }
            for (i, byte) in tail.iter().enumerate() {
                allocation.store(offset + (whole.len() * 8 + i) as u64, 1, (*byte).into());
            }
        } else {
            for (i, byte) in bytes.iter().enumerate() {
                allocation.store(offset + i as u64, 1, (*byte).into());
            }
        }
        if offset == 0 && end == allocation.bytes {
            allocation.all_written();
        } else {
            allocation.mark(offset, bytes.len() as u64);
        }
        Ok(())
    }

    /// All numbers of a buffer; a rest smaller than one number is left out.
    pub fn download<T: Plain>(&mut self, buffer: Buffer) -> Result<Vec<T>, MemoryError> {
        let count = self.allocation(buffer)?.bytes as usize / T::BYTES;
        self.read(buffer, 0, count)
    }

    /// So many numbers of a buffer, from a byte offset on.
    pub fn read<T: Plain>(
        &mut self,
        buffer: Buffer,
        offset: u64,
        count: usize,
    ) -> Result<Vec<T>, MemoryError> {
        let allocation = self.allocation(buffer)?;
        let end = (count as u64).saturating_mul(T::BYTES as u64).saturating_add(offset);
        if end > allocation.bytes {
            return Err(MemoryError::TooLong { bytes: end, buffer: allocation.bytes });
        }
        // whole words of eight bytes, of which the first may begin before the offset
        let skipped = (offset % 8) as usize;
        let words = (offset / 8..end.div_ceil(8)).map(|i| allocation.double_any(8 * i).load(Relaxed));
        let bytes: Vec<u8> =
            words.flat_map(u64::to_le_bytes).skip(skipped).take((end - offset) as usize).collect();
        Ok(bytes.chunks_exact(T::BYTES).map(T::read).collect())
    }

    /// The buffer that holds an address, which need not be its first.
    pub fn find(&self, address: u64) -> Option<Buffer> {
        let (address, bytes) = GlobalMemory { allocations: &self.allocations }
            .find(address, &mut 0)
            .map(|found| (found.base, found.bytes))?;
        Some(Buffer { address, bytes })
    }

    /// What the device is.
    pub fn config(&self) -> Config {
        self.config
    }

    /// Bytes of memory that are left.
    pub fn free_bytes(&self) -> u64 {
        self.config.memory_bytes - self.used
    }

    /// Ends a buffer's life.
    pub fn free(&mut self, buffer: Buffer) -> Result<(), MemoryError> {
        let bytes = self.allocation(buffer)?.bytes;
        self.allocations.retain(|a| a.base != buffer.address);
        self.used -= bytes;
        Ok(())
    }

    fn allocation(&mut self, buffer: Buffer) -> Result<&mut Allocation, MemoryError> {
        let at = self.allocations.binary_search_by_key(&buffer.address, |a| a.base);
        let found = at.ok().and_then(|at| self.allocations.get_mut(at));
        found.ok_or(MemoryError::NoBuffer { address: buffer.address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device::new(Config { memory_bytes: 1 << 20, ..Config::default() })
    }

    #[test]
    fn what_is_written_is_read_back_at_any_offset_and_length() {
        let mut device = device();
        let buffer = device.alloc(13).unwrap();
        device.write(buffer, 3, &[1_u8, 2, 3]).unwrap();
        device.write(buffer, 8, &[9_u8, 8, 7, 6, 5]).unwrap();
        assert_eq!(device.download::<u8>(buffer).unwrap(), [0, 0, 0, 1, 2, 3, 0, 0, 9, 8, 7, 6, 5]);
        assert_eq!(device.read::<u8>(buffer, 4, 9).unwrap(), [2, 3, 0, 0, 9, 8, 7, 6, 5]);
        assert_eq!(device.read::<u16>(buffer, 3, 1).unwrap(), [0x201]);
        assert_eq!(device.read::<u16>(buffer, 10, 2), Err(MemoryError::TooLong { bytes: 14, buffer: 13 }));
        assert_eq!(device.find(buffer.address + 12), Some(buffer));
        assert_eq!(device.find(buffer.address + 13), None);
        let floats = device.upload(&[1.5_f32, -2.0, 0.25]).unwrap();
        assert_eq!(device.download::<f32>(floats).unwrap(), [1.5, -2.0, 0.25]);
        let empty = device.upload::<f32>(&[]).unwrap();
        assert_eq!(device.download::<f32>(empty).unwrap(), [0.0; 0]);
    }

    #[test]
    fn misuse_is_an_error_with_the_numbers() {
        let mut device = device();
        let buffer = device.alloc(8).unwrap();
        assert_eq!(device.write(buffer, 4, &[0_u64]), Err(MemoryError::TooLong { bytes: 12, buffer: 8 }));
        device.free(buffer).unwrap();
        assert_eq!(device.free(buffer), Err(MemoryError::NoBuffer { address: buffer.address }));
        let free = 1 << 20;
        assert_eq!(device.alloc(free + 1), Err(MemoryError::OutOfMemory { bytes: free + 1, free }));
        assert!(device.alloc(free).is_ok());
    }
}
