//! Elementwise functions of one argument, every derivative in one table.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::planted;
use kernels::unary::UnaryOp;
use tensor::Tensor;

/// The operation.
pub struct Unary(pub UnaryOp);

/// What the derivative reads.
pub enum Kept {
    /// The input.
    X(Tensor),
    /// The output.
    Y(Tensor),
    /// Neither.
    Nothing,
}

impl Unary {
    fn keep(&self, x: &Tensor, y: &Tensor) -> Kept {
        use UnaryOp::*;
        match self.0 {
            Neg | Affine { .. } => Kept::Nothing,
            Ln | Relu | Square | Abs => Kept::X(x.clone()),
            _ => Kept::Y(planted!("unary.saves_the_input", y => x).clone()),
        }
    }
    /// `dx = dy · f'`, with f' written in whatever was kept.
    fn dx(&self, kept: &Kept, dy: &Tensor) -> Result<Tensor> {
        use UnaryOp::*;
        Ok(match (self.0, kept) {
            (Neg, _) => dy.unary(Neg)?,
            (Affine { scale, .. }, _) => dy.affine(scale, 0.0)?,
            (Ln, Kept::X(x)) => dy.div(x)?,
            (Relu, Kept::X(x)) => dy.mul(&step(x)?)?,
            (Abs, Kept::X(x)) => dy.mul(&step(x)?.affine(2.0, -1.0)?)?,
            (Square, Kept::X(x)) => dy.mul(&x.affine(2.0, 0.0)?)?,
            (Exp, Kept::Y(y)) => dy.mul(y)?,
            (Sqrt, Kept::Y(y)) => dy.div(&y.affine(2.0, 0.0)?)?,
            (Rsqrt, Kept::Y(y)) => dy.mul(&y.unary(Square)?.mul(y)?.affine(-0.5, 0.0)?)?,
            (Reciprocal, Kept::Y(y)) => dy.mul(&y.unary(Square)?.unary(Neg)?)?,
            (Tanh, Kept::Y(y)) => dy.mul(&y.unary(Square)?.affine(-1.0, 1.0)?)?,
            (Sigmoid, Kept::Y(y)) => dy.mul(&y.mul(&y.affine(-1.0, 1.0)?)?)?,
            _ => return Err(crate::AutogradError::NoGradient { op: "unary" }),
        })
    }
}

/// 1 where x > 0, else 0: relu(x)/x with 0/0 avoided by clamping sign through max and min.
fn step(x: &Tensor) -> Result<Tensor> {
    use kernels::binary::BinaryOp;
    let one = Tensor::full(1.0, &[], x.dtype(), x.device())?;
    let huge = x.affine(1e30, 0.0)?.unary(UnaryOp::Relu)?;
    let huge = huge.affine(1e30, 0.0)?; // in two factors, so that denormals reach 1 as well
    Ok(huge.binary(BinaryOp::Min, &one)?)
}

impl Op<1, 1> for Unary {
    const NAME: &'static str = "unary";
    type Saved = Kept;

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], Kept)> {
        let y = x.unary(self.0)?;
        let kept = self.keep(x, &y);
        Ok(([y], kept))
    }
    fn vjp(&self, kept: Kept, [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        dx.add(self.dx(&kept, dy)?)
    }
}

impl Var {
    /// Apply an elementwise function.
    pub fn unary(&self, op: UnaryOp) -> Result<Var> {
        let [y] = apply(Unary(op), [self])?;
        Ok(y)
    }
    /// `−x`
    pub fn neg(&self) -> Result<Var> {
        self.unary(UnaryOp::Neg)
    }
    /// `scale·x + shift`
    pub fn affine(&self, scale: f64, shift: f64) -> Result<Var> {
        self.unary(UnaryOp::Affine { scale, shift })
    }
    /// `eˣ`
    pub fn exp(&self) -> Result<Var> {
        self.unary(UnaryOp::Exp)
    }
    /// `ln x`
    pub fn ln(&self) -> Result<Var> {
        self.unary(UnaryOp::Ln)
    }
    /// `tanh x`
    pub fn tanh(&self) -> Result<Var> {
        self.unary(UnaryOp::Tanh)
    }
    /// `x²`
    pub fn square(&self) -> Result<Var> {
        self.unary(UnaryOp::Square)
    }
    /// `1/√x`
    pub fn rsqrt(&self) -> Result<Var> {
        self.unary(UnaryOp::Rsqrt)
    }
    /// `max(x, 0)`
    pub fn relu(&self) -> Result<Var> {
        self.unary(UnaryOp::Relu)
    }
    /// `softmax` over the last axis: `eˣ⁻ᵐ / Σ eˣ⁻ᵐ`, m the row's maximum (a constant: it cancels).
    pub fn softmax(&self) -> Result<Var> {
        let last = self.dims().len() - 1;
        let max = Var::constant(self.value().max(&[last])?);
        let e = self.sub(&max)?.exp()?;
        e.div(&e.sum(&[last])?)
    }
}
