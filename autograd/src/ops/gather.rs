//! Picking along an axis: `y[…, j, …] = x[…, index[…, j, …], …]`. Gradient: every element of `dy` is added to the element of
//! `dx` that was picked, those that were picked several times in order.

use crate::{AutogradError, GradSlot, Op, Result, Var, apply};
use kernels::gather::gather_bwd;
use tensor::Tensor;

/// The operation.
pub struct Gather {
    /// Axis to pick along.
    pub axis: usize,
    /// i32, the result's shape.
    pub index: Tensor,
}

/// `dx[…, index[…, j, …], …] += dy[…, j, …]`.
pub(crate) fn scatter(axis: usize, index: &Tensor, dy: &Tensor, dx: &GradSlot) -> Result<()> {
    dx.add_to_zeroed(|dx| {
        let backend = dy.device().backend();
        gather_bwd(backend, axis, dy.view(), index.view(), dx.view_mut()?).map_err(AutogradError::kernel)
    })
}

impl Op<1, 1> for Gather {
    const NAME: &'static str = "gather";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([x.gather(self.axis, &self.index)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        scatter(self.axis, &self.index, dy, dx)
    }
}

impl Var {
    /// Elements `index` (i32, of this shape except along `axis`) along `axis`.
    pub fn gather(&self, axis: usize, index: &Tensor) -> Result<Var> {
        let [y] = apply(Gather { axis, index: index.clone() }, [self])?;
        Ok(y)
    }
    /// Slices `ids` (M) along `axis`: [`Var::gather`] with one index for whole slices.
    pub fn index_select(&self, axis: usize, ids: &Tensor) -> Result<Var> {
        self.gather(axis, &self.value().slice_index(axis, ids)?)
    }
}
