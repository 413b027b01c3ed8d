//! One instruction for the lanes of a mask: the table from operations to the code that does them.

use super::async_copy::{issue, load_matrix};
use super::context::Context;
use super::loads::{AtomArgs, Here, atom, load, store};
use super::registers::lanes;
use super::simd::Level;
use super::warp::{AtBarrier, Hold, Warp};
use super::{approx, convert, exchange, float, integer, matrix};
use crate::check::Trap;
use crate::code::{Bank, Int2, Op, Reg, SINK, Width};
use crate::error::FaultKind;

/// Where a warp goes after an instruction.
pub(crate) enum Flow {
    Next,
    Jump(u32),
    /// Some lanes jump, the others go on.
    Split {
        taken: u32,
        target: u32,
    },
    Exit(u32),
    Hold(Hold),
    Barrier(AtBarrier),
}

/// Executes `op` for `mask`, which is not empty; `here` is the whole fragment.
#[inline(always)]
pub(crate) fn step<L: Level, const WATCH: bool>(
    level: L,
    cx: &mut Context,
    warp: &mut Warp,
    op: &Op,
    mask: u32,
    here: u32,
    pc: u32,
) -> Result<Flow, Box<Trap>> {
    let r = &mut warp.registers;
    let at = Here { warp: warp.index, pc };
    match *op {
        Op::Int1 { f, w, d, a } => level.call(
            #[inline(always)]
            || integer::int1(r, f, w, d, a, mask),
        ),
        Op::Count { f, w, d, a } => level.call(
            #[inline(always)]
            || integer::count(r, f, w, d, a, mask),
        ),
        Op::Int2 { f, w, d, a, b } => {
            if matches!(f, Int2::DivS | Int2::DivU | Int2::RemS | Int2::RemU) {
                divisors(warp, w, b, mask)?;
            }
            let r = &mut warp.registers;
            level.call(
                #[inline(always)]
                || integer::int2(r, f, w, d, a, b, mask),
            );
        }
        Op::Word3 { f, d, a, b, c } => level.call(
            #[inline(always)]
            || integer::word3(r, f, d, [a, b, c], mask),
        ),
        Op::Mad { hi, signed, w, d, a, b, c } => {
            level.call(
                #[inline(always)]
                || integer::mad(r, hi, signed, w, d, [a, b, c], mask),
            );
        }
        Op::Shift { f, w, d, a, b } => level.call(
            #[inline(always)]
            || integer::shift(r, f, w, d, a, b, mask),
        ),
        Op::Bfe { signed, w, d, a, pos, len } => integer::bfe(r, signed, w, d, a, [pos, len], mask),
        Op::Bfi { w, d, a, b, pos, len } => {
            level.call(
                #[inline(always)]
                || integer::bfi(r, w, d, [a, b], [pos, len], mask),
            );
        }
        Op::MulWide { f, d, a, b } => level.call(
            #[inline(always)]
            || integer::mul_wide(r, f, d, a, b, mask),
        ),
        Op::MadWide { f, d, a, b, c } => {
            level.call(
                #[inline(always)]
                || integer::mad_wide(r, f, d, [a, b, c], mask),
            );
        }
        Op::Float1 { f, ty, mode, d, a } => {
            level.call(
                #[inline(always)]
                || float::float1(r, f, ty, mode, d, a, mask),
            );
        }
        Op::Float2 { f, ty, mode, d, a, b } => {
            level.call(
                #[inline(always)]
                || float::float2(r, f, ty, mode, d, [a, b], mask),
            );
        }
        Op::Fma { ty, mode, d, a, b, c } => {
            level.call(
                #[inline(always)]
                || float::fma(r, ty, mode, d, [a, b, c], mask),
            );
        }
        Op::Approx { f, ftz, d, a } => {
            let perturb = cx.mode.perturb;
            level.call(
                #[inline(always)]
                || approx::approx(r, f, ftz, d, a, perturb, mask),
            );
        }
        Op::ApproxDiv { ftz, d, a, b } => {
            let perturb = cx.mode.perturb;
            level.call(
                #[inline(always)]
                || approx::div(r, ftz, d, [a, b], perturb, mask),
            );
        }
        Op::Convert { how, d, a } => level.call(
            #[inline(always)]
            || convert::convert(r, how, d, a, mask),
        ),
        Op::ConvertPair { bf16, round, relu, d, a, b } => {
            level.call(
                #[inline(always)]
                || convert::pair(r, bf16, round, relu, d, [a, b], mask),
            );
        }
        Op::Setp { f, ty, ordered, ftz, d, not_d, with, a, b } => {
            let holds = level.call(
                #[inline(always)]
                || float::compare(r, f, ty, ordered, ftz, a, b),
            );
            let (mut yes, mut no) = (holds, !holds);
            if let Some((logic, p, negate)) = with {
                let p = if negate { !r.pred(p) } else { r.pred(p) };
                (yes, no) = (float::join(logic, holds, p), float::join(logic, !holds, p));
            }
            r.put_pred(d, yes, mask);
            if not_d != SINK {
                r.put_pred(not_d, no, mask);
            }
        }
        Op::SetpNan { nan, ty, d, a, b } => {
            let found = float::any_nan(r, ty, a, b);
            r.put_pred(d, if nan { found } else { !found }, mask);
        }
        Op::Selp { w, d, a, b, p, negate } => {
            let p = if negate { !r.pred(p) } else { r.pred(p) };
            level.call(
                #[inline(always)]
                || select(r, w, d, a, b, p, mask),
            );
        }
        Op::Pred2 { f, d, a, b } => {
            let value = float::join(f, r.pred(a), r.pred(b));
            r.put_pred(d, value, mask);
        }
        Op::PredNot { d, a } => {
            let value = !r.pred(a);
            r.put_pred(d, value, mask);
        }
        Op::Mov { bank: Bank::Word, d, a } => level.call(
            #[inline(always)]
            || r.map1(d, a, mask, |x| x),
        ),
        Op::Mov { bank: Bank::Double, d, a } => level.call(
            #[inline(always)]
            || r.map1_double(d, a, mask, |x| x),
        ),
        Op::Mov { bank: Bank::Pred, d, a } => {
            let value = r.pred(a);
            r.put_pred(d, value, mask);
        }
        Op::Pack { halves, parts, count, to, d } => {
            level.call(
                #[inline(always)]
                || pack(r, halves, &parts[..count.into()], to, d, mask),
            );
        }
        Op::Unpack { halves, parts, count, from, a } => {
            level.call(
                #[inline(always)]
                || unpack(r, halves, &parts[..count.into()], from, a, mask),
            );
        }
        Op::Load(ref access) => level.call(
            #[inline(always)]
            || load::<WATCH>(cx, r, access, mask, at),
        )?,
        Op::Store(ref access) => level.call(
            #[inline(always)]
            || store::<WATCH>(cx, r, access, mask, at),
        )?,
        Op::Atom { f, ty, space, addr, d, b, c } => {
            atom(cx, r, &AtomArgs { f, ty, space, addr, d, b, c }, mask, at)?;
        }
        Op::Bra { target, uniform } => {
            if mask == here {
                return Ok(Flow::Jump(target));
            }
            if uniform {
                return Err(Trap::new(
                    FaultKind::MemberMask,
                    None,
                    "`bra.uni` is taken by a part of the warp only",
                ));
            }
            return Ok(Flow::Split { taken: mask, target });
        }
        Op::Exit => return Ok(Flow::Exit(mask)),
        Op::Bar { id, count, arrive, aligned } => {
            let count = (count != SINK).then(|| uniform(warp, count, mask)).transpose()?;
            return barrier(warp, (id, count, arrive, aligned), mask, here, pc);
        }
        Op::BarReduce { f, id, d, p, negate } => {
            let flow = barrier(warp, (id, None, false, true), mask, here, pc)?;
            let votes = if negate { !warp.registers.pred(p) } else { warp.registers.pred(p) };
            if let Flow::Barrier(mut at) = flow {
                at.reduce = Some((f, d, votes & mask, mask));
                return Ok(Flow::Barrier(at));
            }
            return Ok(flow);
        }
        Op::WarpSync { mask: member } => {
            if let Some(hold) = members(warp, member, mask, here)? {
                debug_assert!(matches!(hold, Hold::Lanes(_)));
                return Ok(Flow::Hold(Hold::Warp(uniform(warp, member, mask)?)));
            }
            cx.shadow.tick(warp.index);
        }
        Op::Shuffle { f, d, p, a, b, c, mask: member } => {
            if let Some(hold) = members(warp, member, mask, here)? {
                return Ok(Flow::Hold(hold));
            }
            let p = (p != SINK).then_some(p);
            exchange::shuffle(&mut warp.registers, f, d, p, [a, b, c], mask)?;
        }
        Op::Vote { f, d, p, negate, mask: member } => {
            if let Some(hold) = members(warp, member, mask, here)? {
                return Ok(Flow::Hold(hold));
            }
            exchange::vote(&mut warp.registers, f, d, p, negate, mask);
        }
        Op::Redux { f, d, a, mask: member } => {
            if let Some(hold) = members(warp, member, mask, here)? {
                return Ok(Flow::Hold(hold));
            }
            exchange::redux(&mut warp.registers, f, d, a, mask);
        }
        Op::Match { all, w, d, a, mask: member } => {
            if let Some(hold) = members(warp, member, mask, here)? {
                return Ok(Flow::Hold(hold));
            }
            exchange::matching(&mut warp.registers, all, w, d, a, mask);
        }
        Op::ActiveMask { d } => r.put_word(d, &[mask; 32], mask),
        Op::Fence => {}
        Op::CopyAsync { bytes, ref shared, ref global, size } => {
            issue(cx, r, &mut warp.copies, bytes, [shared, global], size, mask, at)?;
        }
        Op::CopyCommit => warp.copies.commit(mask),
        Op::CopyWait { pending } => warp.copies.wait(cx, mask, Some(pending), at.warp),
        Op::CopyWaitAll => warp.copies.wait(cx, mask, None, at.warp),
        Op::LoadMatrix { count, transposed, ref d, ref addr } => {
            if let Some(hold) = whole_warp(warp, mask, here)? {
                return Ok(Flow::Hold(hold));
            }
            let (r, d) = (&mut warp.registers, &d[..count.into()]);
            level.call(
                #[inline(always)]
                || load_matrix::<WATCH>(cx, r, transposed, d, addr, at),
            )?;
        }
        Op::Mma { bf16, ref regs } => {
            if let Some(hold) = whole_warp(warp, mask, here)? {
                return Ok(Flow::Hold(hold));
            }
            let (r, truncate) = (&mut warp.registers, cx.mode.truncate_mma);
            level.call(
                #[inline(always)]
                || matrix::mma(level, r, bf16, regs, truncate),
            );
        }
    }
    Ok(Flow::Next)
}

