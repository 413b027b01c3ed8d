//! The kernels in CUDA C++ as a backend, over one thin driver.
//!
//! [`Cuda`] implements the operations of `kernels` by launching the kernels of `kernels/src/<op>/<op>.cu`. Below it is a
//! [`Driver`]: [`Hardware`] is a GPU, [`Emulated`] runs their PTX on the emulator with every checker on, [`DryRun`] only records what
//! would have run. The code above the driver is the same for all three. An operation without a CUDA kernel is refused with
//! `KernelError::Unsupported`, never computed elsewhere.
//!
//! Arguments in the device's own memory ([`Memory`]) are used where they are; those in host memory are copied there and back
//! around each call, as the registry's checks do. Reading order: `driver.rs`, `call.rs`,
//! `ops/rms_norm.rs`, then the `.cu` file beside the CPU version.

pub mod bundle;
mod call;
mod driver;
mod dry_run;
mod emulated;
mod gemm;
pub mod hardware;
mod memory;
mod ops;
mod pool;
mod replay;
mod signature;
mod verify;

pub use driver::{Driver, DriverError, Launch, Unavailable, Value};
pub use dry_run::{DryRun, Recorded};
pub use emulated::{Emulated, Together};
pub use gemm::{Gemm, Stored};
pub use hardware::Hardware;
pub use memory::Memory;
pub use ops::Rung;
pub use pool::Statistics;
pub use replay::Replay;
pub use verify::{has_kernel, verify};

use pool::Pool;
use std::sync::atomic::AtomicU64;

/// The CUDA backend over a driver.
pub struct Cuda<D: Driver> {
    driver: D,
    pool: Pool,
    rung: Rung,
    waits: AtomicU64,
    /// Gives back memory that others keep for later.
    reclaim: fn(),
}

impl<D: Driver> Cuda<D> {
    /// Over `driver`.
    pub fn new(driver: D) -> Cuda<D> {
        Cuda {
            driver,
            pool: Pool::default(),
            rung: Rung::default(),
            waits: AtomicU64::new(0),
            reclaim: || {},
        }
    }
    /// The same, with matrix products by this rung of the ladder.
    pub fn with_matmul(self, rung: Rung) -> Cuda<D> {
        Cuda { rung, ..self }
    }
    /// The same, where `reclaim` makes others give back what they keep of the driver's memory for later: called when that is full.
    pub fn with_reclaim(self, reclaim: fn()) -> Cuda<D> {
        Cuda { reclaim, ..self }
    }
    /// The driver.
    pub fn driver(&self) -> &D {
        &self.driver
    }
    /// What the allocator did so far.
    pub fn statistics(&self) -> Statistics {
        self.pool.statistics()
    }
}
