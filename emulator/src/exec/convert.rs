//! `cvt`. What occurs everywhere has a loop of its own; all other combinations go one lane at a time through exact integers
//! (`i128`) or exact f64.

use super::float::{NAN, flush};
use super::registers::Registers;
use crate::code::{Bank, Convert, Mode, Num, Reg};
use crate::half::{Round, bf16_to_f32, f16_to_f32, f32_to_bf16, f64_to_bf16, f64_to_f16, f64_to_f32};

const I32: Num = Num::Int(32, true);
const U32: Num = Num::Int(32, false);
const I64: Num = Num::Int(64, true);
const U64: Num = Num::Int(64, false);

#[inline(always)]
pub(crate) fn convert(r: &mut Registers, how: Convert, d: Reg, a: Reg, mask: u32) {
    let plain = how.mode == Mode::default();
    let own = |num: Num| if matches!(num, Num::Int(64, _) | Num::F64) { Bank::Double } else { Bank::Word };
    let same_width = (how.to_bits == 64) == (own(how.to) == Bank::Double) && how.from_bank == own(how.from);
    if !plain || !same_width {
        return slow(r, how, d, a, mask);
    }
    match (how.to, how.from, how.round, how.whole) {
        (Num::Int(to, to_signed), Num::Int(from, from_signed), ..)
            if to < 64 && from < 64 && how.to_bits < 64 =>
        {
            let fit = |x: u32, bits: u8, signed: bool| {
                let up = 32 - u32::from(bits);
                if signed { ((x << up) as i32 >> up) as u32 } else { x << up >> up }
            };
            let register = u32::MAX >> (32 - u32::from(how.to_bits));
            r.map1(d, a, mask, |x| fit(fit(x, from, from_signed), to, to_signed) & register);
        }
        (I64, I32, ..) => widen(r, d, a, mask, |x| i64::from(x as i32) as u64),
        (U64 | I64, U32, ..) => widen(r, d, a, mask, u64::from),
        (U32 | I32, U64 | I64, ..) => {
            let (x, mut out) = (r.double(a), [0; 32]);
            for i in 0..32 {
                out[i] = x[i] as u32;
            }
            r.put_word(d, &out, mask);
        }
        (Num::F32, Num::Bf16, ..) => r.map1(d, a, mask, |x| x << 16), // NaN with its payload
        (Num::Bf16, Num::F32, Round::Nearest, _) => {
            r.map1(d, a, mask, |x| f32_to_bf16(f32::from_bits(x)).into());
        }
        (Num::F32, Num::F16, ..) => r.map1(d, a, mask, |x| canonical(f16_to_f32(x as u16))),
        (Num::F32, I32, Round::Nearest, _) => r.map1(d, a, mask, |x| (x as i32 as f32).to_bits()),
        (Num::F32, U32, Round::Nearest, _) => r.map1(d, a, mask, |x| (x as f32).to_bits()),
        (I32, Num::F32, Round::Zero, true) => r.map1(d, a, mask, |x| f32::from_bits(x) as i32 as u32),
        _ => slow(r, how, d, a, mask),
    }
}

#[inline(always)]
fn widen(r: &mut Registers, d: Reg, a: Reg, mask: u32, f: impl Fn(u32) -> u64) {
    let (x, mut out) = (r.word(a), [0; 32]);
    for i in 0..32 {
        out[i] = f(x[i]);
    }
    r.put_double(d, &out, mask);
}

#[inline(always)]
fn canonical(x: f32) -> u32 {
    if x.is_nan() { NAN } else { x.to_bits() }
}

#[inline(never)]
fn slow(r: &mut Registers, how: Convert, d: Reg, a: Reg, mask: u32) {
    let source: [u64; 32] =
        if how.from_bank == Bank::Double { r.double(a) } else { r.word(a).map(u64::from) };
    let result = source.map(|x| one(&how, x));
    if how.to_bits == 64 {
        r.put_double(d, &result, mask)
    } else {
        r.put_word(d, &result.map(|x| x as u32), mask)
    }
}

/// The value of a source.
enum Exact {
    Int(i128),
    Float(f64),
}

fn value(num: Num, raw: u64) -> Exact {
    match num {
        Num::Int(bits, true) => Exact::Int(i128::from((raw << (64 - bits)) as i64 >> (64 - bits))),
        Num::Int(bits, false) => Exact::Int(i128::from(raw << (64 - bits) >> (64 - bits))),
        Num::F16 => Exact::Float(f16_to_f32(raw as u16).into()),
        Num::Bf16 => Exact::Float(bf16_to_f32(raw as u16).into()),
        Num::F32 => Exact::Float(f32::from_bits(raw as u32).into()),
        Num::F64 => Exact::Float(f64::from_bits(raw)),
    }
}

