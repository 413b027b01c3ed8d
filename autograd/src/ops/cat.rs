//! Concatenation along an axis: any number of inputs.
//!
//! Gradient. Every element of an input is one element of y, so each input gets its own range: `dx_i = dy[start_i ..]`.

use crate::{GradSlot, OpN, Result, Var, apply_n};
use kernels::planted;
use tensor::{DType, Tensor, TensorError};

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
        let dtype = x.first().map_or(DType::F32, |t| t.dtype()); // of nothing: refused below
        if let Some(other) = x.iter().find(|t| t.dtype() != dtype) {
            let (got, want) = (other.dtype(), dtype);
            return Err(TensorError::DTypeMismatch { op: Self::NAME, got, want }.into());
        }
        let y = Tensor::joined(x, self.axis, dtype).map_err(|e| match e {
            TensorError::Shape { op: "joined", lhs, rhs } => TensorError::Shape { op: Self::NAME, lhs, rhs },
            other => other,
        })?;
        let lengths = x.iter().map(|t| t.dim(self.axis)).collect();
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
