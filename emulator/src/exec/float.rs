//! Floating-point instructions whose result is defined to the last bit. f32 and f64 round once, to nearest even; the 16-bit
//! formats are computed in f64 and rounded once. A NaN result of f32 is 0x7fffffff, as on the hardware.

use super::registers::{Registers, each};
use crate::code::{Compare, Float, Float1, Float2, Logic, Mode, Num, Reg};
use crate::half::{Round, bf16_to_f32, f16_to_f32, f64_to_bf16, f64_to_f16, f64_to_f32, fma_to_odd};

/// The NaN of f32 results.
pub(crate) const NAN: u32 = 0x7fff_ffff;

/// Denormals become zero with their sign.
#[inline(always)]
pub(crate) fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { f32::from_bits(x.to_bits() & 0x8000_0000) } else { x }
}

#[inline(always)]
fn bits(x: f32) -> u32 {
    if x.is_nan() { NAN } else { x.to_bits() }
}

#[inline(always)]
fn finish(x: f32, mode: Mode) -> u32 {
    let x = if mode.ftz { flush(x) } else { x };
    if mode.sat {
        // NaN becomes zero
        return if x > 0.0 { x.min(1.0).to_bits() } else { 0 };
    }
    bits(x)
}

/// The operand that is not NaN, or the smaller one; -0 is smaller than +0.
#[inline(always)]
fn min32(a: f32, b: f32) -> u32 {
    let tie = f32::from_bits(a.to_bits() | b.to_bits());
    let low = if a < b {
        a
    } else if b < a {
        b
    } else {
        tie
    };
    bits(if a.is_nan() {
        b
    } else if b.is_nan() {
        a
    } else {
        low
    })
}

#[inline(always)]
fn max32(a: f32, b: f32) -> u32 {
    let tie = f32::from_bits(a.to_bits() & b.to_bits());
    let high = if a > b {
        a
    } else if b > a {
        b
    } else {
        tie
    };
    bits(if a.is_nan() {
        b
    } else if b.is_nan() {
        a
    } else {
        high
    })
}

#[inline(always)]
fn map1_f32(r: &mut Registers, d: Reg, a: Reg, mode: Mode, mask: u32, f: impl Fn(f32) -> f32) {
    if mode == Mode::default() {
        return r.map1(d, a, mask, |a| bits(f(f32::from_bits(a))));
    }
    let input = |a| if mode.ftz { flush(f32::from_bits(a)) } else { f32::from_bits(a) };
    r.map1(d, a, mask, |a| finish(f(input(a)), mode));
}

#[inline(always)]
fn map2_f32(r: &mut Registers, d: Reg, a: Reg, b: Reg, mode: Mode, mask: u32, f: impl Fn(f32, f32) -> f32) {
    if mode == Mode::default() {
        return r.map2(d, a, b, mask, |a, b| bits(f(f32::from_bits(a), f32::from_bits(b))));
    }
    let input = |a| if mode.ftz { flush(f32::from_bits(a)) } else { f32::from_bits(a) };
    r.map2(d, a, b, mask, |a, b| finish(f(input(a), input(b)), mode));
}

/// To f64 and back, for the 16-bit formats.
fn widen(brain: bool, x: u32) -> f64 {
    f64::from(if brain { bf16_to_f32(x as u16) } else { f16_to_f32(x as u16) })
}

fn narrow(brain: bool, x: f64) -> u32 {
    u32::from(if brain { f64_to_bf16(x, Round::Nearest) } else { f64_to_f16(x, Round::Nearest) })
}

/// Applies `f` to one half or to both, given where the half begins.
#[inline(always)]
fn halves(ty: Float, f: impl Fn(u32) -> u32) -> u32 {
    match ty {
        Float::F16x2 | Float::Bf16x2 => f(16) << 16 | f(0),
        _ => f(0),
    }
}

#[inline(always)]
pub(crate) fn float1(r: &mut Registers, f: Float1, ty: Float, mode: Mode, d: Reg, a: Reg, mask: u32) {
    match (ty, f) {
        (Float::F32, Float1::Neg) => map1_f32(r, d, a, mode, mask, |a| -a),
        (Float::F32, Float1::Abs) => map1_f32(r, d, a, mode, mask, f32::abs),
        (Float::F32, Float1::Sqrt) => map1_f32(r, d, a, mode, mask, f32::sqrt),
        (Float::F32, Float1::Rcp) => map1_f32(r, d, a, mode, mask, |a| 1.0 / a),
        (Float::F64, _) => r.map1_double(d, a, mask, |a| {
            let x = f64::from_bits(a);
            match f {
                Float1::Neg => -x,
                Float1::Abs => x.abs(),
                Float1::Sqrt => x.sqrt(),
                Float1::Rcp => 1.0 / x,
            }
            .to_bits()
        }),
        // neg and abs of the 16-bit formats change the sign bit, but there is one NaN
        (_, _) => {
            let (infinity, sign) = (
                if matches!(ty, Float::F16 | Float::F16x2) { 0x7c00 } else { 0x7f80 },
                if f == Float1::Neg { 0x8000 } else { 0 },
            );
            r.map1(d, a, mask, |a| {
                halves(ty, |at| {
                    let (x, size) = (a >> at & 0xffff, a >> at & 0x7fff);
                    if size > infinity { 0x7fff } else { (if sign == 0 { size } else { x }) ^ sign }
                })
            })
        }
    }
}

