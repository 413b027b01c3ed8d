//! exp, tanh, sigmoid, erf, ln, sin and cos for f32, written so that a loop over them becomes vector code.
//!
//! No branches, no table, no call: only `+ − * /`, comparisons that become blends, and bit moves. Inside
//! [`crate::simd::vectorize`] LLVM then computes 8 or 16 of them at once, and the bits are the same at every width.
//! All but erf follow the scheme of Cody and Waite (1980): `x = k·ln 2 + r` with |r| ≤ ln2/2, `e^x = 2^k·e^r`, and a minimax
//! polynomial for `e^r`. Used by [`crate::attention`], the cross-entropy and [`crate::gelu`]. For f64 exactness see
//! [`crate::portable`].

mod circular;
mod logarithm;

pub use circular::{ORDINARY, cos_any_f32, cos_f32, sin_any_f32, sin_f32};
pub use logarithm::ln_f32;

/// Adding and subtracting 1.5·2^23 rounds to the nearest integer, which then sits in the lowest mantissa bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts: the first has 10 significant bits, so `k` times it is exact.
const LN2_HI: f32 = 355.0 / 512.0;
const LN2_LO: f32 = -2.121_944_4e-4;

/// `(k, p)` with `x ≈ k·ln 2 + r`, `p = e^r − 1`: relative error of `1 + p` below 4e-9, plus the roundings.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let whole = shifted - ROUND;
    let r = (x - whole * LN2_HI) - whole * LN2_LO;
    // (e^r − 1 − r) / r², weighted minimax of degree 4 on |r| ≤ ln2/2.
    let q = 1.381_388e-3;
    let q = q * r + 8.369_063e-3;
    let q = q * r + 4.166_842_3e-2;
    let q = q * r + 1.666_651_8e-1;
    let q = q * r + 4.999_999_4e-1;
    (k, r + r * r * q)
}

/// 2^k for −126 ≤ k ≤ 127.
#[inline(always)]
fn power_of_two(k: i32) -> f32 {
    f32::from_bits((k.wrapping_add(127) as u32) << 23)
}

/// `e^x`, within 2 units in the last place over the whole range: overflows to infinity above 88.72, goes through the
/// subnormals to 0 below −87.33; NaN stays NaN.
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    // Written as comparisons, because `min` and `max` would replace NaN.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (k, p) = reduce(x);
    // Two factors, since 2^128 and 2^-150 are no normal numbers. The first product is exact, the second rounds once.
    let (first, second) = (k >> 1, k.wrapping_sub(k >> 1));
    ((1.0 + p) * power_of_two(first)) * power_of_two(second)
}

/// `e^x` as a softmax needs it: within 2 units in the last place from −87 to 88, exactly 0 below (a weight of 1e-38 beside
/// one of 1), infinity from 88.4 on. Cheaper than [`exp_f32`], and never slowed by subnormal numbers.
#[inline(always)]
pub fn exp_flushed_f32(x: f32) -> f32 {
    let low = x < -87.0;
    let x = if x > 89.0 { 89.0 } else { x };
    let (k, p) = reduce(if low { 0.0 } else { x });
    if low { 0.0 } else { (1.0 + p) * power_of_two(k) }
}

/// `tanh x`, within 4 units in the last place over the whole range, odd, ±1 beyond ±9.1; NaN stays NaN.
///
/// `tanh |x| = e / (e + 2)` with `e = e^(2|x|) − 1 = 2^k·p + (2^k − 1)`, which keeps its relative accuracy near 0, where
/// k = 0 and e = p.
#[inline(always)]
pub fn tanh_f32(x: f32) -> f32 {
    let a = if x.abs() > 10.0 { 10.0 } else { x.abs() };
    let (k, p) = reduce(a + a);
    let scale = power_of_two(k);
    let e = scale * p + (scale - 1.0);
    (e / (e + 2.0)).copysign(x)
}

/// `1 / (1 + e^−x)`, within 4 units in the last place over the whole range; NaN stays NaN.
///
/// From `e = e^−|x|`, which cannot overflow, as `1/(1+e)` or `e/(1+e)`: with `e^−x` itself, everything below −88.7 would be 0.
#[inline(always)]
pub fn sigmoid_f32(x: f32) -> f32 {
    let e = exp_f32(-x.abs());
    let y = 1.0 / (1.0 + e);
    if x < 0.0 { e * y } else { y }
}

