//! Memory of the device for those who keep tensors there: blocks, and copies between them and the host.
//!
//! A copy to the host waits for everything launched before: it is counted, so that a test can say how often a training
//! step waits.

use crate::driver::DriverError;
use crate::{Cuda, Driver};
use std::sync::atomic::Ordering;

/// What a tensor library needs of a device.
pub trait Memory: Send + Sync {
    /// Is there a device at all?
    ///
    /// # Errors
    /// Why there is none.
    fn usable(&self) -> Result<(), DriverError>;
    /// A block of so many bytes; `None` if there is no room.
    fn take(&self, bytes: usize) -> Option<usize>;
    /// The end of what `take` gave.
    fn give_back(&self, address: usize, bytes: usize);
    /// Writes a block's beginning.
    ///
    /// # Errors
    /// The driver's.
    fn upload(&self, address: usize, data: &[u8]) -> Result<(), DriverError>;
    /// Reads a block's beginning; zeros where nothing is computed.
    ///
    /// # Errors
    /// The driver's.
    fn download(&self, address: usize, bytes: usize) -> Result<Vec<u8>, DriverError>;
    /// How often somebody read: the host waited for the device.
    fn waits(&self) -> u64;
}

impl<D: Driver> Memory for Cuda<D> {
    fn usable(&self) -> Result<(), DriverError> {
        self.driver.usable()
    }
    fn take(&self, bytes: usize) -> Option<usize> {
        let again = || {
            self.pool.trim(&self.driver)?; // what operations keep for their next call may be what is missing
            self.driver.alloc(bytes as u64)
        };
        let address = self.driver.alloc(bytes as u64).or_else(|_| again()).ok()?;
        usize::try_from(address).ok()
    }
    fn give_back(&self, address: usize, bytes: usize) {
        // nothing can be done about memory that the driver does not take back
        let _ = self.driver.free(address as u64, bytes as u64);
    }
    fn upload(&self, address: usize, data: &[u8]) -> Result<(), DriverError> {
        if data.is_empty() { Ok(()) } else { self.driver.upload(address as u64, data) }
    }
    fn download(&self, address: usize, bytes: usize) -> Result<Vec<u8>, DriverError> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        let data = if bytes == 0 { None } else { self.driver.download(address as u64, bytes as u64)? };
        Ok(data.unwrap_or_else(|| vec![0; bytes]))
    }
    fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }
}
