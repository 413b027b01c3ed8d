//! Muon as it is today: rows made equal and Polar Express ([`kernels::polar_express`]), then Muon+, NorMuon and cautious decay
//! ([`kernels::normuon`]) while the weights move.
//!
//! `buf ← buf + (1−μ)(g − buf)`, `u = (1−μ)·g + μ·buf`, `X = PolarExpress(u)`, and what normuon does with X. A gradient of zero
//! gives no update, only decay. Each of these can be left out: `ingredients.rs`.

use super::ingredients::MuonParts;
use super::muon::{NsDtype, in_batches, looked_ahead};
use crate::error::Result;
use kernels::muon::newton_schulz_scratch;
use kernels::normuon::{normuon, second_moments};
use tensor::{Tensor, TensorError};

/// State of one matrix, f32.
pub struct NorMuonState {
    /// Moving average of gradients.
    pub buf: Tensor,
    /// Moving mean square of each row of X, or of each column if the matrix is wide.
    pub second: Tensor,
}

impl NorMuonState {
    /// Before the first step, for a matrix.
    pub fn new(p: &Tensor, parts: MuonParts) -> Result<NorMuonState> {
        let full = |value, dims: &[usize]| Tensor::full(value, dims, p.dtype(), p.device());
        let second = full(parts.first_second_moment(), &[second_moments(p.dim(0), p.dim(1))])?;
        Ok(NorMuonState { buf: full(0.0, p.dims())?, second })
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
    parts: MuonParts,
) -> Result<()> {
    in_batches(updates, |u| u.p.dims(), |batch| step(batch, lr, momentum, weight_decay, ns, parts))
}

fn step(
    mut updates: Vec<NorMuonUpdate>,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    ns: NsDtype,
    parts: MuonParts,
) -> Result<()> {
    let u = looked_ahead(updates.iter_mut().map(|u| (&mut u.state.buf, &u.g)).collect(), momentum)?;
    let backend = u.device().backend();
    let mut scratch = Tensor::uninit(&[newton_schulz_scratch(u.dims())], u.dtype(), u.device())?;
    let x = parts.orthogonal(&u, &mut scratch, ns)?;
    for (i, NorMuonUpdate { state, p, .. }) in updates.into_iter().enumerate() {
        let x = x.narrow(0, i, 1)?.reshape(p.dims())?;
        let h = parts.decay(p, lr, weight_decay)?;
        normuon(backend, x.view(), p.view_mut()?, state.second.view_mut()?, h).map_err(TensorError::from)?;
    }
    Ok(())
}
