//! `cp.async` and `ldmatrix`.
//!
//! A copy takes its bytes when it is issued and puts them into shared memory when its wait is over, and not before: who
//! reads too early sees the old bytes, and the checker says so. Groups are counted per lane, as the manual has it.

use super::addresses::Addresses;
use super::context::Context;
use super::loads::Here;
use super::matrix::matrix_tile;
use super::registers::{Registers, lanes};
use crate::check::{Actor, LogKind, SharedShadow, Trap};
use crate::code::{Addr, Reg};
use crate::count::wavefronts;
use crate::error::FaultKind;
use std::collections::VecDeque;

/// Copies issued by one instruction for lanes whose open group has one number.
struct Copy {
    lanes: u32,
    group: u32,
    pc: u32,
    bytes: u8,
    to: [u32; 32],
    data: [[u8; 16]; 32],
}

/// A warp's copies that have not been waited for.
#[derive(Default)]
pub(crate) struct Copies {
    pending: VecDeque<Box<Copy>>,
    /// The number of each lane's open group.
    group: [u32; 32],
    /// Buffers to be used again; boxed, because they move between the two lists.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Copy>>,
}

impl Copies {
    pub fn reset(&mut self) {
        self.spare.extend(self.pending.drain(..));
        self.group = [0; 32];
    }

    /// `cp.async.commit_group`
    pub fn commit(&mut self, mask: u32) {
        lanes(mask).for_each(|lane| self.group[lane] += 1);
    }

    /// `cp.async.wait_group pending`; without a number all, committed or not.
    pub fn wait(&mut self, cx: &mut Context, mask: u32, pending: Option<u32>, warp: u32) {
        let groups = self.group;
        let done = |copy: &Copy, lane: usize| {
            pending.is_none_or(|n| copy.group < groups[lane] && groups[lane] - copy.group > n)
        };
        for _ in 0..self.pending.len() {
            let Some(mut copy) = self.pending.pop_front() else { return };
            for lane in lanes(copy.lanes & mask) {
                if !done(&copy, lane) {
                    continue;
                }
                let (to, bytes) = (copy.to[lane] as usize, usize::from(copy.bytes));
                cx.shared[to..to + bytes].copy_from_slice(&copy.data[lane][..bytes]);
                if cx.watches_shared() {
                    let actor = Actor { warp, lane: lane as u32, pc: copy.pc };
                    cx.shadow.land_copy(to as u64, bytes as u64, actor);
                }
                copy.lanes &= !(1 << lane);
            }
            if copy.lanes == 0 { self.spare.push(copy) } else { self.pending.push_back(copy) }
        }
    }
}

/// `cp.async`: the first `size` bytes from global memory, zeros up to `bytes`.
pub(crate) fn issue(
    cx: &mut Context,
    r: &Registers,
    copies: &mut Copies,
    bytes: u8,
    [shared, global]: [&Addr; 2],
    size: Reg,
    mask: u32,
    here: Here,
) -> Result<(), Box<Trap>> {
    let width = u64::from(bytes);
    let to = Addresses::new(r, shared, mask, width);
    to.aligned(width)?;
    to.within(cx.shared.len() as u64, "shared memory")?;
    let sizes = r.word(size);
    if let Some(lane) = lanes(mask).find(|&l| sizes[l] > bytes.into()) {
        let message = format!("the source has {} bytes, more than the {bytes} that are copied", sizes[lane]);
        return Err(Trap::new(FaultKind::OutOfBounds, Some(lane as u32), message));
    }
    let reads = lanes(mask).filter(|&l| sizes[l] > 0).fold(0, |m, l| m | 1 << l);
    let mut copy = copies.spare.pop().unwrap_or_else(|| {
        Box::new(Copy { lanes: 0, group: 0, pc: 0, bytes, to: [0; 32], data: [[0; 16]; 32] })
    });
    (copy.lanes, copy.pc, copy.bytes) = (mask, here.pc, bytes);
    copy.data = [[0; 16]; 32];
    if reads != 0 {
        let from = Addresses::new(r, global, reads, width);
        from.aligned(width)?;
        let one = from.one_allocation(cx);
        for lane in lanes(reads) {
            let take = u64::from(sizes[lane]);
            let at = match one {
                Some(at) => at,
                None => Addresses::of([from.at[lane]; 32], 1 << lane, take).allocation(cx, lane)?,
            };
            if cx.mode.checks.uninitialized && !at.is_full() {
                let part = Addresses::of([from.at[lane]; 32], 1 << lane, take);
                super::global_access::written(at, &part, 1 << lane)?;
            }
            let offset = from.at[lane] - at.base;
            if take == 16 {
                let (low, high) = copy.data[lane].split_at_mut(8);
                low.copy_from_slice(&at.load(offset, 8).to_le_bytes());
                high.copy_from_slice(&at.load(offset + 8, 8).to_le_bytes());
            } else {
                for i in 0..take {
                    copy.data[lane][i as usize] = at.load(offset + i, 1) as u8;
                }
            }
        }
        super::global_access::watch(cx, &from, LogKind::Read, here.pc, here.warp);
    }
    for lane in 0..32 {
        copy.to[lane] = to.at[lane] as u32;
    }
    if cx.watches_shared() {
        for lane in lanes(mask) {
            let actor = Actor { warp: here.warp, lane: lane as u32, pc: here.pc };
            cx.shadow.launch_copy(to.at[lane], width, actor)?;
        }
    }
    // Lanes that have committed differently often go into entries of their own.
    while copy.lanes != 0 {
        let group = copies.group[copy.lanes.trailing_zeros() as usize];
        let same = lanes(copy.lanes).filter(|&l| copies.group[l] == group).fold(0, |m, l| m | 1 << l);
        if same == copy.lanes {
            copy.group = group;
            copies.pending.push_back(copy);
            break;
        }
        let (to, data) = (copy.to, copy.data);
        copies.pending.push_back(Box::new(Copy { lanes: same, group, pc: here.pc, bytes, to, data }));
        copy.lanes &= !same;
    }
    Ok(())
}

/// `ldmatrix`: lane 8m + r gives the address of row r of matrix m.
#[inline(always)]
pub(crate) fn load_matrix<const WATCH: bool>(
    cx: &mut Context,
    r: &mut Registers,
    transposed: bool,
    d: &[Reg],
    addr: &Addr,
    here: Here,
) -> Result<(), Box<Trap>> {
    let used = u32::MAX >> (32 - 8 * d.len());
    let a = Addresses::new(r, addr, used, 16);
    a.aligned(16)?;
    a.within(cx.shared.len() as u64, "shared memory")?;
    if WATCH {
        if cx.watches_shared() {
            let actor = Actor { warp: here.warp, lane: SharedShadow::ALL_LANES, pc: here.pc };
            for lane in lanes(used) {
                cx.shadow.read(a.at[lane], 16, actor)?;
            }
        }
        if cx.mode.counters {
            let (waves, requests) = wavefronts(&a.at, used, 16);
            let count = &mut cx.counts[here.pc as usize];
            count.wavefronts += waves;
            count.requests += requests;
        }
    }
    for (m, &reg) in d.iter().enumerate() {
        let mut rows = [[0; 16]; 8];
        for (i, row) in rows.iter_mut().enumerate() {
            let at = a.at[8 * m + i] as usize;
            row.copy_from_slice(&cx.shared[at..at + 16]);
        }
        r.put_word(reg, &matrix_tile(&rows, transposed), u32::MAX);
    }
    Ok(())
}
