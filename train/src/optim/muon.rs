//! Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix, as the update of a weight matrix.
//!
//! `buf ← buf + (1−μ)(g − buf)`, `u = (1−μ)·g + μ·buf` (Nesterov), `O = NewtonSchulz₅(u)`,
//! `p ← p − lr·√max(1, rows/cols)·O`. All singular values of O are near 1, so every direction of the matrix learns at one
//! speed. No weight decay.

use crate::error::Result;
use kernels::muon::{muon_momentum, newton_schulz, newton_schulz_scratch};
use kernels::planted;
use tensor::{Tensor, TensorError};

/// Precision of the Newton–Schulz iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NsDtype {
    /// f32: our default on the CPU.
    #[default]
    F32,
    /// bf16, as the original always does.
    Bf16,
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
    /// One update of the matrix `p`.
    pub fn step(&mut self, p: &mut Tensor, g: &Tensor, lr: f64, momentum: f64, ns: NsDtype) -> Result<()> {
        let (backend, rows, cols) = (p.device().backend(), p.dim(0), p.dim(1));
        let mut u = p.uninit_like()?;
        muon_momentum(backend, self.buf.view_mut()?, g.view(), u.view_mut()?, momentum)
            .map_err(TensorError::from)?;
        let mut o = p.uninit_like()?;
        let mut scratch = Tensor::uninit(&[newton_schulz_scratch(rows, cols)], p.dtype(), p.device())?;
        let bf16 = ns == NsDtype::Bf16;
        newton_schulz(backend, u.view(), o.view_mut()?, scratch.view_mut()?, STEPS, bf16)
            .map_err(TensorError::from)?;
        let ratio =
            planted!("muon.scales_wide_matrices", rows as f64 / cols as f64 => cols as f64 / rows as f64);
        let scale = ratio.max(1.0).sqrt();
        p.accumulate(-lr * scale, &o)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::Device;

    #[test]
    fn a_tall_matrix_moves_further_than_its_transpose_by_the_root_of_its_ratio() {
        let g: Vec<f32> = (0..16).map(|i| (i as f32 * 1.3).sin()).collect();
        let tall = Tensor::from_slice(&g, &[8, 2], Device::Cpu).unwrap();
        let wide = tall.transpose(0, 1).unwrap().contiguous().unwrap();
        let [far, near] = [tall, wide].map(|g| {
            let mut p = Tensor::from_slice(&[0.0f32; 16], g.dims(), Device::Cpu).unwrap();
            MuonState::new(&p).unwrap().step(&mut p, &g, 0.1, 0.9, NsDtype::F32).unwrap();
            p.sum_squares().unwrap().sqrt()
        });
        assert!((far - 2.0 * near).abs() < 1e-5 && near > 0.05, "{far} {near}");
    }
}
