//! ln for f32, in the manner of [`super`]: blends and plain arithmetic, so that a loop over it becomes vector code.
//!
//! `x = m·2^k` with m in [√½, √2), `ln x = k·ln 2 + ln m`, and with `f = m − 1`, which is exact,
//! `ln m = f − f²/2 + f³·P(f)`, P being a weighted minimax polynomial of degree 8 (relative error of `ln m` below 8e-10).

use super::{LN2_HI, LN2_LO};

/// The bits of √½: taking them away leaves k in the exponent's place.
const ROOT_HALF: u32 = 0x3f35_04f3;

/// `ln x`, within 2 units in the last place over the whole range: −∞ at 0, NaN below and for NaN, ∞ at ∞.
#[inline(always)]
pub fn ln_f32(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x }; // by 2²³: exact, and a normal number
    let above = scaled.to_bits().wrapping_sub(ROOT_HALF);
    let exponent = (above as i32) >> 23;
    let m = f32::from_bits(scaled.to_bits().wrapping_sub((exponent as u32) << 23));
    let k = exponent as f32 - if subnormal { 23.0 } else { 0.0 };
    let f = m - 1.0;
    let p = 6.746_664e-2;
    let p = p * f - 1.167_563_9e-1;
    let p = p * f + 1.188_814_4e-1;
    let p = p * f - 1.240_559e-1;
    let p = p * f + 1.421_955_5e-1;
    let p = p * f - 1.666_799_6e-1;
    let p = p * f + 2.000_211_9e-1;
    let p = p * f - 2.500_001e-1;
    let p = p * f + 3.333_331_3e-1;
    let square = f * f;
    let y = k * LN2_HI + (f + (k * LN2_LO + (square * f * p - 0.5 * square)));
    let y = if x < f32::INFINITY { y } else { x }; // ∞ and NaN stay
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 { f32::NAN } else { y }
}

#[cfg(test)]
mod tests {
    use super::ln_f32;
    use crate::fast_math::tests::{floats, ulps};

    #[test]
    fn ln_is_within_two_ulps_everywhere() {
        for x in floats(1e-45, f32::MAX, 997).chain(floats(0.5, 2.0, 7)) {
            let (got, want) = (ln_f32(x), f64::from(x).ln());
            assert!(ulps(got, want) <= 2.0, "{x}: {got} {want} {}", ulps(got, want));
        }
        assert_eq!(ln_f32(1.0), 0.0);
    }

    #[test]
    fn ln_has_the_ends_of_the_number_line_right() {
        assert_eq!([0.0, -0.0].map(ln_f32), [f32::NEG_INFINITY; 2]);
        assert_eq!(ln_f32(f32::INFINITY), f32::INFINITY);
        assert!([-1.0, -1e-45, f32::NEG_INFINITY, f32::NAN].map(ln_f32).iter().all(|y| y.is_nan()));
    }
}
