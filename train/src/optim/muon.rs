//! Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix, as the update of a weight matrix.
//!
//! `buf ← buf + (1−μ)(g − buf)`, `u = (1−μ)·g + μ·buf` (Nesterov), `O = NewtonSchulz₅(u)`,
//! `p ← p − lr·√max(1, rows/cols)·O`. All singular values of O are near 1, so every direction of the matrix learns at one
//! speed. No weight decay.

use crate::error::Result;
use kernels::Layout;
use kernels::muon::{
    momentum_factors, muon_momentum, newton_schulz, newton_schulz_batch, newton_schulz_scratch,
};
use kernels::planted;
use tensor::{DType, Device, Tensor, TensorError};

/// Precision of the Newton–Schulz iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NsDtype {
    /// f32.
    F32,
    /// bf16, as the original always does. All singular values only have to come near 1, for which it is enough.
    Bf16,
}

impl NsDtype {
    /// The faster of the two here: bf16 where the processor multiplies pairs of them.
    pub fn fastest() -> NsDtype {
        if kernels::simd::multiplies_bf16() { NsDtype::Bf16 } else { NsDtype::F32 }
    }
}

/// Newton–Schulz steps.
const STEPS: usize = 5;

/// Momentum buffer of one matrix, f32.
pub struct MuonState {
    /// Moving average of gradients.
    pub buf: Tensor,
}

impl MuonState {
    /// A zero buffer for a matrix.
    pub fn new(p: &Tensor) -> Result<MuonState> {
        Ok(MuonState { buf: Tensor::zeros(p.dims(), p.dtype(), p.device())? })
    }
}

/// One update of a weight matrix: its state, the matrix and its gradient.
pub struct MuonUpdate<'a> {
    /// Momentum.
    pub state: &'a mut MuonState,
    /// The weight.
    pub p: &'a mut Tensor,
    /// Its gradient.
    pub g: Tensor,
}

/// What a step of (rows, cols) matrices reads from memory: μ, 1 − μ, and `−lr·√max(1, rows/cols)`.
///
/// # Errors
/// `momentum` is not in `0..=1`.
pub fn muon_numbers(dims: &[usize], lr: f64, momentum: f64) -> Result<[f64; 3]> {
    let [keep, take] = momentum_factors(momentum).map_err(TensorError::from)?;
    let (rows, cols) = (dims.first().copied().unwrap_or(1) as f64, dims.get(1).copied().unwrap_or(1) as f64);
    let ratio = planted!("muon.scales_wide_matrices", rows / cols => cols / rows);
    Ok([keep, take, -lr * ratio.max(1.0).sqrt()])
}

/// Update matrices of one shape by its [`muon_numbers`], which lie beside them. Small ones are orthogonalised side by side, each by
/// one thread.
pub fn muon_step(updates: Vec<MuonUpdate>, numbers: &Tensor, ns: NsDtype) -> Result<()> {
    in_batches(updates, |u| u.p.dims(), |batch| step(batch, numbers, ns))
}

/// `f` of as many of the updates at a time as one call should take; `dims` says what shape they have.
pub(super) fn in_batches<U>(
    mut updates: Vec<U>,
    dims: impl Fn(&U) -> &[usize],
    mut f: impl FnMut(Vec<U>) -> Result<()>,
) -> Result<()> {
    while let Some(first) = updates.first() {
        let dims = dims(first);
        let most = newton_schulz_batch(dims[0], dims[1]);
        let rest = updates.split_off(most.min(updates.len()));
        f(updates)?;
        updates = rest;
    }
    Ok(())
}