#[inline(always)]
pub(crate) fn float2(r: &mut Registers, f: Float2, ty: Float, mode: Mode, d: Reg, ab: [Reg; 2], mask: u32) {
    let [a, b] = ab;
    match (ty, f) {
        (Float::F32, Float2::Add) => map2_f32(r, d, a, b, mode, mask, |a, b| a + b),
        (Float::F32, Float2::Sub) => map2_f32(r, d, a, b, mode, mask, |a, b| a - b),
        (Float::F32, Float2::Mul) => map2_f32(r, d, a, b, mode, mask, |a, b| a * b),
        (Float::F32, Float2::Div) => map2_f32(r, d, a, b, mode, mask, |a, b| a / b),
        (Float::F32, Float2::Min) => map2_f32(r, d, a, b, mode, mask, |a, b| f32::from_bits(min32(a, b))),
        (Float::F32, Float2::Max) => map2_f32(r, d, a, b, mode, mask, |a, b| f32::from_bits(max32(a, b))),
        (Float::F32, Float2::MinNan) => map2_f32(r, d, a, b, mode, mask, |a, b| {
            if a.is_nan() || b.is_nan() { f32::NAN } else { f32::from_bits(min32(a, b)) }
        }),
        (Float::F32, Float2::MaxNan) => map2_f32(r, d, a, b, mode, mask, |a, b| {
            if a.is_nan() || b.is_nan() { f32::NAN } else { f32::from_bits(max32(a, b)) }
        }),
        (Float::F64, _) => {
            r.map2_double(d, a, b, mask, |a, b| exact64(f, f64::from_bits(a), f64::from_bits(b)).to_bits());
        }
        _ => {
            let brain = matches!(ty, Float::Bf16 | Float::Bf16x2);
            r.map2(d, a, b, mask, |a, b| {
                halves(ty, |at| {
                    let (x, y) = (widen(brain, a >> at), widen(brain, b >> at));
                    let sum = match f {
                        Float2::Add => fma_to_odd(x, 1.0, y),
                        Float2::Sub => fma_to_odd(x, 1.0, -y),
                        _ => exact64(f, x, y),
                    };
                    narrow(brain, sum)
                })
            });
        }
    }
}

fn exact64(f: Float2, a: f64, b: f64) -> f64 {
    let either = a.is_nan() || b.is_nan();
    match f {
        Float2::Add => a + b,
        Float2::Sub => a - b,
        Float2::Mul => a * b,
        Float2::Div => a / b,
        Float2::MinNan | Float2::MaxNan if either => f64::NAN,
        Float2::Min | Float2::Max if a.is_nan() => b,
        Float2::Min | Float2::Max if b.is_nan() => a,
        Float2::Min | Float2::MinNan if a == b => f64::from_bits(a.to_bits() | b.to_bits()),
        Float2::Max | Float2::MaxNan if a == b => f64::from_bits(a.to_bits() & b.to_bits()),
        Float2::Min | Float2::MinNan => {
            if a < b {
                a
            } else {
                b
            }
        }
        Float2::Max | Float2::MaxNan => {
            if a > b {
                a
            } else {
                b
            }
        }
    }
}

#[inline(always)]
pub(crate) fn fma(r: &mut Registers, ty: Float, mode: Mode, d: Reg, abc: [Reg; 3], mask: u32) {
    match ty {
        Float::F32 if mode == Mode::default() => r.map3(d, abc, mask, |a, b, c| {
            bits(f32::from_bits(a).mul_add(f32::from_bits(b), f32::from_bits(c)))
        }),
        Float::F32 => {
            let input = |a| if mode.ftz { flush(f32::from_bits(a)) } else { f32::from_bits(a) };
            r.map3(d, abc, mask, |a, b, c| {
                let (a, b, c) = (input(a), input(b), input(c));
                finish(if mode.down { fma_down(a, b, c) } else { a.mul_add(b, c) }, mode)
            });
        }
        Float::F64 => r.map3_double(d, abc, mask, |a, b, c| {
            f64::from_bits(a).mul_add(f64::from_bits(b), f64::from_bits(c)).to_bits()
        }),
        _ => {
            let brain = matches!(ty, Float::Bf16 | Float::Bf16x2);
            r.map3(d, abc, mask, |a, b, c| {
                halves(ty, |at| {
                    let of = |x: u32| widen(brain, x >> at);
                    narrow(brain, fma_to_odd(of(a), of(b), of(c)))
                })
            });
        }
    }
}

