//! Slots for registers, so that those never alive together share one. PTX is nearly in static single assignment form:
//! an attention kernel names 4,223 registers of 32 bits, half a megabyte for a warp; alive at once are fewer than 200,
//! which fit into the first cache.
//!
//! Linear scan over the intervals of `liveness.rs`. Sharing is safe although lanes of a warp may be at different places:
//! a slot has a value per lane, and each lane for itself follows a path of the program. Constants keep their slots for
//! ever, and so do registers that may be read before they are written, for which each lane remembers whether it has written.

use super::liveness::lives;
use crate::code::{Bank, Inst, Reg, Source};

/// The new numbering.
pub(super) struct Allocated {
    pub constants: Vec<(Bank, Reg, Source)>,
    pub slots: [usize; 3],
    pub watched: Vec<(Bank, Reg)>,
    pub live_words: u32,
}

/// Renumbers the operands of all instructions.
pub(super) fn allocate(insts: &mut [Inst], constants: &[(Bank, Reg, Source)], counts: [u32; 3]) -> Allocated {
    let mut lives = lives(insts, counts);
    let mut slots = [0_usize; 3];
    let mut map = counts.map(|count| vec![Reg::MAX; count as usize]);
    let mut fix = |bank: Bank, reg: Reg, ranges: &mut [Vec<Option<(u32, u32)>>; 3]| {
        let slot = slots[bank as usize] as Reg;
        slots[bank as usize] += 1;
        map[bank as usize][reg as usize] = slot;
        ranges[bank as usize][reg as usize] = None;
        (bank, slot)
    };
    let constants = constants.iter().map(|&(bank, reg, source)| {
        let (bank, slot) = fix(bank, reg, &mut lives.ranges);
        (bank, slot, source)
    });
    let constants: Vec<_> = constants.collect();
    let is_constant = |bank: Bank, slot: Reg| constants.iter().any(|c| c.0 == bank && c.1 == slot);
    let entry = std::mem::take(&mut lives.at_entry);
    let mut watched = Vec::new();
    for (bank, reg) in entry {
        let known = map[bank as usize][reg as usize];
        if known == Reg::MAX || !is_constant(bank, known) {
            let slot = slots[bank as usize] as Reg;
            slots[bank as usize] += 1;
            map[bank as usize][reg as usize] = slot;
            lives.ranges[bank as usize][reg as usize] = None;
            watched.push((bank, slot));
        }
    }
    let mut live_words = 0;
    for bank in 0..3 {
        let fixed = slots[bank];
        let peak = scan(&lives.ranges[bank], &mut map[bank], &mut slots[bank]);
        live_words += (peak.max(slots[bank] - fixed) * [0, 1, 2][bank]) as u32;
    }
    for inst in insts.iter_mut() {
        inst.visit(&mut |bank, _, reg| *reg = map[bank as usize][*reg as usize]);
    }
    Allocated { constants, slots, watched, live_words }
}

/// Gives slots from `next` on; returns how many were in use at once.
fn scan(ranges: &[Option<(u32, u32)>], map: &mut [Reg], next: &mut usize) -> usize {
    let mut order: Vec<(u32, u32, usize)> = ranges
        .iter()
        .enumerate()
        .filter_map(|(reg, range)| range.map(|(start, end)| (start, end, reg)))
        .collect();
    order.sort_unstable();
    // (end, slot) of what is alive, the earliest end on top
    let mut alive = std::collections::BinaryHeap::new();
    let mut free = std::collections::BinaryHeap::new();
    let mut peak = 0;
    for (start, end, reg) in order {
        // A life that ends where another starts keeps its slot: an instruction may write a result before it has read
        // all its operands.
        while let Some(&(std::cmp::Reverse(last), slot)) = alive.peek() {
            if last >= start {
                break;
            }
            alive.pop();
            free.push(std::cmp::Reverse(slot));
        }
        let slot = free.pop().map_or_else(
            || {
                *next += 1;
                *next - 1
            },
            |std::cmp::Reverse(slot)| slot,
        );
        map[reg] = slot as Reg;
        alive.push((std::cmp::Reverse(end), slot));
        peak = peak.max(alive.len());
    }
    peak
}
