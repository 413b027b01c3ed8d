//! What can go wrong, as data: a text that is not accepted (`LoadError`), a launch that broke a rule (`Fault`).
//!
//! A fault carries where it happened in every coordinate a person could ask for: kernel, line of the PTX, line of the
//! CUDA source where `.loc` gives it, block, warp and lane; and, where two parties are needed for it, the other one.
//!
//! Read next: `check/mod.rs` for the rules that raise faults.

use std::fmt;

/// A PTX text that was refused, and where. Nothing is skipped or guessed: whatever is not understood ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The name given to `Module::load`.
    pub file: String,
    /// Line of the PTX, from 1.
    pub line: u32,
    /// What was found, and what would be accepted.
    pub message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for LoadError {}

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The arguments do not fit the kernel's parameters, or there is no such kernel.
    Arguments,
    /// A launch limit: threads, registers, shared memory, grid.
    LaunchLimit,
    /// An address outside every allocation, or outside shared, local or parameter memory.
    OutOfBounds,
    /// An address that is not a multiple of the access's width.
    Misaligned,
    /// A write to constant or read-only memory.
    ReadOnly,
    /// A register was read before it was written.
    UninitRegister,
    /// Shared memory was read before it was written.
    UninitShared,
    /// Global memory was read that neither the host nor a kernel has written.
    UninitGlobal,
    /// Local memory was read before it was written.
    UninitLocal,
    /// Two warps touched the same shared memory with no barrier between them, at least one of them writing.
    SharedRace,
    /// Two lanes of one warp did so with no `bar.warp.sync` between them.
    WarpRace,
    /// Two blocks of one launch touched the same global memory, at least one of them writing, not both atomically.
    GlobalRace,
    /// A load through the read-only path (`.nc`) of something that the same launch writes.
    StaleRead,
    /// Data of a `cp.async` was touched before the wait that completes it.
    InFlight,
    /// Threads of a block meet at different barriers, or a part of a warp cannot reach the barrier.
    DivergentBarrier,
    /// A `.sync` instruction whose member mask does not fit the lanes that execute it.
    MemberMask,
    /// All warps that are left wait for something that cannot happen.
    Deadlock,
    /// The launch executed more instructions than its budget.
    Budget,
    /// An integer division by zero, whose result the PTX manual leaves open.
    DivisionByZero,
    /// The kernel needs something of the device that it does not have (a newer architecture).
    Unsupported,
}

/// The other access of a race, or the other thread of a disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// What it did, in words.
    pub action: &'static str,
    /// Index of its block in the grid.
    pub block: [u32; 3],
    /// Its warp in the block.
    pub warp: u32,
    /// Its lane in the warp, where one lane can be named.
    pub lane: Option<u32>,
    /// Its place in the source.
    pub place: Place,
}

/// A place in the source: a line of the PTX and, where `.loc` gives it, of the CUDA file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line of the PTX, from 1; 0 where there is none (a launch limit).
    pub ptx_line: u32,
    /// The CUDA file and its line.
    pub cuda: Option<(String, u32)>,
    /// The statement, as the PTX has it.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}", self.ptx_line)?;
        if let Some((file, line)) = &self.cuda {
            write!(f, ", {file}:{line}")?;
        }
        if !self.text.is_empty() {
            write!(f, " `{}`", self.text)?;
        }
        Ok(())
    }
}

/// A launch that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which rule.
    pub kind: FaultKind,
    /// What happened, with the numbers.
    pub message: String,
    /// The kernel's name.
    pub kernel: String,
    /// Where in the source.
    pub place: Place,
    /// Index of the block in the grid.
    pub block: [u32; 3],
    /// The warp in the block.
    pub warp: u32,
    /// The lane in the warp, where one lane can be named.
    pub lane: Option<u32>,
    /// The other party, where the rule is about two.
    pub other: Option<Box<Party>>,
}

impl Fault {
    /// A fault of the launch as a whole, before any thread ran.
    pub(crate) fn of_launch(kind: FaultKind, kernel: &str, message: String) -> Fault {
        let place = Place::default();
        Fault { kind, message, kernel: kernel.into(), place, block: [0; 3], warp: 0, lane: None, other: None }
    }
}

fn lane_text(lane: Option<u32>) -> String {
    lane.map_or(String::new(), |lane| format!(", lane {lane}"))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}: {:?}: {}", self.kernel, self.kind, self.message)?;
        if self.place.ptx_line > 0 {
            let [x, y, z] = self.block;
            let lane = lane_text(self.lane);
            write!(f, "\n  at {}, block ({x}, {y}, {z}), warp {}{lane}", self.place, self.warp)?;
        }
        if let Some(other) = &self.other {
            let [x, y, z] = other.block;
            let lane = lane_text(other.lane);
            write!(f, "\n  against {} at {}, block ({x}, {y}, {z})", other.action, other.place)?;
            write!(f, ", warp {}{lane}", other.warp)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