/// No active lane divides by zero.
fn divisors(warp: &Warp, w: Width, b: Reg, mask: u32) -> Result<(), Box<Trap>> {
    let zero = |lane: &usize| match w {
        Width::W64 => warp.registers.doubles[b as usize].0[*lane] == 0,
        _ => warp.registers.words[b as usize].0[*lane] == 0,
    };
    match lanes(mask).find(zero) {
        None => Ok(()),
        Some(lane) => {
            Err(Trap::new(FaultKind::DivisionByZero, Some(lane as u32), "an integer is divided by zero"))
        }
    }
}

/// An operand that must be the same for all lanes.
fn uniform(warp: &Warp, reg: Reg, mask: u32) -> Result<u32, Box<Trap>> {
    let values = &warp.registers.words[reg as usize].0;
    let first = values[mask.trailing_zeros() as usize];
    match lanes(mask).find(|&lane| values[lane] != first) {
        None => Ok(first),
        Some(lane) => {
            let message = format!("lanes disagree about an operand: {first:#x} and {:#x}", values[lane]);
            Err(Trap::new(FaultKind::MemberMask, Some(lane as u32), message))
        }
    }
}

/// Are all lanes of the member mask here that are left? If not, the fragment must wait.
fn members(warp: &Warp, member: Reg, mask: u32, here: u32) -> Result<Option<Hold>, Box<Trap>> {
    let member = uniform(warp, member, mask)?;
    let strangers = mask & !member;
    if strangers != 0 {
        let message = format!("a lane executes this that its member mask {member:#010x} does not name");
        return Err(Trap::new(FaultKind::MemberMask, Some(strangers.trailing_zeros()), message));
    }
    let missing = member & warp.alive & !mask;
    if missing & here != 0 {
        let message = format!("the member mask {member:#010x} names a lane whose guard is false");
        return Err(Trap::new(FaultKind::MemberMask, Some((missing & here).trailing_zeros()), message));
    }
    Ok((missing != 0).then_some(Hold::Lanes(missing)))
}

