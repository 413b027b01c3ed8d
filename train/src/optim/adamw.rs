//! AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019): bias-corrected moments, decay applied to the weight first.
//!
//! `p ← p·(1 − lr·wd)`, `m ← β1·m + (1−β1)·g`, `v ← β2·v + (1−β2)·g²`,
//! `p ← p − lr/(1−β1ᵗ) · m / (√(v/(1−β2ᵗ)) + ε)`, t = 1, 2, …

use crate::error::Result;
use kernels::adamw::adamw;
use tensor::{Tensor, TensorError};

/// First and second moments of one weight, f32.
pub struct AdamWState {
    /// Mean of gradients.
    pub m: Tensor,
    /// Mean of squared gradients.
    pub v: Tensor,
}

impl AdamWState {
    /// Zero moments for a weight.
    pub fn new(p: &Tensor) -> Result<AdamWState> {
        let zeros = || Tensor::zeros(p.dims(), p.dtype(), p.device());
        Ok(AdamWState { m: zeros()?, v: zeros()? })
    }
    /// One update in a single pass over weight, gradient and moments, which also writes the weight's `rounded` copy, if there is
    /// one. `factors` are those of [`tensor::AdamWParams::factors`], beside the weight.
    pub fn step(
        &mut self,
        p: &mut Tensor,
        rounded: Option<&mut Tensor>,
        g: &Tensor,
        factors: &Tensor,
    ) -> Result<()> {
        let backend = p.device().backend();
        let rounded = rounded.map(Tensor::view_mut).transpose()?;
        let (m, v) = (self.m.view_mut()?, self.v.view_mut()?);
        adamw(backend, p.view_mut()?, rounded, g.view(), m, v, factors.view()).map_err(TensorError::from)?;
        Ok(())
    }
}
