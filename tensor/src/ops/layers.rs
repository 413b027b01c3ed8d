//! Layers beyond the first generation's, and fused ones: layer norm, GELU, gates, dropout, sum with norm, rotation with norm.

use crate::{Result, Tensor};
use kernels::dropout::{self, DropoutMask};
use kernels::gated::{self, Activation};
use kernels::gelu::{self, GeluForm};
use kernels::rope_norm::{self, Rotation};
use kernels::{add_rms_norm, layer_norm};

impl Tensor {
    /// `y = (x − mean)·rstd·gain + bias` over the last axis, and mean and rstd of every row.
    pub fn layer_norm(
        &self,
        gain: &Tensor,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        self.same_device("layer_norm", &[gain, bias.unwrap_or(gain)])?;
        let (mut y, mut mean, mut rstd) = (self.uninit_like()?, self.uninit_stats()?, self.uninit_stats()?);
        let (out, stats) = (y.view_mut()?, [mean.view_mut()?, rstd.view_mut()?]);
        let (backend, bias) = (self.device().backend(), bias.map(Tensor::view));
        layer_norm::layer_norm_fwd(backend, self.view(), gain.view(), bias, eps, out, stats)?;
        Ok((y, mean, rstd))
    }
    /// `y = x·Φ(x)`.
    pub fn gelu(&self, form: GeluForm) -> Result<Tensor> {
        let mut y = self.uninit_like()?;
        gelu::gelu_fwd(self.device().backend(), form, self.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// `y = act(self)∘b`.
    pub fn gated(&self, act: Activation, b: &Tensor) -> Result<Tensor> {
        self.same_device("gated", &[b])?;
        let mut y = self.uninit_like()?;
        gated::gated_fwd(self.device().backend(), act, self.view(), b.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// `y = x·keep/(1 − p)`.
    pub fn dropout(&self, mask: DropoutMask) -> Result<Tensor> {
        let mut y = self.uninit_like()?;
        dropout::dropout(self.device().backend(), self.view(), mask, y.view_mut()?, false)?;
        Ok(y)
    }
    /// `h = self + r`, `y = h·rstd`, and `rstd = 1/sqrt(mean(h²) + eps)` of every row.
    pub fn add_rms_norm(&self, r: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
        self.same_device("add_rms_norm", &[r])?;
        let (mut h, mut y, mut rstd) = (self.uninit_like()?, self.uninit_like()?, self.uninit_stats()?);
        let (backend, out) = (self.device().backend(), h.view_mut()?);
        add_rms_norm::add_rms_norm_fwd(
            backend,
            self.view(),
            r.view(),
            eps,
            out,
            y.view_mut()?,
            rstd.view_mut()?,
        )?;
        Ok((h, y, rstd))
    }
    /// [`Tensor::rope`], then [`Tensor::rms_norm`], times `gain`, rounded once; and rstd of every head vector.
    pub fn rope_norm(
        &self,
        positions: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
        gain: f64,
        eps: f64,
    ) -> Result<(Tensor, Tensor)> {
        self.same_device("rope_norm", &[positions, cos, sin])?;
        let (mut y, mut rstd) = (self.uninit_like()?, self.uninit_stats()?);
        let rotation = Rotation { positions: positions.view(), cos: cos.view(), sin: sin.view() };
        let (backend, out) = (self.device().backend(), y.view_mut()?);
        rope_norm::rope_norm_fwd(backend, self.view(), rotation, gain, eps, out, rstd.view_mut()?)?;
        Ok((y, rstd))
    }
    /// Room for one statistic of every row of the last axis.
    fn uninit_stats(&self) -> Result<Tensor> {
        let lead = &self.dims()[..self.rank().saturating_sub(1)];
        Tensor::uninit(lead, self.accumulator(), self.device())
    }
}
