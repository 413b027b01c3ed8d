//! Rounding to the two 16-bit floating-point formats, once and to nearest even, and exact widening.
//!
//! `bf16` has 8 bits of mantissa (with the hidden one) and the exponents of f32, `f16` has 11 and five bits of exponent.
//! NaN becomes 0x7fff, as the hardware does.

use std::num::FpCategory;

/// bf16 to f32: exact.
#[inline(always)]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// f32 to bf16, to nearest even. Vectorises.
#[inline(always)]
pub fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if x.is_nan() { 0x7fff } else { rounded }
}

/// f16 to f32: exact.
#[inline(always)]
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff);
    let wide = if magnitude >= 0x7c00 {
        0x7f80_0000 | (magnitude & 0x3ff) << 13
    } else {
        // A multiplication by 2^112 puts the exponent right, and makes denormals normal.
        (f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000)).to_bits()
    };
    f32::from_bits(sign | wide)
}

/// How a result is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// To the nearest, ties to even.
    Nearest,
    /// Towards zero.
    Zero,
    /// Towards minus infinity.
    Down,
    /// Towards plus infinity.
    Up,
}

/// A format: bits of mantissa without the hidden one, and the largest exponent.
struct Format {
    mantissa: i32,
    max_exponent: i32,
}

const F16: Format = Format { mantissa: 10, max_exponent: 15 };
const BF16: Format = Format { mantissa: 7, max_exponent: 127 };

/// f64 to f16.
pub fn f64_to_f16(x: f64, round: Round) -> u16 {
    narrow(x, &F16, round)
}

/// f64 to bf16.
pub fn f64_to_bf16(x: f64, round: Round) -> u16 {
    narrow(x, &BF16, round)
}

fn narrow(x: f64, format: &Format, round: Round) -> u16 {
    if x.is_nan() {
        return 0x7fff;
    }
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let infinity = ((2 * format.max_exponent + 1) as u16) << format.mantissa;
    if x.classify() == FpCategory::Infinite {
        return sign | infinity;
    }
    let magnitude = x.abs();
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(1 - format.max_exponent);
    // The distance of neighbours at this exponent; the quotient is exact.
    let step = 2_f64.powi(exponent - format.mantissa);
    let units = magnitude / step;
    let whole = match round {
        Round::Nearest => units.round_ties_even(),
        Round::Zero => units.trunc(),
        Round::Down => {
            if sign == 0 {
                units.floor()
            } else {
                units.ceil()
            }
        }
        Round::Up => {
            if sign == 0 {
                units.ceil()
            } else {
                units.floor()
            }
        }
    };
    // `whole` counts steps from zero at this exponent: adding it to the exponent's base carries by itself.
    let base = (exponent + format.max_exponent - 1) << format.mantissa;
    let bits = base as u32 + whole as u32;
    if bits < u32::from(infinity) {
        return sign | bits as u16;
    }
    let toward_zero = match round {
        Round::Nearest => false,
        Round::Zero => true,
        Round::Down => sign == 0,
        Round::Up => sign != 0,
    };
    sign | (infinity - u16::from(toward_zero))
}

/// f64 to f32 with a direction; `as` rounds to nearest.
pub fn f64_to_f32(x: f64, round: Round) -> f32 {
    let nearest = x as f32;
    let (low, high) = (f64::from(nearest) < x, f64::from(nearest) > x);
    match round {
        Round::Zero if high && x > 0.0 => nearest.next_down(),
        Round::Zero if low && x < 0.0 => nearest.next_up(),
        Round::Down if high => nearest.next_down(),
        Round::Up if low => nearest.next_up(),
        _ => nearest,
    }
}

/// The exact `a·b + c` of 16-bit operands, with its last bit made odd if something was lost: rounding that once more to a
/// 16-bit format gives the correctly rounded result.
pub fn fma_to_odd(a: f64, b: f64, c: f64) -> f64 {
    let product = a * b; // at most 48 bits, of two f32: exact
    let sum = product + c;
    if !sum.is_finite() {
        return sum;
    }
    let virtual_c = sum - product;
    let lost = (product - (sum - virtual_c)) + (c - virtual_c);
    if lost == 0.0 || sum.to_bits() & 1 == 1 {
        return sum;
    }
    if (lost > 0.0) == (sum > 0.0) {
        f64::from_bits(sum.to_bits() + 1)
    } else {
        f64::from_bits(sum.to_bits() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_survives_widening_and_narrowing() {
        for bits in 0..=u16::MAX {
            let wide = f16_to_f32(bits);
            if wide.is_nan() {
                assert!(bits & 0x7c00 == 0x7c00 && bits & 0x3ff != 0);
                continue;
            }
            // the definition: (-1)^s · 2^(e-15) · 1.m, or 2^-14 · 0.m
            let (e, m) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff) / 1024.0);
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let want = match e {
                31 => f64::INFINITY,
                0 => m * 2_f64.powi(-14),
                _ => (1.0 + m) * 2_f64.powi(e - 15),
            };
            assert_eq!(f64::from(wide), sign * want, "{bits:#x}");
            assert_eq!(f64_to_f16(wide.into(), Round::Nearest), bits);
        }
    }

    #[test]
    fn the_two_ways_to_bf16_agree_and_ties_go_to_the_even_one() {
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(f32_to_bf16(f32::NAN), 0x7fff);
        assert_eq!(f32_to_bf16(f32::MAX), 0x7f80);
        let mut bits = 1_u32;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = f32::from_bits(bits);
            assert_eq!(f32_to_bf16(x), f64_to_bf16(x.into(), Round::Nearest), "{bits:#x}");
            let bf16 = f32_to_bf16(x);
            if !x.is_nan() {
                assert_eq!(f32_to_bf16(bf16_to_f32(bf16)), bf16);
            }
        }
    }

    #[test]
    fn directions_enclose_the_value() {
        for x in [1.0 + 1e-3, -1.0 - 1e-3, 1e-7, -1e-7, 65_519.9, 1e30, -1e30] {
            let of = |round| f64::from(f16_to_f32(f64_to_f16(x, round)));
            assert!(of(Round::Down) <= x && x <= of(Round::Up), "{x}");
            assert!(of(Round::Zero).abs() <= x.abs());
            let f = |round| f64::from(f64_to_f32(x + x * 1e-12, round));
            let exact = x + x * 1e-12;
            assert!(f(Round::Down) <= exact && exact <= f(Round::Up) && f(Round::Zero).abs() <= exact.abs());
        }
        assert_eq!(f64_to_f16(65_520.0, Round::Nearest), 0x7c00);
        assert_eq!(f64_to_f16(1e9, Round::Zero), 0x7bff);
    }

    #[test]
    fn a_sum_that_loses_bits_is_still_rounded_once() {
        // 1 + 2^-8 is a tie of bf16; a tiny third part must decide it.
        let tie = fma_to_odd(1.0, 1.0 + 2_f64.powi(-8), 2_f64.powi(-100));
        assert_eq!(f64_to_bf16(tie, Round::Nearest), 0x3f81);
        let below = fma_to_odd(1.0, 1.0 + 2_f64.powi(-8), -2_f64.powi(-100));
        assert_eq!(f64_to_bf16(below, Round::Nearest), 0x3f80);
    }
}
