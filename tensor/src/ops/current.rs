//! The operations that today's nanochat adds to a transformer: gates, gated values, smearing, mixing.

use crate::{Result, Tensor};
use kernels::{channel_gate, gated_add, mix, smear};

impl Tensor {
    /// `scale·σ(x[…, :n]·Wᵀ)` of rows (…, C), with `w` (heads, n): (…, heads).
    pub fn channel_gate(&self, w: &Tensor, scale: f64) -> Result<Tensor> {
        self.same_device("channel_gate", &[w])?;
        let lead = &self.dims()[..self.rank().saturating_sub(1)];
        let mut g = Tensor::uninit(&[lead, &[w.dim(0)]].concat(), self.dtype(), self.device())?;
        let backend = self.device().backend();
        channel_gate::channel_gate_fwd(backend, self.view(), w.view(), scale, g.view_mut()?)?;
        Ok(g)
    }
    /// `v + g·u` of head vectors (…, heads, D), with one gate (…, heads) for each.
    pub fn gated_add(&self, g: &Tensor, u: &Tensor) -> Result<Tensor> {
        self.same_device("gated_add", &[g, u])?;
        let mut y = self.uninit_like()?;
        gated_add::gated_add_fwd(self.device().backend(), self.view(), g.view(), u.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// `x_t + g_t·x_{t−1}` of rows (B, T, C), with gates (B, T); `prev` (B, C) stands before the first position.
    pub fn smear(&self, g: &Tensor, prev: Option<&Tensor>) -> Result<Tensor> {
        self.same_device("smear", &[g, prev.unwrap_or(g)])?;
        let (mut y, prev) = (self.uninit_like()?, prev.map(Tensor::view));
        smear::smear_fwd(self.device().backend(), self.view(), g.view(), prev, y.view_mut()?)?;
        Ok(y)
    }
    /// `a·x + b·z` with `a` and `b` one-element tensors.
    pub fn mix(&self, a: &Tensor, z: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.same_device("mix", &[a, z, b])?;
        let (mut y, backend) = (self.uninit_like()?, self.device().backend());
        mix::mix_fwd(backend, a.view(), self.view(), b.view(), z.view(), y.view_mut()?)?;
        Ok(y)
    }
}
