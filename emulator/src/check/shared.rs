//! Races in shared memory, by vector clocks.
//!
//! Each warp has a clock of its own and remembers the latest time of every other warp that it knows about; a barrier makes
//! its participants know what each of them knew, then every own clock ticks. An access is stamped with its warp's time. An
//! earlier access is ordered before this one if this warp knows its time; within a warp, if it is the same lane's or the
//! clock has ticked since (`bar.warp.sync`). Two accesses of the same bytes, one of them a write, that are not ordered
//! race, whatever came first here. (Flanagan and Freund, FastTrack, PLDI 2009, doi:10.1145/1542476.1542490.)
//!
//! Memory is divided into granules as wide as the kernel's narrowest access. Each remembers its last write and two reads
//! of different warps: a third could only be missed if both others were ordered before a write and it was not, which takes
//! barriers of a part of the block.

use super::{Other, Trap};
use crate::error::FaultKind;

/// Who and when: time (27 bits, and one that marks atomics), warp (5), lane (6; 63 means several), pc (24), and a bit that says it happened.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Stamp(u64);

const SEVERAL: u64 = 63;

impl Stamp {
    fn new(time: u32, warp: u32, lane: u32, pc: u32) -> Stamp {
        Stamp(1 << 63 | u64::from(time) << 35 | u64::from(warp) << 30 | u64::from(lane) << 24 | u64::from(pc))
    }
    fn is_some(self) -> bool {
        self.0 != 0
    }
    fn time(self) -> u32 {
        (self.0 >> 35) as u32 & 0x7ff_ffff
    }
    fn warp(self) -> u32 {
        (self.0 >> 30) as u32 & 31
    }
    fn lane(self) -> u64 {
        self.0 >> 24 & 63
    }
    fn pc(self) -> u32 {
        self.0 as u32 & 0xff_ffff
    }
    fn several(self) -> Stamp {
        Stamp(self.0 | SEVERAL << 24)
    }
    fn party(self, action: &'static str, block: u64) -> Other {
        let lane = if self.lane() == SEVERAL { None } else { Some(self.lane() as u32) };
        Other { action, block, warp: self.warp(), lane, pc: self.pc() }
    }
}

#[derive(Clone, Copy, Default)]
struct Cell {
    write: Stamp,
    reads: [Stamp; 2],
    /// A `cp.async` into it that has not been waited for.
    flight: Stamp,
}

/// Somebody who touches memory: warp, lane (`SharedShadow::ALL_LANES` for the warp as a whole), instruction.
#[derive(Clone, Copy)]
pub(crate) struct Actor {
    pub warp: u32,
    pub lane: u32,
    pub pc: u32,
}

/// The history of one block's shared memory.
pub(crate) struct SharedShadow {
    granule_log2: u32,
    cells: Vec<Cell>,
    /// `clocks[w][v]`: the latest time of warp v that warp w knows.
    clocks: Vec<Vec<u32>>,
    pub races: bool,
    pub uninitialized: bool,
    pub block: u64,
}

impl SharedShadow {
    pub fn new(bytes: u64, granule: u64, warps: usize, races: bool, uninitialized: bool) -> SharedShadow {
        let granule_log2 = granule.ilog2();
        let cells = vec![Cell::default(); bytes.div_ceil(granule) as usize];
        let clocks = vec![vec![0; warps]; warps];
        let mut shadow = SharedShadow { granule_log2, cells, clocks, races, uninitialized, block: 0 };
        shadow.reset(0);
        shadow
    }

    /// A new block begins.
    pub fn reset(&mut self, block: u64) {
        self.block = block;
        self.cells.fill(Cell::default());
        for (warp, clock) in self.clocks.iter_mut().enumerate() {
            clock.fill(0);
            clock[warp] = 1;
        }
    }

    /// `bar.warp.sync`.
    pub fn tick(&mut self, warp: u32) {
        self.clocks[warp as usize][warp as usize] += 1;
    }

