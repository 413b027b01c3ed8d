//! The rules a kernel must keep, and the bookkeeping that finds out when it does not.
//!
//! What a GPU would hide is judged by meaning, not by what happened to come first here: two accesses race if nothing orders
//! them, in whatever order this machine ran them. Bounds and alignment are always checked; the rest can be chosen.
//!
//! Read next: `shared.rs` (clocks of warps, races in shared memory), `global.rs` (races between blocks).

mod global;
mod shared;
mod trap;

pub(crate) use global::{GlobalLog, LogKind, MAX_RUNS, Run, conflict};
pub(crate) use shared::{Actor, SharedShadow};
pub(crate) use trap::{Other, Trap};

/// Which rules are checked beyond bounds, alignment and launch limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Reads of registers, shared, global and local memory that nothing has written.
    pub uninitialized: bool,
    /// Races in shared memory, between warps and inside a warp; data of `cp.async` before its wait.
    pub shared_races: bool,
    /// Races between blocks in global memory, and `.nc` loads of what the launch writes.
    pub global_races: bool,
    /// Warps of a block that meet at different barrier instructions.
    pub barriers: bool,
}

impl Checks {
    /// Every rule.
    pub const ALL: Checks =
        Checks { uninitialized: true, shared_races: true, global_races: true, barriers: true };
    /// Bounds, alignment and launch limits only.
    pub const NONE: Checks =
        Checks { uninitialized: false, shared_races: false, global_races: false, barriers: false };

    pub(crate) fn any(&self) -> bool {
        *self != Checks::NONE
    }
}

impl Default for Checks {
    /// Every rule.
    fn default() -> Checks {
        Checks::ALL
    }
}
