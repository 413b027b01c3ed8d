//! Where the time goes: calls, wall time, bytes and floating-point operations of every kernel.
//!
//! Off unless somebody asks: a kernel call then costs one relaxed load more. When on, the public function of a kernel
//! holds a [`Timed`] while it runs. Time is exclusive: if a kernel calls another one, the inner call's time and work are
//! taken off the outer's, so the rows add up to the time spent in kernels. Argument checks stand before the clock starts.
//! Read next: [`crate::registry::Cost`], whose formulas these are.

use crate::registry::Cost;
use crate::view::ViewMut;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What all calls of one kernel did together, without the kernels that they called.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// How often it was called.
    pub calls: u64,
    /// Wall time.
    pub time: Duration,
    /// Floating-point operations, and bytes that must move at least once.
    pub cost: Cost,
}

static ON: AtomicBool = AtomicBool::new(false);
static TOTALS: Mutex<BTreeMap<&'static str, Totals>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Time and work of the calls made so far by the call that runs now on this thread.
    static INNER: Cell<(Duration, Cost)> = const { Cell::new((Duration::ZERO, Cost { flops: 0.0, bytes: 0.0 })) };
}

/// A poisoned lock is used all the same: the table is consistent between additions.
fn totals() -> MutexGuard<'static, BTreeMap<&'static str, Totals>> {
    TOTALS.lock().unwrap_or_else(|e| e.into_inner())
}

/// Forget what was recorded, and record from now on.
pub fn start() {
    totals().clear();
    ON.store(true, Ordering::Relaxed);
}

/// Is anything recorded?
#[inline]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Stop recording: every kernel that was called, by name.
pub fn stop() -> Vec<(&'static str, Totals)> {
    ON.store(false, Ordering::Relaxed);
    std::mem::take(&mut *totals()).into_iter().collect()
}

/// A call in progress; it ends when this is dropped.
#[must_use = "the call is timed until this is dropped: `let _timed = …`"]
pub struct Timed(Option<Running>);

struct Running {
    name: &'static str,
    cost: Cost,
    begun: Instant,
    /// What the calling kernel had collected of its own inner calls.
    outer: (Duration, Cost),
}

/// Begin a call of kernel `name`. `cost` is asked only when recording.
#[inline]
pub fn call(name: &'static str, cost: impl FnOnce() -> Cost) -> Timed {
    if !is_on() {
        return Timed(None);
    }
    let (cost, outer) = (cost(), INNER.take());
    Timed(Some(Running { name, cost, begun: Instant::now(), outer }))
}

/// Traffic of an output: written, and read before if the kernel adds to it.
pub fn written(out: &ViewMut<'_>, adds: bool) -> f64 {
    if adds { 2.0 * out.traffic() } else { out.traffic() }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let Some(Running { name, cost, begun, outer }) = self.0.take() else { return };
        let whole = begun.elapsed();
        let (inner_time, inner_cost) = INNER.take();
        INNER.set((
            outer.0 + whole,
            Cost { flops: outer.1.flops + cost.flops, bytes: outer.1.bytes + cost.bytes },
        ));
        let mut totals = totals();
        let row = totals.entry(name).or_default();
        row.calls += 1;
        row.time += whole.saturating_sub(inner_time);
        row.cost.flops += (cost.flops - inner_cost.flops).max(0.0);
        row.cost.bytes += (cost.bytes - inner_cost.bytes).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_call_is_taken_off_the_outer_one() {
        // Names of this test's own: other tests of this process may be recorded meanwhile.
        start();
        let pause = Duration::from_millis(20);
        {
            let _outer = call("test: outer", || Cost { flops: 10.0, bytes: 3.0 });
            for _ in 0..2 {
                let _inner = call("test: inner", || Cost { flops: 4.0, bytes: 2.0 });
                std::thread::sleep(pause);
            }
        }
        drop(call("test: next", || Cost { flops: 7.0, bytes: 0.0 }));
        let all: BTreeMap<_, _> = stop().into_iter().collect();
        let (outer, inner, next) = (all["test: outer"], all["test: inner"], all["test: next"]);
        assert_eq!((outer.calls, inner.calls, next.calls), (1, 2, 1));
        assert!(inner.time >= 2 * pause && outer.time < pause, "{outer:?} {inner:?}");
        assert_eq!((outer.cost, inner.cost.flops), (Cost { flops: 2.0, bytes: 0.0 }, 8.0));
        assert_eq!(next.cost.flops, 7.0, "a call after the outer one is not inside it");
        drop(call("test: off", || unreachable!("nothing is recorded")));
        assert!(!is_on() && !totals().contains_key("test: off"));
    }
}
