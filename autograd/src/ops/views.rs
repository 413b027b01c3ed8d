//! Views: reshape, permute, expand, narrow, and the copy that makes a view dense.
//!
//! Gradient. A view is a list of pairs (element of y, element of x it shows), so `dx[i] = Σ dy[j]` over the j that show
//! i: for a reshape or a permutation the same numbers undone, for a narrow a range among zeros, for an expand a sum
//! over repeats.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::planted;
use tensor::Tensor;

/// A change of layout.
pub enum ViewOp {
    /// To other dimensions. Gradient: back to the old ones.
    Reshape(Vec<usize>),
    /// Axis i of the result is axis `.0[i]`. Gradient: the inverse permutation.
    Permute(Vec<usize>),
    /// Repeat size-1 axes. Gradient: sum over the repeats.
    Expand(Vec<usize>),
    /// `(axis, start, length)`. Gradient: added to that range.
    Narrow(usize, usize, usize),
    /// A dense copy. Gradient: unchanged.
    Contiguous,
}

impl Op<1, 1> for ViewOp {
    const NAME: &'static str = "view";
    type Saved = ();

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        let y = match self {
            ViewOp::Reshape(dims) => x.reshape(dims)?,
            ViewOp::Permute(order) => x.permute(order)?,
            ViewOp::Expand(dims) => x.expand(dims)?,
            ViewOp::Narrow(axis, start, len) => x.narrow(*axis, *start, *len)?,
            ViewOp::Contiguous => x.contiguous()?,
        };
        Ok(([y], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        match self {
            ViewOp::Reshape(_) => dx.add(dy.contiguous()?.reshape(dx.dims())?),
            ViewOp::Contiguous => dx.add(dy.clone()),
            ViewOp::Expand(_) => dx.add(dy.sum_to(dx.dims())?),
            ViewOp::Permute(order) => {
                let mut inverse = vec![0; order.len()];
                order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
                dx.add(dy.permute(planted!("views.permutation_not_inverted", &inverse => order))?)
            }
            ViewOp::Narrow(axis, start, _) => {
                let start = planted!("views.narrow_adds_at_the_beginning", *start => 0);
                dx.add_to_zeroed(|whole| Ok(whole.accumulate_narrow(*axis, start, 1.0, dy)?))
            }
        }
    }
}

impl Var {
    fn view_op(&self, op: ViewOp) -> Result<Var> {
        let [y] = apply(op, [self])?;
        Ok(y)
    }
    /// The same elements under other dimensions.
    pub fn reshape(&self, dims: &[usize]) -> Result<Var> {
        self.view_op(ViewOp::Reshape(dims.to_vec()))
    }
    /// Axis `i` of the result is axis `order[i]` of this value.
    pub fn permute(&self, order: &[usize]) -> Result<Var> {
        self.view_op(ViewOp::Permute(order.to_vec()))
    }
    /// Two axes swapped.
    pub fn transpose(&self, a: usize, b: usize) -> Result<Var> {
        let mut order: Vec<usize> = (0..self.dims().len()).collect();
        self.value().transpose(a, b)?; // are there such axes?
        order.swap(a, b);
        self.permute(&order)
    }
    /// Size-1 axes (and new leading axes) repeated.
    pub fn expand(&self, dims: &[usize]) -> Result<Var> {
        self.view_op(ViewOp::Expand(dims.to_vec()))
    }
    /// Elements `start .. start + len` along `axis`.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Var> {
        self.view_op(ViewOp::Narrow(axis, start, len))
    }
    /// A dense copy, if this is not dense.
    pub fn contiguous(&self) -> Result<Var> {
        self.view_op(ViewOp::Contiguous)
    }
}