    /// What a warp knows now: what it brings to a barrier.
    pub fn knowledge(&self, warp: u32) -> Vec<u32> {
        self.clocks[warp as usize].clone()
    }

    /// A barrier opens: each of `waiting` learns everything that was brought.
    pub fn join(&mut self, brought: &[Vec<u32>], waiting: &[u32]) {
        let count = self.clocks.len();
        let all: Vec<u32> = (0..count).map(|v| brought.iter().map(|k| k[v]).max().unwrap_or(0)).collect();
        for &warp in waiting {
            let clock = &mut self.clocks[warp as usize];
            for (own, other) in clock.iter_mut().zip(&all) {
                *own = (*own).max(*other);
            }
            clock[warp as usize] += 1;
        }
    }

    fn ordered(&self, before: Stamp, actor: Actor) -> bool {
        if !before.is_some() {
            return true;
        }
        if before.warp() == actor.warp {
            return before.lane() == u64::from(actor.lane)
                || before.time() < self.clocks[actor.warp as usize][actor.warp as usize];
        }
        self.clocks[actor.warp as usize][before.warp() as usize] >= before.time()
    }

    fn stamp(&self, actor: Actor) -> Stamp {
        let time = self.clocks[actor.warp as usize][actor.warp as usize];
        Stamp::new(time, actor.warp, actor.lane, actor.pc)
    }

    fn range(&self, offset: u64, bytes: u64) -> std::ops::RangeInclusive<usize> {
        (offset >> self.granule_log2) as usize..=((offset + bytes - 1) >> self.granule_log2) as usize
    }

