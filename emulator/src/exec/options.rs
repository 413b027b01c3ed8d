//! What can be chosen for a launch.

use crate::check::Checks;

/// Choices of a launch. The default checks everything, counts, and runs blocks on all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rules beyond bounds, alignment and limits.
    pub checks: Checks,
    /// Count instructions, sectors, wavefronts.
    pub counters: bool,
    /// Run blocks and warps in an order that this seed shuffles, changing warps after random numbers of instructions.
    pub order: Option<u64>,
    /// Move results of approximate instructions by pseudo-random parts of their documented error bounds.
    pub perturb: Option<u64>,
    /// Cut the sums of matrix products to fewer bits than any GPU keeps.
    pub truncate_mma: bool,
    /// Worker threads; all cores if `None`. With one, atomic floating-point sums have a fixed order.
    pub threads: Option<usize>,
    /// Warp instructions that one block may execute before the launch counts as hanging.
    pub budget: u64,
    /// Use no vector instructions beyond what every machine has. The bits are the same.
    pub portable: bool,
    /// Registers per thread, where they are known from the real compiler: checked against the register file.
    pub registers: Option<u32>,
    /// Was the kernel's attribute for more than 48 KiB of dynamic shared memory set?
    pub large_shared: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            checks: Checks::ALL,
            counters: true,
            order: None,
            perturb: None,
            truncate_mma: false,
            threads: None,
            budget: 1 << 32,
            portable: false,
            registers: None,
            large_shared: false,
        }
    }
}

impl Options {
    /// Bounds, alignment and limits only: the fastest.
    pub fn fast() -> Options {
        Options { checks: Checks::NONE, counters: false, ..Options::default() }
    }
}
