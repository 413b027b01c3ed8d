//! The driver that only records: addresses without memory behind them, launches that do not run.

use crate::driver::{Driver, DriverError, Launch};
use std::sync::{Mutex, PoisonError};

/// A launch that would have run.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The operation that it is a part of.
    pub op: &'static str,
    /// The kernel.
    pub kernel: String,
    /// Blocks, and threads of each.
    pub threads: (u32, u32),
    /// Bytes that its arguments say it reads and writes.
    pub bytes: f64,
}

/// Records launches, computes nothing.
#[derive(Debug, Default)]
pub struct DryRun {
    state: Mutex<(u64, Vec<Recorded>)>,
}

impl DryRun {
    /// What was launched so far, in order; it begins anew.
    pub fn take_launches(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).1)
    }
    /// What was launched so far, in order.
    pub fn launches(&self) -> Vec<Recorded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

impl Driver for DryRun {
    fn name(&self) -> &'static str {
        "dry-run"
    }
    fn alloc(&self, bytes: u64) -> Result<u64, DriverError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let address = state.0.max(256);
        let end = address.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(256));
        state.0 = end.ok_or_else(|| DriverError::Memory(format!("{bytes} bytes leave the address space")))?;
        Ok(address)
    }
    fn free(&self, _: u64, _: u64) -> Result<(), DriverError> {
        Ok(())
    }
    fn may_reuse(&self) -> bool {
        true
    }
    fn upload(&self, _: u64, _: &[u8]) -> Result<(), DriverError> {
        Ok(())
    }
    fn download(&self, _: u64, _: u64) -> Result<Option<Vec<u8>>, DriverError> {
        Ok(None)
    }
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DriverError> {
        let threads = (launch.grid, launch.block);
        let recorded = Recorded { op: launch.op, kernel: launch.kernel.into(), threads, bytes: launch.bytes };
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.push(recorded);
        Ok(())
    }
}
