//! The caching allocator: memory that was freed is kept by size and given out again, so that a step that has run once
//! asks the driver for nothing new.

use crate::driver::{Driver, DriverError};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the allocator did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes in use now.
    pub in_use: u64,
    /// The most that were in use at once.
    pub peak: u64,
    /// Times the driver was asked.
    pub from_driver: u64,
    /// Times freed memory was used again.
    pub reused: u64,
}

#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: BTreeMap<u64, Vec<u64>>,
    statistics: Statistics,
}

/// Sizes are whole multiples of this where memory is used again.
const GRAIN: u64 = 512;

fn size(driver: &dyn Driver, bytes: u64) -> u64 {
    if driver.may_reuse() { bytes.max(1).next_multiple_of(GRAIN) } else { bytes.max(1) }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn statistics(&self) -> Statistics {
        self.state().statistics
    }
    /// Memory, freed or new. Where the device has no more, everything that is kept for later goes back first: here, and by `reclaim`,
    /// which others left for this.
    pub fn alloc(&self, driver: &dyn Driver, bytes: u64, reclaim: fn()) -> Result<u64, DriverError> {
        match self.take(driver, bytes) {
            Err(DriverError::Full { .. }) => {
                self.trim(driver)?;
                reclaim(); // the lock is not held: it may ask for what is in use
                self.take(driver, bytes)
            }
            other => other,
        }
    }
    fn take(&self, driver: &dyn Driver, bytes: u64) -> Result<u64, DriverError> {
        let (mut state, size) = (self.state(), size(driver, bytes));
        let address = match state.free.get_mut(&size).and_then(Vec::pop) {
            Some(address) => {
                state.statistics.reused += 1;
                address
            }
            None => {
                let address = driver.alloc(size)?;
                state.statistics.from_driver += 1;
                address
            }
        };
        state.statistics.in_use += size;
        state.statistics.peak = state.statistics.peak.max(state.statistics.in_use);
        Ok(address)
    }
    /// Gives all that is kept for later back to the driver.
    pub fn trim(&self, driver: &dyn Driver) -> Result<(), DriverError> {
        let kept = std::mem::take(&mut self.state().free);
        let mut blocks =
            kept.iter().flat_map(|(size, free)| free.iter().map(move |address| (*address, *size)));
        blocks.try_for_each(|(address, size)| driver.free(address, size))
    }
    pub fn free(&self, driver: &dyn Driver, address: u64, bytes: u64) -> Result<(), DriverError> {
        let (mut state, size) = (self.state(), size(driver, bytes));
        state.statistics.in_use -= size;
        if !driver.may_reuse() {
            return driver.free(address, size);
        }
        state.free.entry(size).or_default().push(address);
        Ok(())
    }
}