/// Instructions that all 32 lanes execute together.
fn whole_warp(warp: &Warp, mask: u32, here: u32) -> Result<Option<Hold>, Box<Trap>> {
    if mask == u32::MAX {
        return Ok(None);
    }
    if here != warp.alive && mask == here {
        return Ok(Some(Hold::Lanes(!mask)));
    }
    let missing = (!mask).trailing_zeros();
    Err(Trap::new(
        FaultKind::MemberMask,
        Some(missing),
        "all 32 lanes must execute this together; this one does not",
    ))
}

fn barrier(
    warp: &Warp,
    (id, count, arrive, aligned): (Reg, Option<u32>, bool, bool),
    mask: u32,
    here: u32,
    pc: u32,
) -> Result<Flow, Box<Trap>> {
    if here != warp.alive {
        return Ok(Flow::Hold(Hold::Barrier));
    }
    if mask != here {
        let word = if aligned { "an aligned barrier" } else { "a barrier" };
        let message = format!("{word} is executed by lanes {mask:#010x} of {here:#010x} only");
        let lane = (here & !mask).trailing_zeros();
        return Err(Trap::new(FaultKind::DivergentBarrier, Some(lane), message));
    }
    let id = uniform(warp, id, mask)?;
    if id >= 16 {
        let message = format!("barrier {id} does not exist: there are 0 to 15");
        return Err(Trap::new(FaultKind::DivergentBarrier, None, message));
    }
    Ok(Flow::Barrier(AtBarrier { id, count, pc, arrive, reduce: None }))
}

