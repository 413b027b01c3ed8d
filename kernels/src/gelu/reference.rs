//! The definition of both forms and of their derivatives, with an error function of its own.

use super::{Gelu, GeluForm};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// erf, to the accuracy of f64. Near 0 a series of positive terms, `2/√π·e^(−x²)·Σ 2ⁿ·x^(2n+1)/(1·3·5·…·(2n+1))`; beyond 3 the
/// continued fraction of the complement, `e^(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))`.
pub(crate) fn erf(x: f64) -> f64 {
    let (a, gauss) = (x.abs(), (-x * x).exp());
    if a < 3.0 {
        let (mut term, mut sum) = (a, 0.0);
        for n in 0..80 {
            sum += term;
            term *= 2.0 * a * a / (2 * n + 3) as f64;
        }
        return (FRAC_2_SQRT_PI * gauss * sum).copysign(x);
    }
    let fraction = (1..80).rev().fold(a, |below, n| a + n as f64 / 2.0 / below);
    let complement = if gauss == 0.0 { 0.0 } else { FRAC_2_SQRT_PI / 2.0 * gauss / fraction };
    (1.0 - complement).copysign(x)
}

/// Φ and its derivative.
fn phi(form: GeluForm, x: f64) -> (f64, f64) {
    match form {
        GeluForm::Exact => {
            let density = FRAC_2_SQRT_PI / 2.0 * FRAC_1_SQRT_2 * (-x * x / 2.0).exp();
            (0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)), density)
        }
        GeluForm::Tanh => {
            let k = FRAC_2_SQRT_PI * FRAC_1_SQRT_2; // √(2/π)
            let t = (k * (x + 0.044715 * x * x * x)).tanh();
            (0.5 * (1.0 + t), 0.5 * (1.0 - t * t) * k * (1.0 + 3.0 * 0.044715 * x * x))
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
    use super::erf;

    #[test]
    fn erf_has_its_tabulated_values_and_no_seam() {
        // Abramowitz & Stegun, table 7.1.
        for (x, want) in [(0.5, 0.5204998778), (1.0, 0.8427007929), (2.0, 0.9953222650)] {
            assert!((erf(x) - want).abs() < 1e-10 && erf(-x) == -erf(x));
        }
        assert!((erf(3.0) - erf(3.0 - 1e-12)).abs() < 1e-14);
        assert!((erf(3.0) - 0.999977909503001).abs() < 1e-14);
        assert_eq!((erf(0.0), erf(f64::INFINITY), erf(30.0)), (0.0, 1.0, 1.0));
        assert!(erf(f64::NAN).is_nan());
    }
}
