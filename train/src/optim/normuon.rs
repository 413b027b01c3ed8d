//! Muon as it is today: rows made equal and Polar Express ([`kernels::polar_express`]), then Muon+, NorMuon and cautious decay
//! ([`kernels::normuon`]) while the weights move.
//!
//! `buf ← buf + (1−μ)(g − buf)`, `u = (1−μ)·g + μ·buf`, `X = PolarExpress(u)`, and what normuon does with X. A gradient of zero
//! gives no update, only decay.

use super::muon::{NsDtype, in_batches, looked_ahead};
use crate::error::Result;
use kernels::muon::newton_schulz_scratch;
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
}

/// One update of a weight matrix: its state, the matrix and its gradient.
pub struct NorMuonUpdate<'a> {
    /// Momentum and second moments.
    pub state: &'a mut NorMuonState,
    /// The weight.
    pub p: &'a mut Tensor,
    /// Its gradient.
    pub g: Tensor,
}

/// Update matrices of one shape. Small ones are orthogonalised side by side, each by one thread.
pub fn normuon_step(
    updates: Vec<NorMuonUpdate>,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    ns: NsDtype,
) -> Result<()> {
    let h = NorMuonParams { lr, beta2: BETA2, weight_decay };
    in_batches(updates, |u| u.p.dims(), |batch| step(batch, momentum, h, ns))
}

fn step(mut updates: Vec<NorMuonUpdate>, momentum: f64, h: NorMuonParams, ns: NsDtype) -> Result<()> {
    let u = looked_ahead(updates.iter_mut().map(|u| (&mut u.state.buf, &u.g)).collect(), momentum)?;
    let backend = u.device().backend();
    let mut x = u.uninit_like()?;
    let mut scratch = Tensor::uninit(&[newton_schulz_scratch(u.dims())], u.dtype(), u.device())?;
    polar_express(backend, u.view(), x.view_mut()?, scratch.view_mut()?, STEPS, ns == NsDtype::Bf16)
        .map_err(TensorError::from)?;
    for (i, NorMuonUpdate { state, p, .. }) in updates.into_iter().enumerate() {
        let x = x.narrow(0, i, 1)?.reshape(p.dims())?;
        normuon(backend, x.view(), p.view_mut()?, state.second.view_mut()?, h).map_err(TensorError::from)?;
    }
    Ok(())
}
