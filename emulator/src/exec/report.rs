//! What a launch that broke no rule gives back.

use crate::count::Counters;

/// The result of a launch.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was counted; all zero where that was switched off.
    pub counters: Counters,
    /// Warp instructions executed, always counted.
    pub warp_instructions: u64,
    /// Lane instructions executed: known only with counters.
    pub lane_instructions: u64,
    /// Blocks that ran.
    pub blocks: u64,
    /// Static and dynamic shared memory of a block.
    pub shared_bytes: u64,
    /// Registers of 32 bits alive at once: a lower bound of what a GPU needs.
    pub live_registers: u32,
    /// The check of races between blocks gave up because the blocks touched too many separate ranges.
    pub global_races_incomplete: bool,
}
