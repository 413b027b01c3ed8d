//! Loads and stores of global memory (and of constant memory, which lies in it).

use super::addresses::Addresses;
use super::context::Context;
use super::loads::{Lanes, put_lanes};
use super::registers::{Registers, lanes};
use crate::check::{LogKind, Trap};
use crate::code::{Access, SINK};
use crate::count::{min_sectors, sectors};
use crate::error::FaultKind;
use crate::memory::Allocation;

/// Checker and counters of an access that is in bounds.
pub(super) fn watch(cx: &mut Context, a: &Addresses, kind: LogKind, pc: u32, warp: u32) {
    if cx.mode.checks.global_races {
        let log = &mut cx.log;
        a.runs(|start, end, lane| log.note(kind, start, end, pc, warp, lane));
    }
    if cx.mode.counters {
        let count = &mut cx.counts[pc as usize];
        if a.contiguous {
            let touched = (a.high + a.size - 1) / 32 - a.low / 32 + 1;
            count.sectors += touched;
            count.min_sectors += a.size; // 32 lanes of `size` bytes in sectors of 32
        } else {
            count.sectors += sectors(&a.at, a.mask, a.size);
            count.min_sectors += min_sectors(&a.at, a.mask, a.size);
        }
    }
}

/// Every byte that is read has been written.
pub(super) fn written(at: &Allocation, a: &Addresses, mask: u32) -> Result<(), Box<Trap>> {
    if at.is_full() {
        return Ok(());
    }
    match lanes(mask).find(|&l| !at.is_written(a.at[l] - at.base, a.size)) {
        None => Ok(()),
        Some(lane) => {
            let offset = a.at[lane] - at.base;
            let message = format!("byte {offset} of an allocation of {} bytes was never written", at.bytes);
            Err(Trap::new(FaultKind::UninitGlobal, Some(lane as u32), message))
        }
    }
}

/// One element of every lane from one allocation.
#[inline(always)]
fn gather(at: &Allocation, a: &Addresses, bytes: u64, offset: u64) -> Lanes {
    let start = at.base.wrapping_sub(offset);
    if bytes == 8 {
        let mut out = [0; 32];
        for i in 0..32 {
            out[i] = at.load(a.at[i] - start, 8);
        }
        return Lanes::Double(out);
    }
    let mut out = [0; 32];
    match bytes {
        4 => (0..32).for_each(|i| out[i] = at.load(a.at[i] - start, 4) as u32),
        2 => (0..32).for_each(|i| out[i] = at.load(a.at[i] - start, 2) as u32),
        _ => (0..32).for_each(|i| out[i] = at.load(a.at[i] - start, 1) as u32),
    }
    Lanes::Word(out)
}

/// `ld.global`
#[inline(always)]
pub(super) fn load<const WATCH: bool>(
    cx: &mut Context,
    r: &mut Registers,
    access: &Access,
    a: &Addresses,
    pc: u32,
    warp: u32,
) -> Result<(), Box<Trap>> {
    a.aligned(a.size)?;
    let bytes = u64::from(access.bytes);
    match a.one_allocation(cx) {
        Some(at) => {
            if WATCH && cx.mode.checks.uninitialized {
                written(at, a, a.mask)?;
            }
            for (i, &reg) in access.regs[..access.count.into()].iter().enumerate() {
                if reg != SINK {
                    let values = gather(at, a, bytes, bytes * i as u64);
                    put_lanes(r, access, reg, values, a.mask);
                }
            }
        }
        None => {
            for lane in lanes(a.mask) {
                let at = a.allocation(cx, lane)?;
                if WATCH && cx.mode.checks.uninitialized {
                    written(at, a, 1 << lane)?;
                }
                for (i, &reg) in access.regs[..access.count.into()].iter().enumerate() {
                    if reg != SINK {
                        let value = at.load(a.at[lane] - at.base + bytes * i as u64, bytes);
                        put_lanes(r, access, reg, Lanes::Double([value; 32]), 1 << lane);
                    }
                }
            }
        }
    }
    if WATCH {
        watch(cx, a, if access.nc { LogKind::Nc } else { LogKind::Read }, pc, warp);
    }
    Ok(())
}

/// `st.global`
#[inline(always)]
pub(super) fn store<const WATCH: bool>(
    cx: &mut Context,
    r: &Registers,
    access: &Access,
    a: &Addresses,
    pc: u32,
    warp: u32,
) -> Result<(), Box<Trap>> {
    a.aligned(a.size)?;
    let bytes = u64::from(access.bytes);
    let one = a.one_allocation(cx);
    for lane in lanes(a.mask) {
        let at = match one {
            Some(at) => at,
            None => a.allocation(cx, lane)?,
        };
        if at.read_only {
            let message = format!("address {:#x} is constant memory", a.at[lane]);
            return Err(Trap::new(FaultKind::ReadOnly, Some(lane as u32), message));
        }
        let offset = a.at[lane] - at.base;
        for (i, &reg) in access.regs[..access.count.into()].iter().enumerate() {
            let value = match access.bank {
                crate::code::Bank::Double => r.doubles[reg as usize].0[lane],
                _ => r.words[reg as usize].0[lane].into(),
            };
            at.store(offset + bytes * i as u64, bytes, value);
        }
        if !at.is_full() {
            at.mark(offset, a.size);
        }
    }
    if WATCH {
        watch(cx, a, LogKind::Write, pc, warp);
    }
    Ok(())
}
