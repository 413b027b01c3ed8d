//! Races between blocks in global memory, by meaning: blocks of one launch have no order at all, so two of them may not
//! touch the same byte if one writes it, unless both do so atomically. And what is loaded through `.nc` may not be written
//! by the launch, not even by the same block.
//!
//! Each block writes down the ranges of bytes that it reads and writes; neighbouring ranges grow together, so a block that
//! works on rows needs few. After the launch, one sweep over the sorted ranges of all blocks finds overlaps. Blocks can run
//! in parallel and in any order: the finding is the same.

use super::{Other, Trap};
use crate::error::FaultKind;
use std::collections::BTreeMap;

/// What was done with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogKind {
    Read,
    /// Through the read-only path.
    Nc,
    Write,
    Atomic,
}

/// A range of bytes, and where the access that began it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    start: u64,
    end: u64,
    kind: LogKind,
    warp: u8,
    lane: u8,
    pc: u32,
    block: u64,
}

const COMPACT_AT: usize = 1 << 15;

/// More ranges than this (of all blocks) are not kept; the report then says that the check is incomplete.
pub(crate) const MAX_RUNS: usize = 1 << 23;

/// The log of one block.
#[derive(Default)]
pub(crate) struct GlobalLog {
    runs: Vec<Run>,
    /// By instruction: its last range, where a neighbour is likely to join.
    last: Vec<u32>,
    compact_at: usize,
    pub block: u64,
}

impl GlobalLog {
    pub fn new(instructions: usize) -> GlobalLog {
        GlobalLog { runs: Vec::new(), last: vec![u32::MAX; instructions], compact_at: COMPACT_AT, block: 0 }
    }

    /// Notes an access of `[start, end)`.
    #[inline]
    pub fn note(&mut self, kind: LogKind, start: u64, end: u64, pc: u32, warp: u32, lane: u32) {
        let last = &mut self.last[pc as usize];
        if let Some(run) = self.runs.get_mut(*last as usize).filter(|run| run.kind == kind) {
            if run.end == start {
                run.end = end;
                return;
            }
            if run.start <= start && end <= run.end {
                return;
            }
        }
        *last = self.runs.len() as u32;
        self.runs.push(Run { start, end, kind, warp: warp as u8, lane: lane as u8, pc, block: self.block });
        if self.runs.len() >= self.compact_at {
            self.compact();
            self.compact_at = (2 * self.runs.len()).max(COMPACT_AT);
        }
    }

    /// Joins what overlaps or touches, kind by kind.
    fn compact(&mut self) {
        self.last.fill(u32::MAX);
        self.runs.sort_unstable_by_key(|run| (run.kind, run.start, run.end));
        self.runs.dedup_by(|next, run| {
            let joins = run.kind == next.kind && next.start <= run.end;
            if joins {
                run.end = run.end.max(next.end);
            }
            joins
        });
    }

    /// The block ends: its ranges go to the launch's.
    pub fn drain(&mut self, all: &mut Vec<Run>) -> bool {
        self.compact();
        let room = MAX_RUNS.saturating_sub(all.len()) >= self.runs.len();
        if room {
            all.append(&mut self.runs);
        }
        self.runs.clear();
        self.compact_at = COMPACT_AT;
        room
    }
}

/// Ranges that reach beyond the place of the sweep, by their end. For reads it is enough to keep, for each end, one per
/// block; a write ends the sweep as soon as it meets anyone else.
type Open = BTreeMap<(u64, u64, u32), Run>;

/// The first overlap that breaks the rule, by address.
pub(crate) fn conflict(mut runs: Vec<Run>) -> Option<Box<Trap>> {
    runs.sort_unstable_by_key(|run| (run.start, run.block, run.kind, run.end, run.pc));
    let mut open: [Open; 4] = Default::default();
    for run in runs {
        for list in &mut open {
            while list.first_key_value().is_some_and(|(key, _)| key.0 <= run.start) {
                list.pop_first();
            }
        }
        let against: &[LogKind] = match run.kind {
            LogKind::Read => &[LogKind::Write, LogKind::Atomic],
            LogKind::Nc => &[LogKind::Write, LogKind::Atomic],
            LogKind::Write => &[LogKind::Write, LogKind::Atomic, LogKind::Read, LogKind::Nc],
            LogKind::Atomic => &[LogKind::Write, LogKind::Read, LogKind::Nc],
        };
        for kind in against {
            let stale = run.kind == LogKind::Nc || *kind == LogKind::Nc;
            let breaks = |other: &&Run| other.block != run.block || stale;
            if let Some(other) = open[*kind as usize].values().find(breaks) {
                return Some(report(run, *other, stale));
            }
        }
        open[run.kind as usize].insert((run.end, run.block, run.pc), run);
    }
    None
}