    #[cold]
    fn race(&self, before: Stamp, actor: Actor, words: [&'static str; 2], offset: u64) -> Box<Trap> {
        let same = before.warp() == actor.warp;
        let kind = if same { FaultKind::WarpRace } else { FaultKind::SharedRace };
        let missing = if same { "bar.warp.sync (__syncwarp)" } else { "barrier" };
        let lane = Some(actor.lane).filter(|l| u64::from(*l) != SEVERAL);
        let message = format!(
            "{} shared memory at offset {offset:#x}, with no {missing} between that and {} there",
            words[0], words[1]
        );
        Trap::new(kind, lane, message).against(before.party(words[1], self.block))
    }

    #[cold]
    fn in_flight(&self, flight: Stamp, actor: Actor, what: &str, offset: u64) -> Box<Trap> {
        let lane = Some(actor.lane).filter(|l| u64::from(*l) != SEVERAL);
        let message =
            format!("{what} shared memory at offset {offset:#x} while a cp.async into it is still in flight");
        Trap::new(FaultKind::InFlight, lane, message).against(flight.party("the copy", self.block))
    }

    /// A read. `ALL_LANES` as lane stands for the whole warp (`ldmatrix`).
    pub fn read(&mut self, offset: u64, bytes: u64, actor: Actor) -> Result<(), Box<Trap>> {
        let now = self.stamp(actor);
        for i in self.range(offset, bytes) {
            let cell = self.cells[i];
            if self.races && cell.flight.is_some() {
                return Err(self.in_flight(cell.flight, actor, "read", offset));
            }
            if self.uninitialized && !cell.write.is_some() {
                let lane = Some(actor.lane).filter(|l| u64::from(*l) != SEVERAL);
                let message =
                    format!("read shared memory at offset {offset:#x} that this block has not written");
                return Err(Trap::new(FaultKind::UninitShared, lane, message));
            }
            if !self.races {
                continue;
            }
            if !self.ordered(cell.write, actor) {
                return Err(self.race(cell.write, actor, ["read", "a write"], offset));
            }
            let [a, b] = cell.reads;
            let same = |old: Stamp| old.is_some() && old.warp() == actor.warp;
            let merged = |old: Stamp| {
                let together = old.time() == now.time() && old.lane() != now.lane();
                if together { now.several() } else { now }
            };
            let reads = &mut self.cells[i].reads;
            if same(a) {
                reads[0] = merged(a);
            } else if same(b) {
                reads[1] = merged(b);
            } else if !a.is_some() || self.clocks[actor.warp as usize][a.warp() as usize] >= a.time() {
                reads[0] = now;
            } else {
                reads[1] = now;
            }
        }
        Ok(())
    }

    /// A write. `same_value` says whether the other lane of the same instruction writes the same there: no race then.
    pub fn write(
        &mut self,
        offset: u64,
        bytes: u64,
        actor: Actor,
        same_value: &dyn Fn(u32) -> bool,
    ) -> Result<(), Box<Trap>> {
        let now = self.stamp(actor);
        for i in self.range(offset, bytes) {
            self.check_write(i, offset, actor, now, same_value)?;
            self.cells[i] = Cell { write: now, ..Cell::default() };
        }
        Ok(())
    }

    fn check_write(
        &self,
        i: usize,
        offset: u64,
        actor: Actor,
        now: Stamp,
        same_value: &dyn Fn(u32) -> bool,
    ) -> Result<(), Box<Trap>> {
        if !self.races {
            return Ok(());
        }
        let cell = self.cells[i];
        if cell.flight.is_some() {
            return Err(self.in_flight(cell.flight, actor, "wrote", offset));
        }
        if !self.ordered(cell.write, actor) {
            let same = cell.write.warp() == actor.warp && cell.write.pc() == now.pc();
            if !(same && same_value(cell.write.lane() as u32)) {
                return Err(self.race(cell.write, actor, ["wrote", "a write"], offset));
            }
        }
        for read in cell.reads {
            if !self.ordered(read, actor) {
                return Err(self.race(read, actor, ["wrote", "a read"], offset));
            }
        }
        Ok(())
    }

    /// An atomic update: it races with plain accesses, not with other atomics, which leave no stamp of their own kind.
    pub fn atomic(&mut self, offset: u64, bytes: u64, actor: Actor) -> Result<(), Box<Trap>> {
        let now = self.stamp(actor);
        for i in self.range(offset, bytes) {
            let cell = self.cells[i];
            if self.races && cell.flight.is_some() {
                return Err(self.in_flight(cell.flight, actor, "updated", offset));
            }
            if self.uninitialized && !cell.write.is_some() {
                let message =
                    format!("updated shared memory at offset {offset:#x} that this block has not written");
                return Err(Trap::new(FaultKind::UninitShared, Some(actor.lane), message));
            }
            if !self.races {
                continue;
            }
            if !self.ordered(cell.write, actor) && cell.write.0 & ATOMIC_TIME_BIT == 0 {
                return Err(self.race(cell.write, actor, ["updated", "a write"], offset));
            }
            for read in cell.reads {
                if !self.ordered(read, actor) {
                    return Err(self.race(read, actor, ["updated", "a read"], offset));
                }
            }
            self.cells[i] = Cell { write: Stamp(now.0 | ATOMIC_TIME_BIT), ..Cell::default() };
        }
        Ok(())
    }

    /// A `cp.async` begins to write.
    pub fn launch_copy(&mut self, offset: u64, bytes: u64, actor: Actor) -> Result<(), Box<Trap>> {
        let now = self.stamp(actor);
        for i in self.range(offset, bytes) {
            self.check_write(i, offset, actor, now, &|_| false)?;
            self.cells[i].flight = now;
        }
        Ok(())
    }

    /// The wait for it is over: now it is a write of the thread that issued it.
    pub fn land_copy(&mut self, offset: u64, bytes: u64, actor: Actor) {
        let now = self.stamp(actor);
        for i in self.range(offset, bytes) {
            self.cells[i] = Cell { write: now, ..Cell::default() };
        }
    }
}

/// The highest bit of the time marks a write that was atomic: no block lives for 2^27 barriers.
const ATOMIC_TIME_BIT: u64 = 1 << 62;

impl SharedShadow {
    /// Stands for the whole warp as an actor's lane.
    pub const ALL_LANES: u32 = SEVERAL as u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow() -> SharedShadow {
        SharedShadow::new(64, 4, 2, true, true)
    }