/// `u = (1−μ)·g + μ·buf` of N matrices, (N, R, C), after their buffers have moved; each is given as (buf, g), `momentum` is
/// (μ, 1 − μ).
pub(super) fn looked_ahead(matrices: Vec<(&mut Tensor, &Tensor)>, momentum: &Tensor) -> Result<Tensor> {
    let Some((_, first)) = matrices.first() else { return Ok(Tensor::zeros(&[0], DType::F32, Device::Cpu)?) };
    let (rows, cols, dtype, device) = (first.dim(0), first.dim(1), first.dtype(), first.device());
    let mut u = Tensor::uninit(&[matrices.len(), rows, cols], dtype, device)?;
    for (i, (buf, g)) in matrices.into_iter().enumerate() {
        let part = Layout::strided(&[rows, cols], &[cols, 1], i * rows * cols).map_err(TensorError::from)?;
        let u = u.view_mut()?.with_layout(part).map_err(TensorError::from)?;
        muon_momentum(device.backend(), buf.view_mut()?, g.view(), u, momentum.view())
            .map_err(TensorError::from)?;
    }
    Ok(u)
}

fn step(mut updates: Vec<MuonUpdate>, numbers: &Tensor, ns: NsDtype) -> Result<()> {
    let (momentum, share) = (numbers.narrow(0, 0, 2)?, numbers.narrow(0, 2, 1)?);
    let u = looked_ahead(updates.iter_mut().map(|u| (&mut u.state.buf, &u.g)).collect(), &momentum)?;
    let (backend, rows, cols) = (u.device().backend(), u.dim(1), u.dim(2));
    let mut o = u.uninit_like()?;
    let mut scratch = Tensor::uninit(&[newton_schulz_scratch(u.dims())], u.dtype(), u.device())?;
    let bf16 = ns == NsDtype::Bf16;
    newton_schulz(backend, u.view(), o.view_mut()?, scratch.view_mut()?, STEPS, bf16)
        .map_err(TensorError::from)?;
    for (i, MuonUpdate { p, .. }) in updates.into_iter().enumerate() {
        p.accumulate_scaled(&share, &o.narrow(0, i, 1)?.reshape(&[rows, cols])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::beside;

    fn numbers(like: &Tensor) -> Tensor {
        beside(like, &muon_numbers(like.dims(), 0.1, 0.9).unwrap()).unwrap()
    }

    #[test]
    fn a_tall_matrix_moves_further_than_its_transpose_by_the_root_of_its_ratio() {
        let g: Vec<f32> = (0..16).map(|i| (i as f32 * 1.3).sin()).collect();
        let tall = Tensor::from_slice(&g, &[8, 2], Device::Cpu).unwrap();
        let wide = tall.transpose(0, 1).unwrap().contiguous().unwrap();
        let [far, near] = [tall, wide].map(|g| {
            let mut p = Tensor::from_slice(&[0.0f32; 16], g.dims(), Device::Cpu).unwrap();
            let (state, numbers) = (&mut MuonState::new(&p).unwrap(), numbers(&p));
            muon_step(vec![MuonUpdate { state, p: &mut p, g }], &numbers, NsDtype::F32).unwrap();
            p.sum_squares().unwrap().sqrt()
        });
        assert!((far - 2.0 * near).abs() < 1e-5 && near > 0.05, "{far} {near}");
    }
    #[test]
    fn matrices_that_are_updated_together_move_as_each_would_alone() {
        let draw =
            |seed: usize| -> Vec<f32> { (0..60).map(|i| ((i + 7 * seed) as f32 * 1.3).sin()).collect() };
        let matrix = |seed| Tensor::from_slice(&draw(seed), &[5, 12], Device::Cpu).unwrap();
        let mut all: Vec<_> = (0..20).map(|i| (matrix(i), MuonState::new(&matrix(i)).unwrap())).collect();
        let mut alone: Vec<_> = (0..20).map(|i| (matrix(i), MuonState::new(&matrix(i)).unwrap())).collect();
        let numbers = numbers(&matrix(0));
        for step in 1..3 {
            let together = all.iter_mut().enumerate();
            let together =
                together.map(|(i, (p, state))| MuonUpdate { state, p, g: matrix(i * step) }).collect();
            muon_step(together, &numbers, NsDtype::F32).unwrap();
            for (i, (p, state)) in alone.iter_mut().enumerate() {
                muon_step(vec![MuonUpdate { state, p, g: matrix(i * step) }], &numbers, NsDtype::F32)
                    .unwrap();
            }
        }
        for (a, b) in all.iter().zip(&alone) {
            assert_eq!(a.0.to_f64_vec(), b.0.to_f64_vec());
        }
    }
}
