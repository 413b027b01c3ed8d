//! Change of dtype: `y = x`, rounded. Gradient: `dx = dy`, converted back. Rounding has slope 0 almost everywhere; what is
//! differentiated is the identity it stands for.

use crate::{GradSlot, Op, Result, Var, apply};
use tensor::{DType, Tensor};

/// The operation.
pub struct Cast(pub DType);

impl Op<1, 1> for Cast {
    const NAME: &'static str = "cast";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([x.cast(self.0)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        dx.add(dy.clone())
    }
}

impl Var {
    /// Rounded once into `dtype`; nothing is recorded if it has that dtype.
    pub fn cast(&self, dtype: DType) -> Result<Var> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        let [y] = apply(Cast(dtype), [self])?;
        Ok(y)
    }
}
