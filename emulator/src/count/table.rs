//! Counters as a person reads them: totals, by class, and by line of the source.

use super::classes::{Class, class};
use super::{PcCount, classes};
use crate::code::Program;
use std::collections::BTreeMap;
use std::fmt;

/// Sums over a whole launch, or over one line of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCount {
    /// Instructions executed by warps.
    pub warp_instructions: u64,
    /// Instructions executed by lanes: below 32 times the former where warps were divergent or not full.
    pub lane_instructions: u64,
    /// Sectors of 32 bytes of global memory that were touched.
    pub sectors: u64,
    /// The fewest sectors that the same bytes would have needed.
    pub min_sectors: u64,
    /// Wavefronts of shared memory.
    pub wavefronts: u64,
    /// Requests of shared memory: wavefronts without bank conflicts.
    pub requests: u64,
    /// Branches that split a warp.
    pub splits: u64,
}

impl LineCount {
    fn add(&mut self, count: &PcCount) {
        self.warp_instructions += count.warps;
        self.lane_instructions += count.lanes;
        self.sectors += count.sectors;
        self.min_sectors += count.min_sectors;
        self.wavefronts += count.wavefronts;
        self.requests += count.requests;
        self.splits += count.splits;
    }
}

/// What a launch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sums over everything.
    pub total: LineCount,
    /// Instructions executed by warps, by class.
    pub classes: BTreeMap<Class, u64>,
    /// By file number and line of the CUDA source; (0, 0) without `.loc`.
    pub lines: BTreeMap<(u32, u32), LineCount>,
    /// By line of the PTX.
    pub ptx_lines: BTreeMap<u32, LineCount>,
    /// Global sectors touched by loads alone, and the fewest that would do.
    pub load_sectors: (u64, u64),
    /// The same for stores.
    pub store_sectors: (u64, u64),
    /// Barriers executed by warps.
    pub barriers: u64,
}

impl Counters {
    pub(crate) fn new(program: &Program, counts: &[PcCount]) -> Counters {
        let mut counters = Counters::default();
        for ((inst, place), count) in program.insts.iter().zip(&program.places).zip(counts) {
            if count.warps == 0 {
                continue;
            }
            let class = class(&inst.op);
            counters.total.add(count);
            *counters.classes.entry(class).or_default() += count.warps;
            counters.lines.entry((place.file, place.cuda_line)).or_default().add(count);
            counters.ptx_lines.entry(place.line).or_default().add(count);
            let of = match class {
                classes::Class::GlobalLoad | classes::Class::AsyncCopy => Some(&mut counters.load_sectors),
                classes::Class::GlobalStore => Some(&mut counters.store_sectors),
                _ => None,
            };
            if let Some(sectors) = of {
                sectors.0 += count.sectors;
                sectors.1 += count.min_sectors;
            }
            counters.barriers += if class == Class::Barrier { count.warps } else { 0 };
        }
        counters
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        let full = (32 * total.warp_instructions).max(1) as f64;
        writeln!(f, "warp instructions    {:>12}", total.warp_instructions)?;
        let active = 100.0 * total.lane_instructions as f64 / full;
        writeln!(
            f,
            "lane instructions    {:>12}   {active:.1} % of the lanes active",
            total.lane_instructions
        )?;
        writeln!(f, "branches that split  {:>12}", total.splits)?;
        writeln!(f, "barriers             {:>12}", self.barriers)?;
        let (loads, stores) = (self.load_sectors, self.store_sectors);
        writeln!(f, "sectors loaded       {:>12}   at least {} needed", loads.0, loads.1)?;
        writeln!(f, "sectors stored       {:>12}   at least {} needed", stores.0, stores.1)?;
        writeln!(f, "shared wavefronts    {:>12}   for {} requests", total.wavefronts, total.requests)?;
        for (class, count) in &self.classes {
            writeln!(f, "  {:<18} {count:>12}", format!("{class:?}"))?;
        }
        Ok(())
    }
}