fn word(kind: LogKind) -> &'static str {
    match kind {
        LogKind::Read => "a read",
        LogKind::Nc => "a read through .nc",
        LogKind::Write => "a write",
        LogKind::Atomic => "an atomic update",
    }
}

fn report(a: Run, b: Run, stale: bool) -> Box<Trap> {
    // The one that reads is the victim and named first.
    let (first, second) = if a.kind <= b.kind { (a, b) } else { (b, a) };
    let address = first.start.max(second.start);
    let message = if stale {
        format!(
            "{} of address {address:#x}, which the same launch changes by {}",
            word(first.kind),
            word(second.kind)
        )
    } else {
        format!(
            "{} and {} of address {address:#x} by two blocks of one launch",
            word(first.kind),
            word(second.kind)
        )
    };
    let kind = if stale { FaultKind::StaleRead } else { FaultKind::GlobalRace };
    // A range may join accesses of many lanes; the lane is exact only where the range begins.
    let lane = |run: &Run| Some(u32::from(run.lane)).filter(|_| run.start == address);
    let other = Other {
        action: word(second.kind),
        block: second.block,
        warp: second.warp.into(),
        lane: lane(&second),
        pc: second.pc,
    };
    let mut trap = Trap::new(kind, lane(&first), message).against(other);
    (trap.pc, trap.warp, trap.block) = (first.pc, first.warp.into(), first.block);
    trap
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(accesses: &[(u64, LogKind, u64, u64)]) -> Option<FaultKind> {
        let mut all = Vec::new();
        for &(block, kind, start, end) in accesses {
            let mut log = GlobalLog::new(1);
            log.block = block;
            log.note(kind, start, end, 0, 0, 0);
            assert!(log.drain(&mut all));
        }
        conflict(all).map(|trap| trap.kind)
    }

    #[test]
    fn the_table_of_what_may_meet() {
        use LogKind::{Atomic, Nc, Read, Write};
        let race = Some(FaultKind::GlobalRace);
        for (a, b, want) in [
            (Read, Read, None),
            (Read, Nc, None),
            (Read, Write, race),
            (Read, Atomic, race),
            (Write, Write, race),
            (Write, Atomic, race),
            (Atomic, Atomic, None),
            (Nc, Write, Some(FaultKind::StaleRead)),
            (Nc, Atomic, Some(FaultKind::StaleRead)),
        ] {
            assert_eq!(found(&[(0, a, 0, 8), (1, b, 7, 9)]), want, "{a:?} {b:?}");
            assert_eq!(found(&[(1, a, 0, 8), (0, b, 7, 9)]), want, "{a:?} {b:?}, the other way round");
            assert_eq!(found(&[(0, a, 0, 8), (1, b, 8, 9)]), None, "neighbours do not meet");
            let own = if want == race { None } else { want };
            assert_eq!(found(&[(0, a, 0, 8), (0, b, 7, 9)]), own, "{a:?} {b:?} of one block");
        }
    }

    #[test]
    fn a_long_range_is_met_by_a_later_one() {
        use LogKind::{Read, Write};
        let found = found(&[(0, Write, 0, 100), (0, Read, 10, 20), (0, Read, 30, 40), (1, Read, 99, 101)]);
        assert_eq!(found, Some(FaultKind::GlobalRace));
    }

    #[test]
    fn compacting_keeps_the_bytes() {
        let mut log = GlobalLog::new(2);
        for i in 0..200_000_u64 {
            // every second word, then the others: all must join
            let at = i % 100_000 * 8 + i / 100_000 * 4;
            log.note(LogKind::Read, at, at + 4, (i % 2) as u32, 0, 0);
        }
        let mut all = Vec::new();
        log.drain(&mut all);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].start, all[0].end), (0, 800_000));
    }
}
