//! Softcapped cross-entropy over a chunk of logits, in place.

use crate::{Result, Tensor};
use kernels::cross_entropy;

/// Per-row results of [`Tensor::cross_entropy_`].
pub struct RowLoss {
    /// `lse − z[target]`, in nats; 0 where the target is −1. (N)
    pub loss: Tensor,
    /// `ln Σ exp(z)` over the capped logits. (N)
    pub lse: Tensor,
}

impl Tensor {
    /// Logits (N, V) become `softcap·tanh(z/softcap)` (unchanged if `softcap` is 0); returns the rows' losses.
    pub fn cross_entropy_(&mut self, targets: &Tensor, softcap: f32) -> Result<RowLoss> {
        self.same_device("cross_entropy", &[targets])?;
        let (backend, acc, n) = (self.device().backend(), self.accumulator(), self.dim(0));
        let mut loss = Tensor::uninit(&[n], acc, self.device())?;
        let mut lse = Tensor::uninit(&[n], acc, self.device())?;
        let (l, s) = (loss.view_mut()?, lse.view_mut()?);
        cross_entropy::softcap_cross_entropy_fwd(backend, self.view_mut()?, targets.view(), softcap, l, s)?;
        Ok(RowLoss { loss, lse })
    }
    /// Capped logits become the gradient of `Σ weight[n]·loss[n]` with respect to the raw logits.
    pub fn cross_entropy_backward_(
        &mut self,
        targets: &Tensor,
        softcap: f32,
        lse: &Tensor,
        weight: &Tensor,
    ) -> Result<()> {
        self.same_device("cross_entropy", &[targets, lse, weight])?;
        let backend = self.device().backend();
        let (t, l, w) = (targets.view(), lse.view(), weight.view());
        Ok(cross_entropy::softcap_cross_entropy_bwd(backend, self.view_mut()?, t, softcap, l, w)?)
    }
}
