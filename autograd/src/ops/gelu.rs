//! GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415): `y = x·Φ(x)`, exact or by the tanh approximation.
//!
//! Gradient, by the product rule: `dx = dy·(Φ(x) + x·Φ'(x))`; Φ' is the density `e^(−x²/2)/√(2π)`, or for the approximation
//! `Φ = (1 + tanh u)/2` it is `(1 − tanh²u)/2·u'`, `u' = √(2/π)·(1 + 3·0.044715·x²)`.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::gelu::{GeluForm, gelu_bwd};
use tensor::Tensor;

/// The operation.
pub struct Gelu(pub GeluForm);

impl Op<1, 1> for Gelu {
    const NAME: &'static str = "gelu";
    /// `x`.
    type Saved = Tensor;

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], Tensor)> {
        Ok(([x.gelu(self.0)?], x.clone()))
    }
    fn vjp(&self, x: Tensor, [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let backend = dy.device().backend();
        dx.add_with(|out, accumulate| gelu_bwd(backend, self.0, x.view(), dy.view(), out, accumulate))
    }
}

impl Var {
    /// `x·Φ(x)`.
    pub fn gelu(&self, form: GeluForm) -> Result<Var> {
        let [y] = apply(Gelu(form), [self])?;
        Ok(y)
    }
}
