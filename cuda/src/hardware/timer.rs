//! How long the GPU takes for some launches: events in the stream before and after them, which have the GPU's own time.
//!
//! Where a driver keeps no time, as the emulator's, the host's clock is read instead, around launches that are waited for; the result
//! says which it was.

use super::Hardware;
use super::api::{Handle, code};
use super::device::Gpu;
use crate::driver::{Driver, DriverError};
use std::time::Instant;

/// Whose time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The GPU's: between two events.
    Events,
    /// The host's: with the cost of launching and waiting.
    Host,
}

impl Clock {
    /// For a report.
    pub fn name(self) -> &'static str {
        match self {
            Clock::Events => "events",
            Clock::Host => "host",
        }
    }
}

/// An event, gone with its end.
struct Event<'a>(&'a Gpu, Handle);

impl<'a> Event<'a> {
    fn new(gpu: &'a Gpu) -> Result<Event<'a>, DriverError> {
        let mut event = Handle::NULL;
        // SAFETY: a place for a handle; no flags.
        gpu.checked("making an event", unsafe { (gpu.api.event)(&mut event, 0) })?;
        Ok(Event(gpu, event))
    }
    fn record(&self) -> Result<(), DriverError> {
        // SAFETY: a live event and our stream.
        self.0.checked("recording an event", unsafe { (self.0.api.record)(self.1, self.0.stream) })
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: a live event, which nobody has any more.
        unsafe { (self.0.api.end_event)(self.1) };
    }
}

impl Hardware {
    /// Seconds that the GPU takes for what `body` launches.
    ///
    /// # Errors
    /// The driver's, or those of `body`.
    pub fn seconds<E: From<DriverError>>(
        &self,
        body: impl FnOnce() -> Result<(), E>,
    ) -> Result<(f64, Clock), E> {
        let gpu = self.open_gpu()?;
        self.synchronize()?;
        let (before, after) = (Event::new(gpu)?, Event::new(gpu)?);
        let begun = Instant::now();
        before.record()?;
        body()?;
        after.record()?;
        self.synchronize()?;
        let host = begun.elapsed().as_secs_f64();
        let mut ms = 0.0_f32;
        // SAFETY: a place for a number; both events are recorded and past.
        match unsafe { (gpu.api.between)(&mut ms, before.1, after.1) } {
            code::NOT_SUPPORTED => Ok((host, Clock::Host)),
            other => {
                gpu.checked("reading the GPU's time", other)?;
                Ok((f64::from(ms) / 1e3, Clock::Events))
            }
        }
    }
}
