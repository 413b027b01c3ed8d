//! Muon as it is today: rows made equal and Polar Express ([`kernels::polar_express`]), then Muon+, NorMuon and cautious decay
//! ([`kernels::normuon`]) while the weights move.
//!
//! `buf ← buf + (1−μ)(g − buf)`, `u = (1−μ)·g + μ·buf`, `X = PolarExpress(u)`, and what normuon does with X. A gradient of zero
//! gives no update, only decay. Each of these can be left out: `ingredients.rs`.

use super::ingredients::{MuonPart, MuonParts};
use super::muon::{NsDtype, in_batches, looked_ahead};
use crate::error::Result;
use kernels::muon::{momentum_factors, newton_schulz_scratch};
use kernels::normuon::{FACTORS, normuon, second_moments};
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

/// What a step of (rows, cols) matrices reads from memory: μ, 1 − μ, then the update's [`kernels::normuon::NorMuonParams::factors`],
/// and what is left of a weight before them.
///
/// # Errors
/// `momentum` is not in `0..=1`, or a number is not finite.
pub fn normuon_numbers(
    dims: &[usize],
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    parts: MuonParts,
) -> Result<[f64; 6]> {
    let [keep, take] = momentum_factors(momentum).map_err(TensorError::from)?;
    let ([a, b, c], left) = parts.factors(dims, lr, weight_decay)?;
    Ok([keep, take, a, b, c, left])
}

/// Update matrices of one shape by its [`normuon_numbers`], which lie beside them. Small ones are orthogonalised side by side, each
/// by one thread.
pub fn normuon_step(
    updates: Vec<NorMuonUpdate>,
    numbers: &Tensor,
    ns: NsDtype,
    parts: MuonParts,
) -> Result<()> {
    in_batches(updates, |u| u.p.dims(), |batch| step(batch, numbers, ns, parts))
}

fn step(mut updates: Vec<NorMuonUpdate>, numbers: &Tensor, ns: NsDtype, parts: MuonParts) -> Result<()> {
    let (momentum, factors) = (numbers.narrow(0, 0, 2)?, numbers.narrow(0, 2, FACTORS)?);
    let left = numbers.narrow(0, 2 + FACTORS, 1)?;
    let u = looked_ahead(updates.iter_mut().map(|u| (&mut u.state.buf, &u.g)).collect(), &momentum)?;
    let backend = u.device().backend();
    let mut scratch = Tensor::uninit(&[newton_schulz_scratch(u.dims())], u.dtype(), u.device())?;
    let x = parts.orthogonal(&u, &mut scratch, ns)?;
    for (i, NorMuonUpdate { state, p, .. }) in updates.into_iter().enumerate() {
        let x = x.narrow(0, i, 1)?.reshape(p.dims())?;
        if !parts.has(MuonPart::CautiousDecay) {
            p.scale_by(&left)?;
        }
        normuon(backend, x.view(), p.view_mut()?, state.second.view_mut()?, factors.view())
            .map_err(TensorError::from)?;
    }
    Ok(())
}
