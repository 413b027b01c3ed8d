//! The definition of both forms and of their derivatives, with a complementary error function of its own.

use super::{Gelu, GeluForm};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// Up to 2, erf by a series of positive terms: `2/√π·e^(−x²)·Σ 2ⁿ·x^(2n+1)/(1·3·5·…·(2n+1))`.
fn erf_near(x: f64) -> f64 {
    let (mut term, mut sum) = (x, 0.0);
    for n in 0..80 {
        sum += term;
        term *= 2.0 * x * x / (2 * n + 3) as f64;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// From 2 on, 1 − erf by the continued fraction `e^(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))`.
fn erfc_far(x: f64) -> f64 {
    let (gauss, fraction) = ((-x * x).exp(), (1..80).rev().fold(x, |below, n| x + n as f64 / 2.0 / below));
    if gauss == 0.0 { 0.0 } else { FRAC_2_SQRT_PI / 2.0 * gauss / fraction }
}

/// 1 − erf, whose digits are not lost to the right.
pub(crate) fn erfc(x: f64) -> f64 {
    match x {
        _ if x.abs() < 2.0 => 1.0 - erf_near(x),
        _ if x < 0.0 => 2.0 - erfc_far(-x),
        _ => erfc_far(x),
    }
}

/// erf, for the tests of the fast one.
#[cfg(test)]
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() < 2.0 { erf_near(x) } else { (1.0 - erfc_far(x.abs())).copysign(x) }
}

/// Φ and its derivative.
pub(crate) fn phi(form: GeluForm, x: f64) -> (f64, f64) {
    match form {
        GeluForm::Exact => {
            let density = FRAC_2_SQRT_PI / 2.0 * FRAC_1_SQRT_2 * (-x * x / 2.0).exp();
            (0.5 * erfc(-x * FRAC_1_SQRT_2), density)
        }
        GeluForm::Tanh => {
            // (1 + tanh u)/2 is σ(2u), and that subtracts nothing
            let k = FRAC_2_SQRT_PI * FRAC_1_SQRT_2; // √(2/π)
            let e = (-2.0 * k * (x + 0.044715 * x * x * x)).exp();
            (1.0 / (1.0 + e), 2.0 * k * (1.0 + 3.0 * 0.044715 * x * x) / ((1.0 + e) * (1.0 + 1.0 / e)))
        }
    }
}

impl Gelu for Reference {
    fn gelu_fwd(&self, form: GeluForm, x: View, mut y: ViewMut) -> Result<()> {
        let x = host("gelu_fwd", "x", x.to_f64())?;
        let ys: Vec<f64> = x.iter().map(|&x| x * phi(form, x).0).collect();
        host("gelu_fwd", "y", y.store_f64(&ys).then_some(()))
    }

    fn gelu_bwd(&self, form: GeluForm, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "gelu_bwd";
        let (x, dy) = (host(OP, "x", x.to_f64())?, host(OP, "dy", dy.to_f64())?);
        let mut dxs = host(OP, "dx", dx.as_view().to_f64())?;
        for i in 0..dxs.len() {
            let x = x[i].clamp(-40.0, 40.0); // the derivative is 0 or 1 beyond, at infinity too
            let (phi, slope) = phi(form, x);
            let own = dy[i] * (phi + x * slope);
            dxs[i] = if accumulate { dxs[i] + own } else { own };
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::erfc;

    #[test]
    fn erfc_has_its_tabulated_values_and_no_seam() {
        // Abramowitz & Stegun, table 7.1.
        for (x, want) in [(0.5, 0.5204998778), (1.0, 0.8427007929), (2.0, 0.9953222650)] {
            assert!((1.0 - erfc(x) - want).abs() < 1e-10 && (erfc(-x) - 1.0 - want).abs() < 1e-10);
        }
        assert!((erfc(2.0) / erfc(2.0 - 1e-14) - 1.0).abs() < 1e-12);
        assert!((erfc(3.0) / 2.209_049_699_858_544e-5 - 1.0).abs() < 1e-14);
        assert_eq!((erfc(0.0), erfc(f64::INFINITY), erfc(-30.0)), (1.0, 0.0, 2.0));
        assert!(erfc(f64::NAN).is_nan());
    }
}
