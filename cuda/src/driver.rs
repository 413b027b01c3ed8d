//! The thin layer under the backend: memory, copies and launches of one device.

use crate::bundle::Bundled;

/// Why a driver refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// Memory: full, or not of this device.
    #[error("device memory: {0}")]
    Memory(String),
    /// The kernel's text cannot be loaded.
    #[error("loading a kernel: {0}")]
    Load(String),
    /// The arguments are not those of the kernel.
    #[error("{kernel}: {what}")]
    Arguments {
        /// The kernel.
        kernel: String,
        /// What differs.
        what: String,
    },
    /// The launch failed.
    #[error("{kernel}: {what}")]
    Launch {
        /// The kernel.
        kernel: String,
        /// The device's words.
        what: String,
    },
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A device address.
    Address(u64),
    /// A count or a choice.
    U32(u32),
    /// A seed, or a place in a stream.
    U64(u64),
    /// A number.
    F32(f32),
    /// A number of more digits.
    F64(f64),
    /// A struct by value, as its bytes.
    Bytes(Vec<u8>),
}

/// A launch: which kernel, how many threads, with what.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The operation that it is a part of.
    pub op: &'static str,
    /// The file it is in.
    pub module: &'static Bundled,
    /// Its name.
    pub kernel: &'a str,
    /// Blocks.
    pub grid: u32,
    /// Threads of a block.
    pub block: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub shared_bytes: u32,
    /// In the order of its parameters.
    pub args: &'a [Value],
    /// Bytes that its arguments say it reads and writes.
    pub bytes: f64,
}

/// One device. All calls are in the order of one stream.
pub trait Driver: Send + Sync {
    /// What errors call it.
    fn name(&self) -> &'static str;
    /// New memory, aligned to 256 bytes.
    fn alloc(&self, bytes: u64) -> Result<u64, DriverError>;
    /// The end of what `alloc` gave.
    fn free(&self, address: u64, bytes: u64) -> Result<(), DriverError>;
    /// Does memory that was freed stay with the pool? Not where every allocation is to be checked on its own.
    fn may_reuse(&self) -> bool;
    /// Fill memory that begins at `address`, where an allocation does.
    fn upload(&self, address: u64, data: &[u8]) -> Result<(), DriverError>;
    /// Read it back. `None` from a driver that computes nothing.
    fn download(&self, address: u64, bytes: u64) -> Result<Option<Vec<u8>>, DriverError>;
    /// Run a kernel.
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DriverError>;
}
