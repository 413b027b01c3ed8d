//! How fast is this machine, and how close does a kernel come?
//!
//! [`roofline()`] measures what bounds every kernel: multiply-adds per second, and bytes per second at each distance from
//! the processor. [`run`](mod@run) times kernels on the real shapes that the registry names (`KernelInfo::bench`), and says
//! which fraction of the roof they reach. Everything that measures uses this: `nanochat bench kernels`, `nanochat doctor`, the
//! criterion benchmarks. Nothing here prints.
//! Where to read next: [`roofline`](mod@roofline) for the model, `peak.rs` and `bandwidth.rs` for the loops, [`clock`] for the timing.

mod bandwidth;
pub mod clock;
mod peak;
pub mod roofline;
pub mod run;

pub use roofline::Roofline;

/// The roof over everything that the calling thread's kernels can do, with as many threads and the vector instructions
/// that they would use now. Takes about a second; keep the result.
pub fn roofline() -> Roofline {
    Roofline::measure(roofline::USUAL)
}
