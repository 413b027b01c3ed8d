//! sin and cos for f32: vector code for angles of ordinary size, plain code for the others.
//!
//! `x = n·π/2 + r` with |r| ≤ π/4 (Cody and Waite 1980), where r is found in f64, so that nothing is lost when x is close
//! to a multiple of π/2; then a minimax polynomial of r for the sine or the cosine, as the lowest bit of n says, and a sign
//! as the next one says. Up to [`ORDINARY`] π/2 in two parts of f64 is enough for that. Beyond, x is an integer times a power
//! of two, and `x·2/π` modulo 4 is taken from an exact product with the bits of 2/π that matter (Payne and Hanek 1983).

/// Angles up to which [`sin_f32`] and [`cos_f32`] hold.
pub const ORDINARY: f32 = 1_048_576.0;

/// π/2 in two parts: the first has 33 significant bits, so n times it is exact.
const HALF_PI: [f64; 2] = [1.570_796_326_734_125_6, 6.077_100_506_506_192e-11];
/// Adding and subtracting 1.5·2^52 rounds to the nearest integer, which then sits in the lowest mantissa bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// `sin x` for |x| ≤ [`ORDINARY`], within 2 units in the last place; keeps the sign of zero.
#[inline(always)]
pub fn sin_f32(x: f32) -> f32 {
    let (n, r) = reduce(x);
    turn(n, r)
}

/// `cos x` for |x| ≤ [`ORDINARY`], within 2 units in the last place.
#[inline(always)]
pub fn cos_f32(x: f32) -> f32 {
    let (n, r) = reduce(x);
    turn(n.wrapping_add(1), r)
}

/// `sin x` for any x, as accurate; NaN for NaN and the infinities.
pub fn sin_any_f32(x: f32) -> f32 {
    if x.abs() <= ORDINARY {
        return sin_f32(x);
    }
    reduce_large(x).map_or(f32::NAN, |(n, r)| turn(n, r))
}

/// `cos x` for any x, as accurate; NaN for NaN and the infinities.
pub fn cos_any_f32(x: f32) -> f32 {
    if x.abs() <= ORDINARY {
        return cos_f32(x);
    }
    reduce_large(x).map_or(f32::NAN, |(n, r)| turn(n.wrapping_add(1), r))
}

/// `n` modulo 2³² and `r`.
#[inline(always)]
fn reduce(x: f32) -> (u32, f32) {
    let x = f64::from(x);
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUND;
    let whole = shifted - ROUND;
    let r = (x - whole * HALF_PI[0]) - whole * HALF_PI[1];
    (shifted.to_bits() as u32, r as f32)
}

/// `sin(n·π/2 + r)` for |r| ≤ π/4.
#[inline(always)]
fn turn(n: u32, r: f32) -> f32 {
    let z = r * r;
    let s = -1.951_512_1e-4;
    let s = s * z + 8.332_159e-3;
    let s = s * z - 1.666_665_5e-1;
    let sine = if r == 0.0 { r } else { r + r * (z * s) }; // the sum would lose the sign of zero
    let c = 2.443_297_1e-5;
    let c = c * z - 1.388_731_4e-3;
    let c = c * z + 4.166_664_6e-2;
    let cosine = 1.0 + (z * z * c - 0.5 * z);
    let value = if n & 1 == 0 { sine } else { cosine };
    f32::from_bits(value.to_bits() ^ (n & 2) << 30)
}

/// 2/π as a binary fraction: 64 bits before the point, 256 after it.
const TWO_OVER_PI: [u64; 5] =
    [0, 0xa2f9_836e_4e44_1529, 0xfc27_57d1_f534_ddc0, 0xdb62_9599_3c43_9041, 0xfe51_63ab_debb_c561];

/// Bits `at..at + 64` of [`TWO_OVER_PI`].
fn bits(at: usize) -> u64 {
    let (word, shift) = (at / 64, at % 64);
    let pair = u128::from(TWO_OVER_PI[word]) << 64 | u128::from(TWO_OVER_PI[word + 1]);
    (pair << shift >> 64) as u64
}

/// As [`reduce`], for finite |x| of at least [`ORDINARY`].
///
/// x = ±m·2^e with m < 2^24 and −3 ≤ e ≤ 104. Bits of 2/π that weigh 4 or more after multiplication by 2^e only add whole turns.
/// The next 128 bits times m, modulo 2^128, are the angle in units of 2^-126 quarter turns, less than 2^24 of them too small.
fn reduce_large(x: f32) -> Option<(u32, f32)> {
    const UNIT: f64 = f64::from_bits((1023 - 126) << 52); // 2^-126
    if !x.is_finite() {
        return None;
    }
    let m = u128::from(x.to_bits() & 0x7f_ffff | 0x80_0000);
    let e = (x.to_bits() >> 23 & 0xff) as usize; // plus 150
    let first = e + 62 - 150; // the bit that weighs 2 after multiplication
    let fraction = u128::from(bits(first)) << 64 | u128::from(bits(first + 64));
    let turn = m.wrapping_mul(fraction);
    let quarters = (turn.wrapping_add(1 << 125) >> 126) as u32;
    let rest = (turn as i128).wrapping_sub((u128::from(quarters) << 126) as i128);
    let r = rest as f64 * UNIT * std::f64::consts::FRAC_PI_2;
    Some(if x < 0.0 { (quarters.wrapping_neg(), -r as f32) } else { (quarters, r as f32) })
}

#[cfg(test)]
mod tests {
    use super::{ORDINARY, cos_any_f32, cos_f32, sin_any_f32, sin_f32};
    use crate::fast_math::tests::{floats, ulps};

    #[test]
    fn sin_and_cos_are_within_two_ulps_everywhere() {
        for x in floats(1e-45, f32::MAX, 997).chain(floats(0.5, 200.0, 501)) {
            let (sin, cos) = f64::from(x).sin_cos();
            assert!(ulps(sin_any_f32(x), sin) <= 2.0, "{x}: {} {sin}", sin_any_f32(x));
            assert!(ulps(cos_any_f32(x), cos) <= 2.0, "{x}: {} {cos}", cos_any_f32(x));
            assert_eq!((sin_any_f32(-x), cos_any_f32(-x)), (-sin_any_f32(x), cos_any_f32(x)));
        }
    }

    #[test]
    fn multiples_of_half_a_turn_keep_their_digits() {
        for n in 1..600_000 {
            let x = (f64::from(n) * std::f64::consts::FRAC_PI_2) as f32;
            let (sin, cos) = f64::from(x).sin_cos();
            assert!(ulps(sin_any_f32(x), sin) <= 2.0 && ulps(cos_any_f32(x), cos) <= 2.0, "{x}");
        }
    }

    #[test]
    fn zero_keeps_its_sign_and_infinities_have_no_angle() {
        assert!(sin_f32(-0.0).is_sign_negative() && sin_f32(0.0).is_sign_positive() && cos_f32(-0.0) == 1.0);
        for x in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(sin_any_f32(x).is_nan() && cos_any_f32(x).is_nan());
        }
        assert_eq!((sin_any_f32(ORDINARY), cos_any_f32(ORDINARY)), (sin_f32(ORDINARY), cos_f32(ORDINARY)));
    }
}
