//! Clipping by global norm ([`kernels::clip`]): all gradients times `min(1, max/(‖g‖ + 1e-6))`.
//!
//! The squares of each gradient are summed where it lies, into one vector; norm and factor are made of that, and the gradients are
//! scaled, without the host knowing either. It may read the norm later, when the whole step is launched.

use crate::error::Result;
use autograd::Parameter;
use kernels::clip::clip_factor;
use kernels::reduce::{ReduceOp, reduce};
use tensor::{DType, Device, Layout, Tensor, TensorError};

/// Scale the gradients so that their joint L2 norm is at most `max`; returns the norm before, a tensor of one element. `max` 0 only
/// measures.
pub fn clip_grad_norm(params: &[Parameter], max: f64) -> Result<Tensor> {
    let gradients: Vec<Tensor> = params.iter().filter_map(|p| p.grad().get()).collect();
    let Some(first) = gradients.first() else { return Ok(Tensor::zeros(&[1], DType::F32, Device::Cpu)?) };
    let sums = squares(first, &gradients)?;
    drop(gradients); // their only owners may change them
    let mut out = Tensor::uninit(&[2], sums.dtype(), sums.device())?;
    clip_factor(sums.device().backend(), sums.view(), max, out.view_mut()?).map_err(TensorError::from)?;
    if max > 0.0 {
        let factor = out.narrow(0, 1, 1)?;
        params.iter().try_for_each(|p| p.grad().scale(&factor))?;
    }
    Ok(out.narrow(0, 0, 1)?)
}

/// Σ g² of each.
fn squares(first: &Tensor, gradients: &[Tensor]) -> Result<Tensor> {
    let mut sums = Tensor::uninit(&[gradients.len()], first.accumulator(), first.device())?;
    let backend = first.device().backend();
    for (i, g) in gradients.iter().enumerate() {
        let one = Layout::strided(&vec![1; g.rank()], &vec![1; g.rank()], i).map_err(TensorError::from)?;
        let out = sums.view_mut()?.with_layout(one).map_err(TensorError::from)?;
        reduce(backend, ReduceOp::SumSquares, g.view(), out).map_err(TensorError::from)?;
    }
    Ok(sums)
}
