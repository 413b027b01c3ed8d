//! `ld`, `st`, `atom`: which memory an address means, and what happens there. Shared, local and parameter memory are here;
//! `global_access.rs` has the rest.

use super::addresses::Addresses;
use super::context::Context;
use super::registers::{Registers, each, lanes};
use super::{atomics, global_access};
use crate::check::{Actor, LogKind, Trap};
use crate::code::{Access, Addr, AtomType, Atomic, Bank, Reg, SINK};
use crate::count::wavefronts;
use crate::error::FaultKind;
use crate::parse::Space;

/// Loaded values of 32 lanes.
pub(super) enum Lanes {
    Word([u32; 32]),
    Double([u64; 32]),
}

/// Puts loaded values into a register, extended from the access's width to the register's.
#[inline(always)]
pub(super) fn put_lanes(r: &mut Registers, access: &Access, reg: Reg, values: Lanes, mask: u32) {
    let up = 64 - 8 * u32::from(access.bytes);
    let extend = |x: u64| if access.signed { ((x << up) as i64 >> up) as u64 } else { x };
    match (values, access.bank) {
        (Lanes::Word(x), Bank::Word) if access.bytes == 4 || !access.signed => r.put_word(reg, &x, mask),
        (Lanes::Word(x), Bank::Word) => r.put_word(reg, &each(&x, |x| extend(x.into()) as u32), mask),
        (Lanes::Word(x), _) => r.put_double(reg, &each(&x, |x| extend(x.into())), mask),
        (Lanes::Double(x), Bank::Double) => r.put_double(reg, &each(&x, extend), mask),
        (Lanes::Double(x), _) => r.put_word(reg, &each(&x, |x| extend(x) as u32), mask),
    }
}

/// Who executes: warp and instruction.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    pub warp: u32,
    pub pc: u32,
}

/// What is done to one memory.
type Part<'f> = dyn FnMut(Space, &Addresses) -> Result<(), Box<Trap>> + 'f;

/// Hands each memory the lanes whose generic addresses lie in it. Apart from the hot path, where all lie in global memory.
#[cold]
#[inline(never)]
fn by_window(a: &Addresses, access: &mut Part<'_>) -> Result<(), Box<Trap>> {
    for space in [Space::Global, Space::Shared, Space::Local] {
        let part = a.in_window(space);
        if part.mask != 0 {
            access(space, &part)?;
        }
    }
    Ok(())
}

/// Executes `ld`.
#[inline(always)]
pub(crate) fn load<const WATCH: bool>(
    cx: &mut Context,
    r: &mut Registers,
    access: &Access,
    mask: u32,
    here: Here,
) -> Result<(), Box<Trap>> {
    let size = u64::from(access.bytes) * u64::from(access.count);
    let a = Addresses::new(r, &access.addr, mask, size);
    match access.space {
        Space::Shared => load_shared::<WATCH>(cx, r, access, &a, here),
        Space::Local => load_local(cx, r, access, &a, here),
        Space::Param => load_param(cx, r, access, &a),
        Space::Generic if !a.all_global() => by_window(&a, &mut |space, a| match space {
            Space::Shared => load_shared::<WATCH>(cx, r, access, a, here),
            Space::Local => load_local(cx, r, access, a, here),
            _ => global_access::load::<WATCH>(cx, r, access, a, here.pc, here.warp),
        }),
        _ => global_access::load::<WATCH>(cx, r, access, &a, here.pc, here.warp),
    }
}

/// Executes `st`.
#[inline(always)]
pub(crate) fn store<const WATCH: bool>(
    cx: &mut Context,
    r: &Registers,
    access: &Access,
    mask: u32,
    here: Here,
) -> Result<(), Box<Trap>> {
    let size = u64::from(access.bytes) * u64::from(access.count);
    let a = Addresses::new(r, &access.addr, mask, size);
    match access.space {
        Space::Shared => store_shared::<WATCH>(cx, r, access, &a, here),
        Space::Local => store_local(cx, r, access, &a, here),
        Space::Generic if !a.all_global() => by_window(&a, &mut |space, a| match space {
            Space::Shared => store_shared::<WATCH>(cx, r, access, a, here),
            Space::Local => store_local(cx, r, access, a, here),
            _ => global_access::store::<WATCH>(cx, r, access, a, here.pc, here.warp),
        }),
        _ => global_access::store::<WATCH>(cx, r, access, &a, here.pc, here.warp),
    }
}

/// Up to 8 bytes, little-endian. The range has been checked.
#[inline(always)]
fn peek(memory: &[u8], at: usize, bytes: usize) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes].copy_from_slice(&memory[at..at + bytes]);
    u64::from_le_bytes(whole)
}

