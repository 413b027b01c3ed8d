//! Muon as it is today: rows made equal and Polar Express ([`kernels::polar_express`]), then Muon+, NorMuon and cautious decay
//! ([`kernels::normuon`]) while the weights move.
//!
//! `buf ← buf + (1−μ)(g − buf)`, `u = (1−μ)·g + μ·buf`, `X = PolarExpress(u)`, and what normuon does with X. A gradient of zero
//! gives no update, only decay.

use super::muon::NsDtype;
use crate::error::Result;
use kernels::muon::{muon_momentum, newton_schulz_scratch};
use kernels::normuon::{NorMuonParams, normuon, second_moments};
use kernels::polar_express::polar_express;
use tensor::{Tensor, TensorError};

/// Steps of Polar Express.
const STEPS: usize = 5;
/// Decay of the second moments.
const BETA2: f64 = 0.9;

/// State of one matrix, f32.
pub struct NorMuonState {
    /// Moving average of gradients.
    pub buf: Tensor,
    /// Moving mean square of each row of X, or of each column if the matrix is wide.
    pub second: Tensor,
}

impl NorMuonState {
    /// Zero, for a matrix.
    pub fn new(p: &Tensor) -> Result<NorMuonState> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, p.dtype(), p.device());
        Ok(NorMuonState { buf: zeros(p.dims())?, second: zeros(&[second_moments(p.dim(0), p.dim(1))])? })
    }
    /// One update of the matrix `p`.
    pub fn step(
        &mut self,
        p: &mut Tensor,
        g: &Tensor,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        ns: NsDtype,
    ) -> Result<()> {
        let (backend, rows, cols) = (p.device().backend(), p.dim(0), p.dim(1));
        let mut u = p.uninit_like()?;
        muon_momentum(backend, self.buf.view_mut()?, g.view(), u.view_mut()?, momentum)
            .map_err(TensorError::from)?;
        let mut x = p.uninit_like()?;
        let mut scratch = Tensor::uninit(&[newton_schulz_scratch(rows, cols)], p.dtype(), p.device())?;
        polar_express(backend, u.view(), x.view_mut()?, scratch.view_mut()?, STEPS, ns == NsDtype::Bf16)
            .map_err(TensorError::from)?;
        let h = NorMuonParams { lr, beta2: BETA2, weight_decay };
        normuon(backend, x.view(), p.view_mut()?, self.second.view_mut()?, h).map_err(TensorError::from)?;
        Ok(())
    }
}
