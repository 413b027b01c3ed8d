//! Clipping by global norm (Pascanu et al. 2013): all gradients times `min(1, max/(‖g‖ + 1e-6))`.

use crate::error::Result;
use autograd::Parameter;
use kernels::planted;

/// Scale the gradients so that their joint L2 norm is at most `max`; returns the norm before. `max` 0 only measures.
pub fn clip_grad_norm(params: &[Parameter], max: f64) -> Result<f64> {
    let mut sum = 0.0;
    for p in params {
        if let Some(g) = p.grad().get() {
            sum += g.sum_squares()?;
        }
    }
    let norm = planted!("clip.norm_without_the_root", sum.sqrt() => sum);
    let factor = max / (norm + 1e-6);
    if max > 0.0 && factor < 1.0 {
        params.iter().try_for_each(|p| p.grad().scale(factor))?;
    }
    Ok(norm)
}
