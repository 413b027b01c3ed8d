//! Elementwise functions, with broadcasting by stride 0.

use crate::{DType, Result, Tensor, TensorError};
use kernels::binary::{self, BinaryOp};
use kernels::compare::{self, CompareOp};
use kernels::select;
use kernels::unary::{self, UnaryOp};

/// The shape two operands broadcast to: right-aligned, size 1 stretches.
fn broadcast(op: &'static str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |d: &[usize], i: usize| if i + d.len() < rank { 1 } else { d[i + d.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(TensorError::Shape { op, lhs: a.to_vec(), rhs: b.to_vec() }),
        })
        .collect()
}

impl Tensor {
    /// `y = f(x)`, elementwise.
    pub fn unary(&self, op: UnaryOp) -> Result<Tensor> {
        let mut y = self.uninit_like()?;
        unary::unary(self.device().backend(), op, self.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// `y = a ∘ b`, elementwise; both of one dtype; shapes broadcast.
    pub fn binary(&self, op: BinaryOp, rhs: &Tensor) -> Result<Tensor> {
        self.same_device("binary", &[rhs])?;
        let dims = broadcast("binary", self.dims(), rhs.dims())?;
        let (a, b) = (self.expand(&dims)?, rhs.expand(&dims)?);
        let mut y = Tensor::uninit(&dims, self.dtype(), self.device())?;
        binary::binary(self.device().backend(), op, a.view(), b.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// 1 (i32) where `a ∘ b`, else 0; both of one float dtype; shapes broadcast.
    pub fn compare(&self, op: CompareOp, rhs: &Tensor) -> Result<Tensor> {
        self.same_device("compare", &[rhs])?;
        let dims = broadcast("compare", self.dims(), rhs.dims())?;
        let (a, b) = (self.expand(&dims)?, rhs.expand(&dims)?);
        let mut y = Tensor::uninit(&dims, DType::I32, self.device())?;
        compare::compare(self.device().backend(), op, a.view(), b.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// `a` where this tensor (i32) is not 0, else `b`; shapes broadcast.
    pub fn select(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.same_device("select", &[a, b])?;
        let dims = broadcast("select", self.dims(), &broadcast("select", a.dims(), b.dims())?)?;
        let (cond, a, b) = (self.expand(&dims)?, a.expand(&dims)?, b.expand(&dims)?);
        let mut y = Tensor::uninit(&dims, a.dtype(), self.device())?;
        select::select(self.device().backend(), cond.view(), a.view(), b.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// `a + b`
    pub fn add(&self, rhs: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Add, rhs)
    }
    /// `a − b`
    pub fn sub(&self, rhs: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Sub, rhs)
    }
    /// `a · b`
    pub fn mul(&self, rhs: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Mul, rhs)
    }
    /// `a / b`
    pub fn div(&self, rhs: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Div, rhs)
    }
    /// `scale · x + shift`
    pub fn affine(&self, scale: f64, shift: f64) -> Result<Tensor> {
        self.unary(UnaryOp::Affine { scale, shift })
    }
}
