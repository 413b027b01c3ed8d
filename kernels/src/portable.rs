//! ln, sin and cos in plain f64 arithmetic, so that the bits do not depend on the platform's math library.
//!
//! Used where the host makes numbers that must be the same everywhere: initial weights and rotary tables. Only `+ - * /`,
//! comparisons and bit moves are used, which IEEE 754 defines exactly.

/// Natural logarithm of a positive finite normal number; relative error below 1e-15.
///
/// `x = m·2^e` with `m` in [√½, √2); `ln m = 2·artanh(s)`, `s = (m−1)/(m+1)`, |s| ≤ 0.172, by its power series.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut e = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        e += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let mut series = 0.0;
    for k in (0..13).rev() {
        series = series * s2 + 1.0 / (2 * k + 1) as f64;
    }
    2.0 * s * series + e as f64 * std::f64::consts::LN_2
}

/// `(sin x, cos x)` for |x| < 2^20; absolute error below 1e-15.
///
/// The argument is reduced by multiples of π/2 held in three parts (Cody and Waite 1980); on [−π/4, π/4] the Taylor series.
pub fn sin_cos(x: f64) -> (f64, f64) {
    // π/2 as a sum of three numbers; the first two have 33 significant bits, so k times them is exact.
    const P1: f64 = 1.570_796_326_734_125_6;
    const P2: f64 = 6.077_100_506_303_966e-11;
    const P3: f64 = 2.022_266_248_795_950_6e-21;
    let k = (x * std::f64::consts::FRAC_2_PI).round();
    let r = ((x - k * P1) - k * P2) - k * P3;
    let r2 = r * r;
    let (mut s, mut c) = (0.0, 0.0);
    for n in (1..=9).rev() {
        let n = n as f64;
        s = (1.0 + s) * (-r2 / ((2.0 * n) * (2.0 * n + 1.0)));
        c = (1.0 + c) * (-r2 / ((2.0 * n - 1.0) * (2.0 * n)));
    }
    let (s, c) = (r + r * s, 1.0 + c);
    match (k as i64).rem_euclid(4) {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

/// `exp(x)` for |x| < 700; relative error below 4e-16·(1 + |x|). By 2^k·e^r with |r| ≤ ln2/2 and the power series.
pub fn exp(x: f64) -> f64 {
    const LN2_HI: f64 = 0.693_147_180_369_123_8; // 33 bits: k times it is exact
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    let k = (x * std::f64::consts::LOG2_E).round();
    let r = (x - k * LN2_HI) - k * LN2_LO;
    let mut series = 1.0;
    for n in (1..=16).rev() {
        series = 1.0 + r / n as f64 * series;
    }
    series * f64::from_bits(((k as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_agree_with_the_platform_library() {
        let mut rng = crate::philox::Philox::new(3, 0);
        for _ in 0..200_000 {
            let x = rng.uniform_f64();
            let wide = (x - 0.5) * 20_000.0;
            let small = (x - 0.5) * 1300.0;
            assert!((ln(x + 1e-12) - (x + 1e-12).ln()).abs() <= 1e-15 * (x + 1e-12).ln().abs().max(1.0));
            let (s, c) = sin_cos(wide);
            assert!((s - wide.sin()).abs() < 1e-14 && (c - wide.cos()).abs() < 1e-14, "{wide}");
            assert!((exp(small) / small.exp() - 1.0).abs() < 4e-16 * (1.0 + small.abs()), "{small}");
        }
    }

    #[test]
    fn exact_points_are_exact() {
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
        assert_eq!(exp(0.0), 1.0);
    }
}
