//! Dropout (Srivastava et al. 2014): `y = x·keep/(1 − p)`, keep a constant mask of zeros and ones.
//!
//! Gradient: linear in x, element by element, so `dx = dy·keep/(1 − p)`: the same kernel, which makes the mask again from seed, stream and
//! place. Nothing is saved.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::dropout::{DropoutMask, dropout};
use tensor::Tensor;

/// The operation.
pub struct Dropout(pub DropoutMask);

impl Op<1, 1> for Dropout {
    const NAME: &'static str = "dropout";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([x.dropout(self.0)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let backend = dy.device().backend();
        dx.add_with(|out, accumulate| dropout(backend, dy.view(), self.0, out, accumulate))
    }
}

impl Var {
    /// Drop elements with probability `mask.p`, scale the rest by `1/(1 − p)`. With p = 0 this is `self`, and records nothing.
    pub fn dropout(&self, mask: DropoutMask) -> Result<Var> {
        if mask.p == 0.0 {
            return Ok(self.clone());
        }
        let [y] = apply(Dropout(mask), [self])?;
        Ok(y)
    }
}