/// `a·b + c` rounded towards −∞, by way of the odd neighbour in f64. A sum that cancels is −0.
#[inline(never)]
fn fma_down(a: f32, b: f32, c: f32) -> f32 {
    let (a, b, c) = (f64::from(a), f64::from(b), f64::from(c));
    let sum = fma_to_odd(a, b, c);
    if sum == 0.0 && (a * b).is_sign_negative() != c.is_sign_negative() {
        return -0.0;
    }
    f64_to_f32(sum, Round::Down)
}

#[inline(always)]
fn compare_by<T: PartialOrd + Copy>(a: &[T; 32], b: &[T; 32], f: Compare) -> u32 {
    #[inline(always)]
    fn gather<T: Copy>(a: &[T; 32], b: &[T; 32], f: impl Fn(T, T) -> bool) -> u32 {
        let mut mask = 0;
        for i in 0..32 {
            mask |= u32::from(f(a[i], b[i])) << i;
        }
        mask
    }
    match f {
        Compare::Eq => gather(a, b, |a, b| a == b),
        Compare::Ne => gather(a, b, |a, b| a != b),
        Compare::Lt => gather(a, b, |a, b| a < b),
        Compare::Le => gather(a, b, |a, b| a <= b),
        Compare::Gt => gather(a, b, |a, b| a > b),
        Compare::Ge => gather(a, b, |a, b| a >= b),
    }
}

/// The lanes for which the comparison holds. Unordered comparisons are true for NaN, ordered ones false.
#[inline(always)]
pub(crate) fn compare(r: &Registers, f: Compare, ty: Num, ordered: bool, ftz: bool, a: Reg, b: Reg) -> u32 {
    match ty {
        Num::Int(64, true) => {
            let (a, b) = (each(&r.double(a), |x| x as i64), each(&r.double(b), |x| x as i64));
            compare_by(&a, &b, f)
        }
        Num::Int(64, false) => compare_by(&r.double(a), &r.double(b), f),
        Num::Int(16, true) => {
            compare_by(&each(&r.word(a), |x| x as u16 as i16), &each(&r.word(b), |x| x as u16 as i16), f)
        }
        Num::Int(_, true) => compare_by(&each(&r.word(a), |x| x as i32), &each(&r.word(b), |x| x as i32), f),
        Num::Int(_, false) => compare_by(&r.word(a), &r.word(b), f),
        Num::F32 => {
            let of = |x| if ftz { flush(f32::from_bits(x)) } else { f32::from_bits(x) };
            floats(&each(&r.word(a), of), &each(&r.word(b), of), f, ordered)
        }
        Num::F64 => {
            floats(&each(&r.double(a), f64::from_bits), &each(&r.double(b), f64::from_bits), f, ordered)
        }
        Num::F16 | Num::Bf16 => {
            let of = |x| widen(ty == Num::Bf16, x);
            floats(&each(&r.word(a), of), &each(&r.word(b), of), f, ordered)
        }
    }
}

#[inline(always)]
fn floats<T: PartialOrd + Copy>(a: &[T; 32], b: &[T; 32], f: Compare, ordered: bool) -> u32 {
    let holds = compare_by(a, b, f);
    match ordered {
        true if f == Compare::Ne => holds & !nan_lanes(a, b),
        true => holds, // false for NaN by itself
        false => holds | nan_lanes(a, b),
    }
}

#[inline(always)]
fn nan_lanes<T: PartialOrd + Copy>(a: &[T; 32], b: &[T; 32]) -> u32 {
    let mut mask = 0;
    for i in 0..32 {
        mask |= u32::from(a[i].partial_cmp(&b[i]).is_none()) << i;
    }
    mask
}

/// The lanes where an operand is NaN.
pub(crate) fn any_nan(r: &Registers, ty: Num, a: Reg, b: Reg) -> u32 {
    !compare(r, Compare::Eq, ty, true, false, a, a) | !compare(r, Compare::Eq, ty, true, false, b, b)
}

/// Joins a comparison with another predicate.
pub(crate) fn join(logic: Logic, a: u32, b: u32) -> u32 {
    match logic {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    }
}