#[inline(always)]
fn poke(memory: &mut [u8], at: usize, bytes: usize, value: u64) {
    memory[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
}

fn value_of(r: &Registers, bank: Bank, reg: Reg, lane: usize) -> u64 {
    if bank == Bank::Double { r.doubles[reg as usize].0[lane] } else { r.words[reg as usize].0[lane].into() }
}

fn count_shared(cx: &mut Context, a: &Addresses, pc: u32) {
    if cx.mode.counters {
        // 32 neighbours fill all banks in every request
        let all = a.size.max(4) / 4;
        let (waves, requests) = if a.contiguous { (all, all) } else { wavefronts(&a.at, a.mask, a.size) };
        let count = &mut cx.counts[pc as usize];
        count.wavefronts += waves;
        count.requests += requests;
    }
}

/// Reads every element of every lane from a byte array; `start` gives the lane's place in it.
#[inline(always)]
fn take(r: &mut Registers, access: &Access, a: &Addresses, memory: &[u8], start: impl Fn(usize) -> usize) {
    let bytes = usize::from(access.bytes);
    for (i, &reg) in access.regs[..access.count.into()].iter().enumerate() {
        if reg == SINK {
            continue;
        }
        let place = |l: usize| start(l) + bytes * i;
        let values = if bytes == 8 {
            let mut out = [0; 32];
            (0..32).for_each(|l| out[l] = peek(memory, place(l), 8));
            Lanes::Double(out)
        } else {
            let mut out = [0; 32];
            match bytes {
                4 => (0..32).for_each(|l| out[l] = peek(memory, place(l), 4) as u32),
                2 => (0..32).for_each(|l| out[l] = peek(memory, place(l), 2) as u32),
                _ => (0..32).for_each(|l| out[l] = peek(memory, place(l), 1) as u32),
            }
            Lanes::Word(out)
        };
        put_lanes(r, access, reg, values, a.mask);
    }
}

#[inline(always)]
fn load_shared<const WATCH: bool>(
    cx: &mut Context,
    r: &mut Registers,
    access: &Access,
    a: &Addresses,
    here: Here,
) -> Result<(), Box<Trap>> {
    a.aligned(a.size)?;
    a.within(cx.shared.len() as u64, "shared memory")?;
    if WATCH {
        if cx.watches_shared() {
            for lane in lanes(a.mask) {
                let actor = Actor { warp: here.warp, lane: lane as u32, pc: here.pc };
                cx.shadow.read(a.at[lane], a.size, actor)?;
            }
        }
        count_shared(cx, a, here.pc);
    }
    take(r, access, a, &cx.shared, |l| a.at[l] as usize);
    Ok(())
}

#[inline(always)]
fn store_shared<const WATCH: bool>(
    cx: &mut Context,
    r: &Registers,
    access: &Access,
    a: &Addresses,
    here: Here,
) -> Result<(), Box<Trap>> {
    a.aligned(a.size)?;
    a.within(cx.shared.len() as u64, "shared memory")?;
    let regs = &access.regs[..access.count.into()];
    if WATCH {
        if cx.watches_shared() {
            for lane in lanes(a.mask) {
                let actor = Actor { warp: here.warp, lane: lane as u32, pc: here.pc };
                let same = |other: u32| {
                    let equal = |reg: &Reg| {
                        value_of(r, access.bank, *reg, lane)
                            == value_of(r, access.bank, *reg, other as usize & 31)
                    };
                    other < 32
                        && a.mask >> other & 1 == 1
                        && a.at[other as usize] == a.at[lane]
                        && regs.iter().all(equal)
                };
                cx.shadow.write(a.at[lane], a.size, actor, &same)?;
            }
        }
        count_shared(cx, a, here.pc);
    }
    let bytes = usize::from(access.bytes);
    for lane in lanes(a.mask) {
        for (i, &reg) in regs.iter().enumerate() {
            poke(&mut cx.shared, a.at[lane] as usize + bytes * i, bytes, value_of(r, access.bank, reg, lane));
        }
    }
    Ok(())
}

fn load_local(
    cx: &mut Context,
    r: &mut Registers,
    access: &Access,
    a: &Addresses,
    here: Here,
) -> Result<(), Box<Trap>> {
    let own = cx.program.local_bytes;
    a.aligned(a.size)?;
    a.within(own, "local memory")?;
    let start = |l: usize| (u64::from(here.warp * 32 + l as u32) * own + a.at[l]) as usize;
    if !cx.local_written.is_empty() {
        let holes = |&l: &usize| cx.local_written[start(l)..start(l) + a.size as usize].contains(&0);
        if let Some(lane) = lanes(a.mask).find(holes) {
            let message = format!("local memory at offset {:#x} was never written", a.at[lane]);
            return Err(Trap::new(FaultKind::UninitLocal, Some(lane as u32), message));
        }
    }
    take(r, access, a, &cx.local, start);
    Ok(())
}

fn store_local(
    cx: &mut Context,
    r: &Registers,
    access: &Access,
    a: &Addresses,
    here: Here,
) -> Result<(), Box<Trap>> {
    let own = cx.program.local_bytes;
    a.aligned(a.size)?;
    a.within(own, "local memory")?;
    let bytes = usize::from(access.bytes);
    for lane in lanes(a.mask) {
        let start = (u64::from(here.warp * 32 + lane as u32) * own + a.at[lane]) as usize;
        for (i, &reg) in access.regs[..access.count.into()].iter().enumerate() {
            poke(&mut cx.local, start + bytes * i, bytes, value_of(r, access.bank, reg, lane));
        }
        if !cx.local_written.is_empty() {
            cx.local_written[start..start + a.size as usize].fill(1);
        }
    }
    Ok(())
}

fn load_param(cx: &Context, r: &mut Registers, access: &Access, a: &Addresses) -> Result<(), Box<Trap>> {
    a.aligned(u64::from(access.bytes))?;
    a.within(cx.params.len() as u64, "parameter memory")?;
    if a.low == a.high && access.count == 1 {
        // as nearly always: one parameter for all lanes
        let value = peek(cx.params, a.low as usize, access.bytes.into());
        put_lanes(r, access, access.regs[0], Lanes::Double([value; 32]), a.mask);
        return Ok(());
    }
    take(r, access, a, cx.params, |l| a.at[l] as usize);
    Ok(())
}

/// Operands of `atom` and `red`.
pub(crate) struct AtomArgs {
    pub f: Atomic,
    pub ty: AtomType,
    pub space: Space,
    pub addr: Addr,
    pub d: Reg,
    pub b: Reg,
    pub c: Reg,
}

/// Executes `atom` or `red`, lane after lane.
pub(crate) fn atom(
    cx: &mut Context,
    r: &mut Registers,
    args: &AtomArgs,
    mask: u32,
    here: Here,
) -> Result<(), Box<Trap>> {
    let size = atomics::bytes_of(args.ty);
    let all = Addresses::new(r, &args.addr, mask, size);
    let parts = match args.space {
        Space::Generic if !all.all_global() => {
            let local = all.in_window(Space::Local);
            if let Some(lane) = lanes(local.mask).next() {
                let what = "an atomic update of local memory, which no other thread can see";
                return Err(Trap::new(FaultKind::OutOfBounds, Some(lane as u32), what));
            }
            [Space::Global, Space::Shared].map(|s| (s, all.in_window(s))).into()
        }
        Space::Generic => vec![(Space::Global, all)],
        space => vec![(space, all)],
    };
    for (space, a) in parts {
        if a.mask == 0 {
            continue;
        }
        a.aligned(size)?;
        if space == Space::Shared {
            a.within(cx.shared.len() as u64, "shared memory")?;
            count_shared(cx, &a, here.pc);
        }
        let bank = if size == 8 { Bank::Double } else { Bank::Word };
        for lane in lanes(a.mask) {
            let b = value_of(r, bank, args.b, lane);
            let c = if args.c == SINK { 0 } else { value_of(r, bank, args.c, lane) };
            let old = match space {
                Space::Shared => {
                    if cx.watches_shared() {
                        let actor = Actor { warp: here.warp, lane: lane as u32, pc: here.pc };
                        cx.shadow.atomic(a.at[lane], size, actor)?;
                    }
                    let at = a.at[lane] as usize;
                    let old = peek(&cx.shared, at, size as usize);
                    let new = atomics::update(args.f, args.ty, old, b, c, false);
                    poke(&mut cx.shared, at, size as usize, new);
                    old
                }
                _ => {
                    let at = a.allocation(cx, lane)?;
                    if at.read_only {
                        return Err(Trap::new(
                            FaultKind::ReadOnly,
                            Some(lane as u32),
                            "this is constant memory",
                        ));
                    }
                    if cx.mode.checks.uninitialized {
                        global_access::written(at, &a, 1 << lane)?;
                    }
                    let offset = a.at[lane] - at.base;
                    at.mark(offset, size);
                    atomics::update_global(at, offset, args.f, args.ty, b, c)
                }
            };
            if args.d != SINK {
                match bank {
                    Bank::Double => r.put_double(args.d, &[old; 32], 1 << lane),
                    _ => r.put_word(args.d, &[old as u32; 32], 1 << lane),
                }
            }
        }
        if space != Space::Shared {
            global_access::watch(cx, &a, LogKind::Atomic, here.pc, here.warp);
        }
    }
    Ok(())
}
