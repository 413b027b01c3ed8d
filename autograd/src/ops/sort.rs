//! Sorting and the k largest along the last axis: `y[…, r] = x[…, indices[…, r]]`. The order is locally constant, so the
//! gradient is that of picking: `dx[…, indices[…, r]] += dy[…, r]`. Where elements tie, the slope of the stable order.

use super::gather::scatter;
use crate::{GradSlot, Op, Result, Var, apply};
use tensor::Tensor;

/// The operation, once the order is known.
struct Ordered {
    values: Tensor,
    indices: Tensor,
}

impl Op<1, 1> for Ordered {
    const NAME: &'static str = "sort";
    type Saved = ();

    fn forward(&self, _: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([self.values.clone()], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        scatter(dx.dims().len() - 1, &self.indices, dy, dx)
    }
}

fn ordered(x: &Var, (values, indices): (Tensor, Tensor)) -> Result<(Var, Tensor)> {
    let [y] = apply(Ordered { values, indices: indices.clone() }, [x])?;
    Ok((y, indices))
}

impl Var {
    /// Every row in ascending or descending order, and where its elements were (i32). Stable; NaN last.
    pub fn sort(&self, descending: bool) -> Result<(Var, Tensor)> {
        ordered(self, self.value().sort(descending)?)
    }
    /// The `k` largest elements of every row, largest first, and where they were (i32). NaN first.
    pub fn top_k(&self, k: usize) -> Result<(Var, Tensor)> {
        ordered(self, self.value().top_k(k)?)
    }
}