#[inline(always)]
fn select(r: &mut super::registers::Registers, w: Width, d: Reg, a: Reg, b: Reg, p: u32, mask: u32) {
    if w == Width::W64 {
        let (a, mut out) = (r.double(a), r.double(b));
        for i in 0..32 {
            out[i] = if p >> i & 1 == 1 { a[i] } else { out[i] };
        }
        r.put_double(d, &out, mask);
    } else {
        let (a, mut out) = (r.word(a), r.word(b));
        for i in 0..32 {
            out[i] = if p >> i & 1 == 1 { a[i] } else { out[i] };
        }
        r.put_word(d, &out, mask);
    }
}

#[inline(always)]
fn pack(r: &mut super::registers::Registers, halves: bool, parts: &[Reg], to: Bank, d: Reg, mask: u32) {
    if to == Bank::Word {
        return r.map2(d, parts[0], parts[1], mask, |low, high| high << 16 | (low & 0xffff));
    }
    let width = if halves { 16 } else { 32 };
    let mut out = [0_u64; 32];
    for (k, part) in parts.iter().enumerate() {
        let part = r.word(*part);
        for i in 0..32 {
            out[i] |= u64::from(part[i]) << (width * k as u32);
        }
    }
    r.put_double(d, &out, mask);
}

#[inline(always)]
fn unpack(r: &mut super::registers::Registers, halves: bool, parts: &[Reg], from: Bank, a: Reg, mask: u32) {
    for (k, part) in parts.iter().enumerate().filter(|(_, part)| **part != SINK) {
        let width = if halves { 16 } else { 32 };
        let shift = width * k as u32;
        if from == Bank::Word {
            r.map1(*part, a, mask, |x| x >> shift & 0xffff);
            continue;
        }
        let (source, mut out) = (r.double(a), [0; 32]);
        for i in 0..32 {
            out[i] = (source[i] >> shift) as u32 & if halves { 0xffff } else { u32::MAX };
        }
        r.put_word(*part, &out, mask);
    }
}
