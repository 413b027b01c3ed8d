//! Exchange between the lanes of a warp: shuffles, votes, reductions, matches. The member mask has been checked and all its
//! lanes are here.

use super::registers::{Registers, lanes};
use crate::check::Trap;
use crate::code::{Atomic, Reg, Shuffle, Vote, Width};
use crate::error::FaultKind;

/// Reads `a` of another lane; which one, `b` and the clamp in `c` say. `mask` is the lanes that execute it.
///
/// A source lane that does not take part has no defined value; that is a fault.
pub(crate) fn shuffle(
    r: &mut Registers,
    f: Shuffle,
    d: Reg,
    p: Option<Reg>,
    [a, b, c]: [Reg; 3],
    mask: u32,
) -> Result<(), Box<Trap>> {
    let (a, b, c) = (r.word(a), r.word(b), r.word(c));
    let (mut out, mut valid) = ([0; 32], 0);
    for lane in lanes(mask) {
        let (own, by) = (lane as u32, b[lane] & 31);
        let (clamp, segment) = (c[lane] & 31, c[lane] >> 8 & 31);
        let last = (own & segment) | (clamp & !segment);
        let (from, inside) = match f {
            Shuffle::Up => (own.wrapping_sub(by), (own as i32 - by as i32) >= last as i32),
            Shuffle::Down => (own + by, own + by <= last),
            Shuffle::Bfly => (own ^ by, own ^ by <= last),
            Shuffle::Idx => {
                let from = (own & segment) | (by & !segment);
                (from, from <= last)
            }
        };
        let from = if inside { from } else { own };
        valid |= u32::from(inside) << lane;
        if mask >> from & 1 == 0 {
            let message = format!("the shuffle reads lane {from}, which does not take part");
            return Err(Trap::new(FaultKind::MemberMask, Some(own), message));
        }
        out[lane] = a[from as usize];
    }
    r.put_word(d, &out, mask);
    if let Some(p) = p {
        r.put_pred(p, valid, mask);
    }
    Ok(())
}

pub(crate) fn vote(r: &mut Registers, f: Vote, d: Reg, p: Reg, negate: bool, mask: u32) {
    let votes = if negate { !r.pred(p) & mask } else { r.pred(p) & mask };
    let all = |yes: bool| if yes { u32::MAX } else { 0 };
    match f {
        Vote::All => r.put_pred(d, all(votes == mask), mask),
        Vote::Any => r.put_pred(d, all(votes != 0), mask),
        Vote::Uni => r.put_pred(d, all(votes == mask || votes == 0), mask),
        Vote::Ballot => r.put_word(d, &[votes; 32], mask),
    }
}

pub(crate) fn redux(r: &mut Registers, f: Atomic, d: Reg, a: Reg, mask: u32) {
    let a = r.word(a);
    let join = |x: u32, y: u32| super::atomics::update32(f, x, y, 0);
    let result = lanes(mask).map(|lane| a[lane]).reduce(join).unwrap_or(0);
    r.put_word(d, &[result; 32], mask);
}

/// `any`: the lanes with the same value; `all`: the mask if every lane has the same, else nothing.
pub(crate) fn matching(r: &mut Registers, all: bool, w: Width, d: Reg, a: Reg, mask: u32) {
    let a: [u64; 32] = if w == Width::W64 { r.double(a) } else { r.word(a).map(u64::from) };
    let mut out = [0; 32];
    for lane in lanes(mask) {
        let same = lanes(mask).filter(|other| a[*other] == a[lane]).fold(0, |m, other| m | 1 << other);
        out[lane] = if all && same != mask { 0 } else { same };
    }
    r.put_word(d, &out, mask);
}