    fn actor(warp: u32, lane: u32) -> Actor {
        Actor { warp, lane, pc: 7 }
    }

    fn write(shadow: &mut SharedShadow, warp: u32, lane: u32) -> Option<FaultKind> {
        shadow.write(8, 4, actor(warp, lane), &|_| false).err().map(|t| t.kind)
    }

    fn read(shadow: &mut SharedShadow, warp: u32, lane: u32) -> Option<FaultKind> {
        shadow.read(8, 4, actor(warp, lane)).err().map(|t| t.kind)
    }

    fn barrier(shadow: &mut SharedShadow) {
        let brought = [shadow.knowledge(0), shadow.knowledge(1)];
        shadow.join(&brought, &[0, 1]);
    }

    #[test]
    fn a_barrier_orders_and_nothing_else_does() {
        let mut s = shadow();
        assert_eq!(write(&mut s, 0, 3), None);
        assert_eq!(read(&mut s, 0, 3), None, "the same thread");
        assert_eq!(read(&mut s, 1, 3), Some(FaultKind::SharedRace));
        barrier(&mut s);
        assert_eq!(read(&mut s, 1, 3), None);
        assert_eq!(write(&mut s, 0, 3), Some(FaultKind::SharedRace), "after a read of the other warp");
        barrier(&mut s);
        assert_eq!(write(&mut s, 0, 3), None);
    }

    #[test]
    fn the_order_in_which_they_ran_does_not_matter() {
        let mut s = shadow();
        write(&mut s, 0, 0);
        barrier(&mut s);
        assert_eq!(read(&mut s, 1, 0), None);
        assert_eq!(write(&mut s, 0, 0), Some(FaultKind::SharedRace));
        let mut s = shadow();
        write(&mut s, 0, 0);
        barrier(&mut s);
        assert_eq!(write(&mut s, 0, 0), None);
        assert_eq!(read(&mut s, 1, 0), Some(FaultKind::SharedRace));
    }

    #[test]
    fn lanes_of_a_warp_need_a_warp_barrier() {
        let mut s = shadow();
        write(&mut s, 0, 3);
        assert_eq!(read(&mut s, 0, 4), Some(FaultKind::WarpRace));
        s.tick(0);
        assert_eq!(read(&mut s, 0, 4), None);
        assert_eq!(read(&mut s, 0, 5), None);
        assert_eq!(write(&mut s, 0, 4), Some(FaultKind::WarpRace), "lane 5 has read, too");
    }

    #[test]
    fn a_copy_is_in_flight_until_it_lands() {
        let mut s = shadow();
        s.launch_copy(8, 4, actor(0, 1)).unwrap();
        assert_eq!(read(&mut s, 0, 1), Some(FaultKind::InFlight));
        s.land_copy(8, 4, actor(0, 1));
        assert_eq!(read(&mut s, 0, 1), None);
        assert_eq!(read(&mut s, 1, 1), Some(FaultKind::SharedRace));
        assert_eq!(s.read(16, 4, actor(0, 1)).unwrap_err().kind, FaultKind::UninitShared);
    }

    #[test]
    fn atomics_race_with_plain_accesses_only() {
        let mut s = shadow();
        write(&mut s, 0, 0);
        barrier(&mut s);
        let update = |s: &mut SharedShadow, warp| s.atomic(8, 4, actor(warp, 0)).err().map(|t| t.kind);
        assert_eq!(update(&mut s, 0), None);
        assert_eq!(update(&mut s, 1), None);
        assert_eq!(read(&mut s, 0, 0), Some(FaultKind::SharedRace));
    }
}
