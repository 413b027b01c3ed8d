//! Concatenation along an axis: any number of inputs.
//!
//! Gradient. Every element of an input is one element of y, so each input gets its own range: `dx_i = dy[start_i ..]`.

use crate::{AutogradError, GradSlot, OpN, Result, Var, apply_n};
use kernels::planted;
use tensor::{Tensor, TensorError};

/// The operation.
pub struct Cat {
    /// Axis to join along.
    pub axis: usize,
}

impl OpN for Cat {
    const NAME: &'static str = "cat";
    /// Lengths along the axis.
    type Saved = Vec<usize>;

    fn forward(&self, x: &[&Tensor], _: &[bool]) -> Result<(Vec<Tensor>, Vec<usize>)> {
        let misfit = |t: Option<&&Tensor>| {
            let (lhs, rhs) = (t.map_or(vec![], |t| t.dims().to_vec()), vec![self.axis]);
            AutogradError::Tensor(TensorError::Shape { op: "cat", lhs, rhs })
        };
        let empty = || misfit(x.first());
        let first = x.first().ok_or_else(empty)?;
        let lengths: Vec<usize> = x.iter().map(|t| t.dim(self.axis)).collect();
        let mut dims = first.dims().to_vec();
        let total = lengths.iter().try_fold(0usize, |sum, len| sum.checked_add(*len));
        *dims.get_mut(self.axis).ok_or_else(empty)? = total.ok_or_else(empty)?;
        if let Some(other) = x.iter().find(|t| t.dtype() != first.dtype()) {
            let (got, want) = (other.dtype(), first.dtype());
            return Err(TensorError::DTypeMismatch { op: Self::NAME, got, want }.into());
        }
        let mut y = Tensor::uninit(&dims, first.dtype(), first.device())?;
        let mut start = 0;
        for (t, len) in x.iter().zip(&lengths) {
            y.write_narrow(self.axis, start, t)?;
            start += len;
        }
        Ok((vec![y], lengths))
    }
    fn vjp(&self, lengths: Vec<usize>, dy: &[Option<&Tensor>], dx: &[Option<&GradSlot>]) -> Result<()> {
        let Some(dy) = dy[0] else { return Ok(()) };
        let mut start = 0;
        for (slot, len) in dx.iter().zip(lengths) {
            if let Some(slot) = slot {
                slot.add(dy.narrow(self.axis, start, len)?)?;
            }
            start += planted!("cat.all_ranges_begin_at_zero", len => 0);
        }
        Ok(())
    }
}

/// `x` joined along `axis`; the other dimensions must agree.
pub fn cat(x: &[&Var], axis: usize) -> Result<Var> {
    let mut y = apply_n(Cat { axis }, x)?;
    Ok(y.swap_remove(0))
}
