//! The Gaussian error linear unit on the CPU: elementwise, about thirty operations per element, all of them vectorised.
//!
//! The approximation is computed as `Φ = σ(2u)`, which is the same as `(1 + tanh u)/2` but subtracts nothing: with
//! `E = e^(−2|u|)` it is `1/(1+E)` for x ≥ 0 and `E/(1+E)` for x < 0, and its derivative `2u'·E/(1+E)²`. So Φ keeps its relative
//! accuracy far to the left of 0, where `1 + tanh u` has lost every digit, at the cost of one exponential either way.

use super::{Gelu, GeluForm};
use crate::elementwise::{Operands, map, zip};
use crate::fast_math::{erf_f32, exp_flushed_f32};
use crate::{Cpu, Result, View, ViewMut, planted};
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// Beyond ±16 both forms of Φ are 0 or 1, and the powers of x must not overflow.
#[inline(always)]
fn clamp(x: f32) -> f32 {
    let x = if x > 16.0 { 16.0 } else { x };
    if x < -16.0 { -16.0 } else { x }
}

/// `Φ(x) = (1 + erf(x/√2))/2`.
#[inline(always)]
fn phi_exact(x: f32) -> f32 {
    0.5 + 0.5 * erf_f32(x * FRAC_1_SQRT_2)
}

/// `(x·Φ(x))'` for the exact form.
#[inline(always)]
fn slope_exact(x: f32) -> f32 {
    let c = clamp(x);
    const DENSITY: f32 = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2; // 1/√(2π)
    phi_exact(x) + c * (DENSITY * exp_flushed_f32(-0.5 * c * c))
}

/// `2√(2/π)`
const TWICE: f32 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBIC: f32 = 0.044_715;

/// `Φ` and `Φ'` for the approximate form.
#[inline(always)]
fn sigmoid_of_cubic(x: f32) -> (f32, f32) {
    let c = clamp(x);
    let square = c * c;
    let e = exp_flushed_f32(-(TWICE * c * (1.0 + CUBIC * square)).abs());
    let right = 1.0 / (1.0 + e);
    let left = e * right;
    (if x < 0.0 { left } else { right }, TWICE * (1.0 + 3.0 * CUBIC * square) * (left * right))
}

/// `x·σ(2u)`, the approximate form.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    x * sigmoid_of_cubic(x).0
}

/// Its derivative.
#[inline(always)]
pub(crate) fn gelu_tanh_slope(x: f32) -> f32 {
    let (phi, slope) = sigmoid_of_cubic(x);
    planted!("gelu.derivative_without_inner_term", phi + clamp(x) * slope => phi)
}

impl Gelu for Cpu {
    fn gelu_fwd(&self, form: GeluForm, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "gelu_fwd";
        match form {
            GeluForm::Exact => map(
                OP,
                &x,
                &mut y,
                #[inline(always)]
                |x| x * phi_exact(x),
            ),
            GeluForm::Tanh => map(
                OP,
                &x,
                &mut y,
                #[inline(always)]
                |x| x * sigmoid_of_cubic(x).0,
            ),
        }
    }
    fn gelu_bwd(&self, form: GeluForm, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        let operands = Operands { op: "gelu_bwd", a: ("x", &x), b: Some(("dy", &dy)), accumulate };
        match form {
            GeluForm::Exact => zip(
                operands,
                ("dx", &mut dx),
                #[inline(always)]
                |x, dy| dy * slope_exact(x),
            ),
            GeluForm::Tanh => zip(
                operands,
                ("dx", &mut dx),
                #[inline(always)]
                |x, dy| dy * gelu_tanh_slope(x),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{gelu_tanh, gelu_tanh_slope, phi_exact, slope_exact};

    #[test]
    fn far_from_zero_it_is_the_rectifier() {
        for x in [20.0f32, 1e4, 1e30] {
            assert_eq!((gelu_tanh(x), x * phi_exact(x)), (x, x));
            assert_eq!((gelu_tanh(-x), -x * phi_exact(-x)), (0.0, 0.0));
            assert_eq!([gelu_tanh_slope(x), slope_exact(x)], [1.0; 2]);
            assert_eq!([gelu_tanh_slope(-x), slope_exact(-x)], [0.0; 2]);
        }
    }

    #[test]
    fn the_approximation_keeps_its_digits_on_the_left() {
        let want = |x: f64| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x / (1.0 + (-2.0 * u).exp())
        };
        for x in [-3.0f32, -4.5, -6.0] {
            let error = (gelu_tanh(x) as f64 / want(x as f64) - 1.0).abs();
            assert!(error <= 1e-5, "{x}: {error}");
        }
    }
}
