//! Concatenation along an axis: any number of inputs. Gradient: each input gets its own range of `dy`.

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
        let empty = || AutogradError::Tensor(TensorError::Shape { op: "cat", lhs: vec![], rhs: vec![] });
        let first = x.first().ok_or_else(empty)?;
        let lengths: Vec<usize> = x.iter().map(|t| t.dim(self.axis)).collect();
        let mut dims = first.dims().to_vec();
        *dims.get_mut(self.axis).ok_or_else(empty)? = lengths.iter().sum();
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
