//! Execution. A warp is 32 lanes in lock-step: one instruction at a time, for the lanes of a mask. Lanes that went different
//! ways are fragments of the warp; the one with the lowest program counter runs, and fragments that meet at an instruction
//! become one again (minimum-PC reconvergence).
//!
//! Read next: `warp.rs` (fragments), `step.rs` (one instruction), `block.rs` (warps and barriers), `launch.rs` (blocks on
//! all cores).

mod addresses;
mod approx;
mod async_copy;
mod atomics;
mod block;
mod context;
mod convert;
mod exchange;
mod float;
mod global_access;
mod integer;
mod launch;
mod loads;
mod matrix;
mod options;
mod registers;
mod report;
mod request;
mod simd;
mod step;
mod trace;
mod warp;
mod watch;

pub(crate) use launch::launch;
pub use options::Options;
pub(crate) use registers::lanes;
pub use report::Report;
pub use request::{Arg, Launch};
pub use trace::Step;
