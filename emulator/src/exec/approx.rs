//! Approximate instructions. The manual gives bounds for their errors, not their bits; so they are computed in f64 and
//! rounded once, and on request moved by a pseudo-random part of the bound, so that no kernel comes to rely on results
//! that are better than a GPU's.

use super::float::{NAN, flush};
use super::registers::Registers;
use crate::code::{Approx, Reg};

/// The documented bound: relative and absolute. (PTX ISA 8.8, "Floating Point Instructions".)
fn bound(f: Approx) -> (f64, f64) {
    let two = f64::exp2;
    match f {
        Approx::Ex2 => (two(-22.0), 0.0),
        Approx::Lg2 => (two(-22.0), two(-22.0)),
        Approx::Sin | Approx::Cos => (0.0, two(-20.5)),
        Approx::Tanh => (two(-11.0), 0.0),
        Approx::Rcp => (two(-23.0), 0.0),
        Approx::Rsqrt => (two(-22.9), 0.0),
        Approx::Sqrt => (two(-23.0), 0.0),
    }
}

/// `div.approx` and `div.full`: 2 ulp.
const DIV_BOUND: (f64, f64) = (2.4e-7, 0.0);

/// 2ˣ to about 2⁻³² in f64, in steps that vectorise: the whole part of x goes into the exponent, the rest is at most ½ and
/// takes eight terms of the exponential series.
#[inline(always)]
pub(crate) fn exp2(x: f64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0; // 1.5·2⁵²: adding it rounds to whole numbers in the low bits
    let x = x.clamp(-200.0, 200.0);
    let shifted = x + SHIFT;
    let t = (x - (shifted - SHIFT)) * std::f64::consts::LN_2;
    let mut p = 1.0 / 40_320.0;
    for c in [1.0 / 5_040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * t + c;
    }
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
}

fn evaluate(f: Approx, x: f64) -> f64 {
    match f {
        Approx::Ex2 => exp2(x),
        Approx::Lg2 => x.log2(),
        Approx::Sin => x.sin(),
        Approx::Cos => x.cos(),
        Approx::Tanh => x.tanh(),
        Approx::Rcp => 1.0 / x,
        Approx::Rsqrt => 1.0 / x.sqrt(),
        Approx::Sqrt => x.sqrt(),
    }
}

#[inline(always)]
fn finish(x: f64, ftz: bool) -> u32 {
    let x = x as f32;
    let x = if ftz { flush(x) } else { x };
    if x.is_nan() { NAN } else { x.to_bits() }
}

#[inline(always)]
fn map(r: &mut Registers, d: Reg, a: Reg, ftz: bool, mask: u32, f: impl Fn(f64) -> f64) {
    let input = |a: u32| if ftz { flush(f32::from_bits(a)) } else { f32::from_bits(a) };
    r.map1(d, a, mask, |a| finish(f(f64::from(input(a))), ftz));
}

/// A number in [-1, 1] that depends on the operand and the seed only.
fn noise(seed: u64, bits: u64) -> f64 {
    let mut x = seed ^ bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 * 2_f64.powi(-52) - 1.0
}

/// Moves a result inside its bound. Zeros, infinities and NaN are exact.
fn moved(y: f64, (relative, absolute): (f64, f64), noise: f64) -> f64 {
    if !y.is_finite() || y == 0.0 {
        return y;
    }
    // Rounding to f32 may lose half an ulp, at most 2⁻²⁴ of the value.
    let room = (relative * y.abs()).max(absolute) - y.abs() * 2_f64.powi(-24);
    y + room.max(0.0) * noise
}

#[inline(always)]
pub(crate) fn approx(
    r: &mut Registers,
    f: Approx,
    ftz: bool,
    d: Reg,
    a: Reg,
    perturb: Option<u64>,
    mask: u32,
) {
    if let Some(seed) = perturb {
        let bound = bound(f);
        let by = |x: f64| moved(evaluate(f, x), bound, noise(seed, x.to_bits() ^ f as u64));
        return map(r, d, a, ftz, mask, by);
    }
    match f {
        Approx::Ex2 => map(r, d, a, ftz, mask, exp2),
        Approx::Rcp => map(r, d, a, ftz, mask, |x| 1.0 / x),
        Approx::Rsqrt => map(r, d, a, ftz, mask, |x| 1.0 / x.sqrt()),
        Approx::Sqrt => map(r, d, a, ftz, mask, f64::sqrt),
        f => map(r, d, a, ftz, mask, |x| evaluate(f, x)),
    }
}

#[inline(always)]
pub(crate) fn div(r: &mut Registers, ftz: bool, d: Reg, ab: [Reg; 2], perturb: Option<u64>, mask: u32) {
    let input = |a: u32| f64::from(if ftz { flush(f32::from_bits(a)) } else { f32::from_bits(a) });
    r.map2(d, ab[0], ab[1], mask, |a, b| {
        let exact = input(a) / input(b);
        let result = match perturb {
            Some(seed) => moved(exact, DIV_BOUND, noise(seed, u64::from(a) << 32 | u64::from(b))),
            None => exact,
        };
        finish(result, ftz)
    });
}
