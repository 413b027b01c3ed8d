//! Layer normalisation with gain and bias (Ba et al. 2016, arXiv:1607.06450): `y = x̂·gain + bias`, `x̂ = (x − mean)·r`,
//! `r = 1/sqrt(mean((x − mean)²) + eps)`, rows along the last axis.
//!
//! Gradient. `y` depends on gain and bias column by column: `dgain = Σ dy∘x̂`, `dbias = Σ dy` over all rows. With `g = dy∘gain`
//! the gradient for x̂; x̂ is unchanged when x is shifted or (but for eps) scaled, so g loses what it has along those two
//! directions, the ones vector and x̂ itself: `dx = r·(g − mean(g) − x̂·mean(g∘x̂))`.

use crate::{AutogradError, GradSlot, Op, Result, Var, apply};
use kernels::layer_norm::{layer_norm_bwd, layer_norm_bwd_weights};
use tensor::Tensor;

/// The operation. Inputs: x (…, C), gain (C) and bias (C), the weights in f32.
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Is there a bias? If not, the third input is ignored.
    pub biased: bool,
}

impl Op<3, 1> for LayerNorm {
    const NAME: &'static str = "layer_norm";
    /// `x`, `gain`, and mean and rstd of every row.
    type Saved = [Tensor; 4];

    fn forward(&self, [x, gain, bias]: [&Tensor; 3], _: [bool; 3]) -> Result<([Tensor; 1], [Tensor; 4])> {
        let (y, mean, rstd) = x.layer_norm(gain, self.biased.then_some(bias), self.eps)?;
        Ok(([y], [x.clone(), gain.clone(), mean, rstd]))
    }
    fn vjp(
        &self,
        [x, gain, mean, rstd]: [Tensor; 4],
        [dy]: [Option<&Tensor>; 1],
        [dx, dgain, dbias]: [Option<&GradSlot>; 3],
    ) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        let (backend, x, stats) = (dy.device().backend(), x.view(), [mean.view(), rstd.view()]);
        if let Some(dx) = dx {
            dx.add_with(|out, add| layer_norm_bwd(backend, dy.view(), x, gain.view(), stats, out, add))?;
        }
        let dbias = dbias.filter(|_| self.biased);
        if dgain.is_some() || dbias.is_some() {
            let (mut for_gain, mut for_bias) = (gain.uninit_like()?, gain.uninit_like()?);
            let (g, b) = (for_gain.view_mut()?, for_bias.view_mut()?);
            layer_norm_bwd_weights(backend, dy.view(), x, stats, g, b).map_err(AutogradError::kernel)?;
            dgain.map_or(Ok(()), |slot| slot.add(for_gain))?;
            dbias.map_or(Ok(()), |slot| slot.add(for_bias))?;
        }
        Ok(())
    }
}

impl Var {
    /// Rows of (…, C) to mean 0 and variance 1, times `gain` (C), plus `bias` (C).
    pub fn layer_norm(&self, gain: &Var, bias: Option<&Var>, eps: f64) -> Result<Var> {
        let op = LayerNorm { eps, biased: bias.is_some() };
        let [y] = apply(op, [self, gain, bias.unwrap_or(gain)])?;
        Ok(y)
    }
}
