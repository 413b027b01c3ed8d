//! Reductions over any axes; reduced axes stay, with size 1.

use crate::{DType, Result, Tensor, TensorError};
use kernels::arg_reduce::{self, ArgOp};
use kernels::reduce::{self, ReduceOp};

impl Tensor {
    /// Reduce over `axes`. The result has size 1 there; sums are kept in f32 and rounded once.
    pub fn reduce(&self, op: ReduceOp, axes: &[usize]) -> Result<Tensor> {
        self.reduce_as(op, axes, self.dtype())
    }
    fn reduce_as(&self, op: ReduceOp, axes: &[usize], dtype: DType) -> Result<Tensor> {
        let mut dims = self.dims().to_vec();
        for &axis in axes {
            *dims.get_mut(axis).ok_or(TensorError::OutOfRange {
                op: "reduce",
                axis,
                start: 0,
                end: 0,
                dims: self.dims().to_vec(),
            })? = 1;
        }
        let mut y = Tensor::uninit(&dims, dtype, self.device())?;
        reduce::reduce(self.device().backend(), op, self.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// Σ over `axes`.
    pub fn sum(&self, axes: &[usize]) -> Result<Tensor> {
        self.reduce(ReduceOp::Sum, axes)
    }
    /// max over `axes`.
    pub fn max(&self, axes: &[usize]) -> Result<Tensor> {
        self.reduce(ReduceOp::Max, axes)
    }
    /// min over `axes`.
    pub fn min(&self, axes: &[usize]) -> Result<Tensor> {
        self.reduce(ReduceOp::Min, axes)
    }
    /// Mean over `axes`; NaN where there is nothing to average.
    pub fn mean(&self, axes: &[usize]) -> Result<Tensor> {
        let sum = self.reduce_as(ReduceOp::Sum, axes, self.accumulator())?;
        let n = self.numel() / sum.numel().max(1);
        sum.affine(1.0 / n as f64, 0.0)?.cast(self.dtype())
    }
    /// Where along `axis` the first largest (or smallest) element is, as i32; a NaN wins.
    pub fn arg_reduce(&self, op: ArgOp, axis: usize) -> Result<Tensor> {
        let mut dims = self.dims().to_vec();
        dims.iter_mut().skip(axis).take(1).for_each(|d| *d = 1);
        let mut y = Tensor::uninit(&dims, DType::I32, self.device())?;
        arg_reduce::arg_reduce(self.device().backend(), op, axis, self.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// Σ x² over all elements, on the host.
    pub fn sum_squares(&self) -> Result<f64> {
        let mut y = Tensor::uninit(&vec![1; self.rank()], self.accumulator(), self.device())?;
        reduce::reduce(self.device().backend(), ReduceOp::SumSquares, self.view(), y.view_mut()?)?;
        y.item()
    }
    /// Sum down to `dims`: the gradient of broadcasting `dims` up to this shape.
    pub fn sum_to(&self, dims: &[usize]) -> Result<Tensor> {
        if self.dims() == dims {
            return Ok(self.clone());
        }
        let new = self.rank().checked_sub(dims.len()).ok_or(TensorError::Shape {
            op: "sum_to",
            lhs: self.dims().to_vec(),
            rhs: dims.to_vec(),
        })?;
        let axes: Vec<usize> =
            (0..self.rank()).filter(|&a| a < new || (dims[a - new] == 1 && self.dims()[a] != 1)).collect();
        self.sum(&axes)?.reshape(dims)
    }
}
