//! What a step is told besides its tensors, and the eight numbers that its inner loop needs of that.

use crate::{Result, check, planted};

/// How many numbers a step reads.
pub const FACTORS: usize = 8;

/// What a step needs to know besides the tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWParams {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment per step.
    pub beta1: f64,
    /// Decay of the second moment per step.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decay of the parameter per step, in units of `lr`.
    pub weight_decay: f64,
    /// Number of this step; the first is 1.
    pub step: u32,
}

impl AdamWParams {
    /// `1 − lr·wd`, `lr/(1−β₁ᵗ)`, `1/(1−β₂ᵗ)`, `eps`, `β₁`, `β₂`, `1−β₁`, `1−β₂`, in this order.
    ///
    /// # Errors
    /// A beta is outside `[0, 1)`, `step` is 0 or a parameter is not finite.
    pub fn factors(&self) -> Result<[f64; FACTORS]> {
        const OP: &str = "adamw";
        let AdamWParams { lr, beta1, beta2, eps, weight_decay, step } = *self;
        let betas = (0.0..1.0).contains(&beta1) && (0.0..1.0).contains(&beta2);
        check::parameter(OP, betas, || format!("betas {beta1} and {beta2} must lie in [0, 1)"))?;
        check::parameter(OP, step > 0, || "steps are counted from 1".into())?;
        let finite = lr.is_finite() && weight_decay.is_finite() && eps.is_finite() && eps >= 0.0;
        check::parameter(OP, finite, || "lr, weight_decay and eps must be finite, eps not negative".into())?;
        let bias = |beta: f64| 1.0 - beta.powi(step.min(i32::MAX as u32) as i32);
        let unbias = 1.0 / bias(planted!("adamw.second_moment_corrected_by_beta1", beta2 => beta1));
        let keep = 1.0 - lr * weight_decay;
        Ok([keep, lr / bias(beta1), unbias, eps, beta1, beta2, 1.0 - beta1, 1.0 - beta2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: AdamWParams =
        AdamWParams { lr: 0.1, beta1: 0.8, beta2: 0.96, eps: 1e-10, weight_decay: 0.5, step: 2 };

    #[test]
    fn factors_are_those_of_the_formula() {
        let want = [0.95, 0.1 / 0.36, 1.0 / (1.0 - 0.96 * 0.96), 1e-10, 0.8, 0.96, 0.2, 0.04];
        let got = STEP.factors().unwrap();
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for wrong in [
            AdamWParams { step: 0, ..STEP },
            AdamWParams { beta1: 1.0, ..STEP },
            AdamWParams { beta2: f64::NAN, ..STEP },
            AdamWParams { lr: f64::INFINITY, ..STEP },
            AdamWParams { eps: -1.0, ..STEP },
        ] {
            assert!(wrong.factors().is_err(), "{wrong:?}");
        }
    }
}
