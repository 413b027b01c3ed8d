//! Elementwise functions of one argument, every derivative in one table. At a kink (0 of `Relu` and `Abs`) it is 0.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::compare::CompareOp;
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
            Ln | Relu | Square | Abs | Sin | Cos | Silu => Kept::X(x.clone()),
            _ => Kept::Y(y.clone()),
        }
    }
    /// `dx = dy · f'`, with f' written in whatever was kept.
    fn dx(&self, kept: &Kept, dy: &Tensor) -> Result<Tensor> {
        use UnaryOp::*;
        Ok(match (self.0, kept) {
            (Neg, _) => dy.unary(Neg)?,
            (Affine { scale, .. }, _) => dy.affine(scale, 0.0)?,
            (Ln, Kept::X(x)) => dy.div(x)?,
            (Relu, Kept::X(x)) => x.compare(CompareOp::Le, &zero(x)?)?.select(&zero(dy)?, dy)?,
            (Abs, Kept::X(x)) => {
                let signed = x.compare(CompareOp::Lt, &zero(x)?)?.select(&dy.unary(Neg)?, dy)?;
                x.compare(CompareOp::Eq, &zero(x)?)?.select(&zero(dy)?, &signed)?
            }
            (Sin, Kept::X(x)) => dy.mul(&x.unary(Cos)?)?,
            (Cos, Kept::X(x)) => dy.mul(&x.unary(Sin)?.unary(Neg)?)?,
            (Silu, Kept::X(x)) => dy.mul(&x.unary(SiluSlope)?)?,
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

/// What `t` is compared with, or replaced by.
fn zero(t: &Tensor) -> Result<Tensor> {
    Ok(Tensor::zeros(&[], t.dtype(), t.device())?)
}

impl Op<1, 1> for Unary {
    const NAME: &'static str = "unary";
    type Saved = Kept;

    fn forward(&self, [x]: [&Tensor; 1], needs: [bool; 1]) -> Result<([Tensor; 1], Kept)> {
        if needs[0] && self.0 == UnaryOp::SiluSlope {
            return Err(crate::AutogradError::NoGradient { op: "the slope of silu" });
        }
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
    /// `x·σ(x)`
    pub fn silu(&self) -> Result<Var> {
        self.unary(UnaryOp::Silu)
    }
}
