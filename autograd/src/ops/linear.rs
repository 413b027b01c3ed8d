//! A linear layer without bias: `y = x·Wᵀ`, W stored (out, in).
//!
//! Gradients: `dx = dy·W`, `dW = dyᵀ·x`. With bf16 activations the f32 master weight is rounded to bf16 for the products,
//! and `dW` is summed and kept in f32, straight into the weight's slot.

use crate::{AutogradError, GradSlot, Op, Result, Var, apply};
use kernels::planted;
use tensor::{Tensor, TensorError};

/// The operation.
pub struct Linear;

/// (…, C) as (rows, C).
pub(crate) fn flat(x: &Tensor) -> Result<Tensor> {
    let (lead, c) = x.dims().split_at(x.rank().saturating_sub(1)); // a product of sizes: C may be 0
    Ok(x.contiguous()?.reshape(&[lead.iter().product(), c.first().copied().unwrap_or(1)])?)
}

impl Op<2, 1> for Linear {
    const NAME: &'static str = "linear";
    /// `x` as (rows, in) if W needs a gradient; W in the activations' dtype if x needs one.
    type Saved = (Option<Tensor>, Option<Tensor>);

    fn forward(&self, [x, w]: [&Tensor; 2], needs: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        let (&[out, _], true) = (w.dims(), x.rank() >= 1 && x.dim(x.rank() - 1) == w.dim(1)) else {
            let (lhs, rhs) = (x.dims().to_vec(), w.dims().to_vec());
            return Err(AutogradError::Tensor(TensorError::Shape { op: "linear", lhs, rhs }));
        };
        let w = w.cast(x.dtype())?;
        let dims = [&x.dims()[..x.rank() - 1], &[out]].concat();
        let x = flat(x)?;
        let y = x.matmul(&w.transpose(0, 1)?)?.reshape(&dims)?;
        Ok(([y], (needs[1].then_some(x), needs[0].then_some(w))))
    }
    fn vjp(
        &self,
        (x, w): Self::Saved,
        [dy]: [Option<&Tensor>; 1],
        [dx, dw]: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        dy.map_or(Ok(()), |dy| gradients(dy, x.as_ref(), w.as_ref(), dx, dw))
    }
}

/// `dx += dy·W`, `dW += dyᵀ·x`, where there is a slot.
pub(crate) fn gradients(
    dy: &Tensor,
    x: Option<&Tensor>,
    w: Option<&Tensor>,
    dx: Option<&GradSlot>,
    dw: Option<&GradSlot>,
) -> Result<()> {
    let dy = flat(dy)?;
    if let (Some(dx), Some(w)) = (dx, w) {
        dx.add_matmul(&dy, w)?;
    }
    if let (Some(dw), Some(x)) = (dw, x) {
        let (dy, x) = planted!("linear.weight_gradient_transposed", (&dy, x) => (x, &dy));
        dw.add_matmul(&dy.transpose(0, 1)?, x)?;
    }
    Ok(())
}

impl Var {
    /// `x·Wᵀ`: (…, in) × (out, in) → (…, out).
    pub fn linear(&self, w: &Var) -> Result<Var> {
        let [y] = apply(Linear, [self, w])?;
        Ok(y)
    }
}