/// `erf x`, within 2 units in the last place over the whole range, odd, ±1 beyond ±4; NaN stays NaN.
///
/// Below 1 `x + x·P(x²)`; above, `1 − e^(−G(|x|))` where G approximates `−ln erfc`, a smooth function near x². Both
/// polynomials are minimax fits of degree 6 for the error of the result (1.2e-9 and 1.1e-9). Both are computed: a choice between
/// two numbers is a blend.
#[inline(always)]
pub fn erf_f32(x: f32) -> f32 {
    let a = if x.abs() > 4.0 { 4.0 } else { x.abs() }; // erf 4 = 1 − 1.5e-8 rounds to 1
    let z = a * a;
    let p = 7.889_123e-5;
    let p = p * z - 8.020_842e-4;
    let p = p * z + 5.189_535_7e-3;
    let p = p * z - 2.685_444_4e-2;
    let p = p * z + 1.128_36e-1;
    let p = p * z - 3.761_262_6e-1;
    let p = p * z + 1.283_791_7e-1;
    let t = a - 2.0;
    let g = -1.855_739_4e-4;
    let g = g * t + 7.127_193_4e-4;
    let g = g * t - 3.543_686e-3;
    let g = g * t + 1.648_727_2e-2;
    let g = g * t + 9.237_531e-1;
    let g = g * t + 4.418_159_5;
    let g = g * t + 5.364_941;
    let (near, far) = (a + a * p, 1.0 - exp_flushed_f32(-g));
    (if a < 1.0 { near } else { far }).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable;

    /// Error in units of the spacing of f32 numbers at `want`.
    pub(super) fn ulps(got: f32, want: f64) -> f64 {
        let spacing = (want.abs().log2().floor() - 23.0).max(-149.0).exp2();
        (got as f64 - want).abs() / spacing
    }

    /// Every `step`-th f32 between `lo` and `hi` (of one sign), by bits.
    pub(super) fn floats(lo: f32, hi: f32, step: usize) -> impl Iterator<Item = f32> {
        (lo.to_bits()..=hi.to_bits()).step_by(step).map(f32::from_bits)
    }

    #[test]
    fn exp_is_within_two_ulps_everywhere() {
        for x in floats(0.0, 88.7, 997).chain(floats(-0.0, -103.9, 997)) {
            let (got, want) = (exp_f32(x), portable::exp(x as f64));
            assert!(ulps(got, want) <= 2.0, "{x}: {got} {want} {}", ulps(got, want));
            if (-87.0..=88.0).contains(&x) {
                assert_eq!(exp_flushed_f32(x), got, "{x}");
            }
        }
    }

    #[test]
    fn sigmoid_is_within_four_ulps_everywhere() {
        for x in floats(0.0, 100.0, 997).chain(floats(-0.0, -103.0, 997)) {
            let (got, want) = (sigmoid_f32(x), 1.0 / (1.0 + portable::exp(-f64::from(x))));
            assert!(ulps(got, want) <= 4.0, "{x}: {got} {want} {}", ulps(got, want));
        }
        assert_eq!((sigmoid_f32(f32::INFINITY), sigmoid_f32(f32::NEG_INFINITY)), (1.0, 0.0));
        assert!(sigmoid_f32(f32::NAN).is_nan());
    }

    #[test]
    fn exp_saturates_and_keeps_nan() {
        assert_eq!(exp_f32(0.0), 1.0);
        assert_eq!(exp_f32(88.73), f32::INFINITY);
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp_f32(-104.0), 0.0);
        assert_eq!(exp_f32(f32::NEG_INFINITY), 0.0);
        assert!(exp_f32(f32::NAN).is_nan() && exp_f32(-f32::NAN).is_nan());
        assert_eq!((exp_flushed_f32(-87.1), exp_flushed_f32(f32::NEG_INFINITY)), (0.0, 0.0));
        assert_eq!((exp_flushed_f32(88.8), exp_flushed_f32(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
        assert!(exp_flushed_f32(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_four_ulps_everywhere() {
        for x in floats(0.0, 12.0, 997) {
            // Near zero the series x − x³/3 + 2x⁵/15 is exact enough and free of cancellation.
            let w = x as f64;
            let e = portable::exp(2.0 * w);
            let series = w - w * w * w / 3.0 + 2.0 * w.powi(5) / 15.0;
            let want = if w < 1e-3 { series } else { (e - 1.0) / (e + 1.0) };
            assert!(ulps(tanh_f32(x), want) <= 4.0, "{x}: {} {want}", tanh_f32(x));
            assert_eq!(tanh_f32(-x), -tanh_f32(x));
        }
    }

    #[test]
    fn tanh_saturates_and_keeps_nan_and_the_sign_of_zero() {
        assert_eq!((tanh_f32(20.0), tanh_f32(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(tanh_f32(-0.0).is_sign_negative() && tanh_f32(0.0) == 0.0);
        assert!(tanh_f32(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_within_two_ulps_everywhere() {
        for x in floats(0.0, 6.0, 997).chain(floats(0.99, 1.01, 1)) {
            let (got, want) = (erf_f32(x), crate::gelu::reference::erf(x as f64));
            assert!(ulps(got, want) <= 2.0, "{x}: {got} {want} {}", ulps(got, want));
            assert_eq!(erf_f32(-x), -got);
        }
        assert_eq!((erf_f32(f32::INFINITY), erf_f32(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(erf_f32(f32::NAN).is_nan() && erf_f32(-0.0).is_sign_negative());
    }

    #[test]
    fn vector_code_gives_the_same_bits_as_one_call() {
        #[inline(always)]
        fn all(x: f32) -> f32 {
            exp_f32(x) + tanh_f32(x) + erf_f32(x) + ln_f32(x.abs()) + sin_f32(x) + cos_f32(x)
        }
        let x: Vec<f32> = (0..1003).map(|i| (i as f32 - 700.0) * 0.13).collect();
        let mut y = vec![0.0; x.len()];
        crate::simd::vectorize(
            #[inline(always)]
            || y.iter_mut().zip(&x).for_each(|(y, &x)| *y = all(x)),
        );
        for (&x, &y) in x.iter().zip(&y) {
            assert_eq!(y.to_bits(), all(x).to_bits());
        }
    }
}
