//! Clipping by global norm (Pascanu et al. 2013): all gradients times `min(1, max/(‖g‖ + 1e-6))`.
//!
//! The squares of each gradient are summed where it lies, into one vector, which the host then reads: once, however many
//! weights there are.

use crate::error::Result;
use autograd::Parameter;
use kernels::planted;
use kernels::reduce::{ReduceOp, reduce};
use tensor::{Layout, Tensor, TensorError};

/// Scale the gradients so that their joint L2 norm is at most `max`; returns the norm before. `max` 0 only measures.
pub fn clip_grad_norm(params: &[Parameter], max: f64) -> Result<f64> {
    let gradients: Vec<Tensor> = params.iter().filter_map(|p| p.grad().get()).collect();
    let sum: f64 = squares(&gradients)?.iter().sum();
    drop(gradients); // their only owners may change them
    let norm = planted!("clip.norm_without_the_root", sum.sqrt() => sum);
    let factor = max / (norm + 1e-6);
    if max > 0.0 && factor < 1.0 {
        params.iter().try_for_each(|p| p.grad().scale(factor))?;
    }
    Ok(norm)
}

/// Σ g² of each.
fn squares(gradients: &[Tensor]) -> Result<Vec<f64>> {
    let Some(first) = gradients.first() else { return Ok(Vec::new()) };
    let mut sums = Tensor::uninit(&[gradients.len()], first.accumulator(), first.device())?;
    let backend = first.device().backend();
    for (i, g) in gradients.iter().enumerate() {
        let one = Layout::strided(&vec![1; g.rank()], &vec![1; g.rank()], i).map_err(TensorError::from)?;
        let out = sums.view_mut()?.with_layout(one).map_err(TensorError::from)?;
        reduce(backend, ReduceOp::SumSquares, g.view(), out).map_err(TensorError::from)?;
    }
    Ok(sums.to_f64_vec())
}
