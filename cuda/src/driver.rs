//! The thin layer under the backend: memory, copies and launches of one device.

use crate::bundle::Bundled;
use crate::gemm::Gemm;

/// Why there is no GPU to compute on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The driver's library is nowhere.
    #[error("no CUDA driver: {tried} cannot be loaded; install NVIDIA's driver, or use --device cpu")]
    NoDriver {
        /// The names that were looked for.
        tried: String,
    },
    /// The driver is there, and older than what the kernels' PTX needs.
    #[error(
        "the CUDA driver is too old ({has}); kernels need one of CUDA 12.0 (version 525) or later: update NVIDIA's driver"
    )]
    OldDriver {
        /// Its version, or what it lacks.
        has: String,
    },
    /// The driver has no such GPU.
    #[error(
        "there is no GPU {asked}: the driver sees {seen}; choose another with --device cuda:N, or use --device cpu"
    )]
    NoDevice {
        /// The number asked for.
        asked: usize,
        /// How many there are.
        seen: usize,
    },
    /// The GPU lacks what the kernels are made of: bf16 products and asynchronous copies.
    #[error(
        "{name} has compute capability {major}.{minor}; kernels need 8.0 (Ampere) or later: use --device cpu"
    )]
    OldGpu {
        /// The GPU's name.
        name: String,
        /// Its compute capability, before the point.
        major: i32,
        /// And after it.
        minor: i32,
    },
}

/// Why a driver refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// There is no GPU that could be used.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The GPU's memory is full.
    #[error(
        "{bytes} bytes of device memory were asked for, {free} of {total} are free; `nanochat plan` says what fits"
    )]
    Full {
        /// Asked for.
        bytes: u64,
        /// Left on the device.
        free: u64,
        /// All that it has.
        total: u64,
    },
    /// A call of NVIDIA's library failed. It may be an earlier launch that did: a GPU runs behind the program.
    #[error("{what}: {reason}; launched before, the newest first: {launches}")]
    Failed {
        /// What was tried.
        what: String,
        /// The library's words.
        reason: String,
        /// The latest launches.
        launches: String,
    },
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
    /// Is there a device behind it?
    fn usable(&self) -> Result<(), DriverError> {
        Ok(())
    }
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
    /// `c = alpha·a·b + beta·c` by NVIDIA's library. `false` where there is none, or none for these types: then a kernel of ours
    /// multiplies.
    fn gemm(&self, _op: &'static str, _product: &Gemm) -> Result<bool, DriverError> {
        Ok(false)
    }
    /// Wait until all that was asked for is done.
    fn synchronize(&self) -> Result<(), DriverError> {
        Ok(())
    }
    /// Run a kernel.
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DriverError>;
}
