//! Choice between two tensors: `y = a` where `cond ≠ 0`, else `b`. Gradient: `da` is `dy` where `a` was taken and 0
//! elsewhere, `db` the rest; each is summed back to its operand's shape.

use crate::{GradSlot, Op, Result, Var, apply};
use tensor::Tensor;

/// The operation.
pub struct Select {
    /// i32, 0 or not.
    pub cond: Tensor,
}

impl Op<2, 1> for Select {
    const NAME: &'static str = "where";
    type Saved = ();

    fn forward(&self, [a, b]: [&Tensor; 2], _: [bool; 2]) -> Result<([Tensor; 1], ())> {
        Ok(([self.cond.select(a, b)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [da, db]: [Option<&GradSlot>; 2]) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        let zero = Tensor::zeros(&[], dy.dtype(), dy.device())?;
        if let Some(da) = da {
            da.add(self.cond.select(dy, &zero)?.sum_to(da.dims())?)?;
        }
        if let Some(db) = db {
            db.add(self.cond.select(&zero, dy)?.sum_to(db.dims())?)?;
        }
        Ok(())
    }
}

/// `a` where `cond` (i32, see [`Tensor::compare`]) is not 0, else `b`; shapes broadcast.
pub fn select(cond: &Tensor, a: &Var, b: &Var) -> Result<Var> {
    let [y] = apply(Select { cond: cond.clone() }, [a, b])?;
    Ok(y)
}
