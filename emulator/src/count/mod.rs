//! What is counted while a kernel runs, per instruction of the program; lines and classes are sums over these.
//!
//! Global memory moves in sectors of 32 bytes. A warp's access touches some number of them and would need only as many as
//! its distinct bytes fill: the ratio is what coalescing wins. Shared memory has 32 banks of 4 bytes; an access takes one
//! wavefront for as many distinct words as its worst bank has. Both are counted by definition, from the addresses.
//!
//! Read next: `table.rs` (what a person sees), `occupancy.rs` (how many blocks fit on a GPU).

mod banks;
pub(crate) mod classes;
mod occupancy;
mod sectors;
mod table;

pub(crate) use banks::wavefronts;
pub use classes::Class;
pub use occupancy::{Gpu, Occupancy, occupancy};
pub(crate) use sectors::{min_sectors, sectors};
pub use table::{Counters, LineCount};

/// The counts of one instruction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PcCount {
    /// Times a warp executed it.
    pub warps: u64,
    /// Active lanes, summed.
    pub lanes: u64,
    /// Global sectors touched, and the fewest that its bytes would fit into.
    pub sectors: u64,
    pub min_sectors: u64,
    /// Shared wavefronts, and requests (the fewest there could be).
    pub wavefronts: u64,
    pub requests: u64,
    /// Branches that split a warp.
    pub splits: u64,
}

impl PcCount {
    pub fn add(&mut self, other: &PcCount) {
        self.warps += other.warps;
        self.lanes += other.lanes;
        self.sectors += other.sectors;
        self.min_sectors += other.min_sectors;
        self.wavefronts += other.wavefronts;
        self.requests += other.requests;
        self.splits += other.splits;
    }
}