/// One conversion: raw bits in, bits of the destination's register out.
pub(crate) fn one(how: &Convert, raw: u64) -> u64 {
    let register = u64::MAX >> (64 - how.to_bits);
    match (how.to, value(how.from, raw)) {
        (Num::Int(bits, signed), Exact::Int(x)) => {
            let (low, high) = limits(bits, signed);
            let x = if how.mode.sat { x.clamp(low, high) } else { x };
            let Exact::Int(cut) = value(how.to, x as u64) else { return 0 };
            cut as u64 & register
        }
        (Num::Int(bits, signed), Exact::Float(x)) => {
            let x = if how.mode.ftz && how.from == Num::F32 { f64::from(flush(x as f32)) } else { x };
            let (low, high) = limits(bits, signed);
            // PTX: zero, but the smallest or the middle number where 64 bits are involved
            let of_nan = if bits == 64 || how.from == Num::F64 { 1_u64 << (bits - 1) } else { 0 };
            if x.is_nan() {
                return of_nan & register;
            }
            (to_whole(x, how.round) as i128).clamp(low, high) as u64 & register
        }
        (to, Exact::Int(x)) => float(to, odd(x), x, how),
        (to, Exact::Float(x)) => {
            let x = if how.mode.ftz && how.from == Num::F32 { f64::from(flush(x as f32)) } else { x };
            let x = if how.whole { to_whole(x, how.round) } else { x };
            let x = match how.mode.sat {
                true if x > 0.0 => x.min(1.0),
                true => 0.0, // NaN, too
                false => x,
            };
            float(to, x, 0, how)
        }
    }
}

fn limits(bits: u8, signed: bool) -> (i128, i128) {
    match signed {
        true => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        false => (0, (1 << bits) - 1),
    }
}

fn to_whole(x: f64, round: Round) -> f64 {
    match round {
        Round::Nearest => x.round_ties_even(),
        Round::Zero => x.trunc(),
        Round::Down => x.floor(),
        Round::Up => x.ceil(),
    }
}

/// An integer as f64; where it does not fit, with an odd last bit, so that rounding again is rounding once.
fn odd(x: i128) -> f64 {
    let near = x as f64;
    let back = near as i128;
    if back == x || near.to_bits() & 1 == 1 {
        return near;
    }
    let away = (back < x) == (x > 0);
    f64::from_bits(if away { near.to_bits() + 1 } else { near.to_bits() - 1 })
}

/// Rounds to a floating-point format. `int` is the exact source where it was an integer, for results of f64.
fn float(to: Num, x: f64, int: i128, how: &Convert) -> u64 {
    match to {
        Num::F16 => f64_to_f16(x, how.round).into(),
        Num::Bf16 => f64_to_bf16(x, how.round).into(),
        Num::F32 => {
            let x = f64_to_f32(x, how.round);
            canonical(if how.mode.ftz { flush(x) } else { x }).into()
        }
        _ if matches!(how.from, Num::Int(..)) => {
            let near = int as f64;
            let back = near as i128;
            let directed = match how.round {
                Round::Zero if back.unsigned_abs() > int.unsigned_abs() => f64::from_bits(near.to_bits() - 1),
                Round::Down if back > int => near.next_down(),
                Round::Up if back < int => near.next_up(),
                _ => near,
            };
            directed.to_bits()
        }
        _ => x.to_bits(),
    }
}

/// `cvt.rn.bf16x2.f32 d, a, b`: `a` in the high half.
#[inline(always)]
pub(crate) fn pair(r: &mut Registers, bf16: bool, round: Round, relu: bool, d: Reg, ab: [Reg; 2], mask: u32) {
    if bf16 && round == Round::Nearest && !relu {
        let half = |x: u32| u32::from(f32_to_bf16(f32::from_bits(x)));
        return r.map2(d, ab[0], ab[1], mask, |a, b| half(a) << 16 | half(b));
    }
    r.map2(d, ab[0], ab[1], mask, |a, b| {
        let half = |x: u32| {
            let x = f64::from(f32::from_bits(x));
            let x = if relu && x < 0.0 { 0.0 } else { x };
            u32::from(if bf16 { f64_to_bf16(x, round) } else { f64_to_f16(x, round) })
        };
        half(a) << 16 | half(b)
    });
}
