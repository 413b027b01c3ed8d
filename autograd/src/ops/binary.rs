//! Elementwise functions of two arguments with broadcasting. A broadcast operand's gradient is summed back to its shape.
//!
//! Gradients, element by element: the two partial derivatives, times dy.
//! `a + b`: `da = dy`, `db = dy`. `a − b`: `da = dy`, `db = −dy`. `a·b`: `da = dy·b`, `db = dy·a`.
//! `a/b`: `da = dy/b`, `db = −dy·a/b² = −dy·y/b` with y the quotient. What one element was repeated for is added up.

use crate::{AutogradError, GradSlot, Op, Result, Var, apply};
use kernels::binary::BinaryOp;
use kernels::planted;
use kernels::unary::UnaryOp;
use tensor::Tensor;

/// The operation.
pub struct Binary(pub BinaryOp);

impl Op<2, 1> for Binary {
    const NAME: &'static str = "binary";
    /// First operand (or, for a quotient, the result) and second operand, as far as the gradients asked for read them.
    type Saved = (Option<Tensor>, Option<Tensor>);

    fn forward(&self, [a, b]: [&Tensor; 2], needs: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        let y = a.binary(self.0, b)?;
        let saved = match self.0 {
            BinaryOp::Add | BinaryOp::Sub => (None, None),
            BinaryOp::Mul => {
                let [a_needs, b_needs] =
                    planted!("binary.saves_for_the_wrong_side", needs => [needs[1], needs[0]]);
                (b_needs.then(|| a.clone()), a_needs.then(|| b.clone()))
            }
            BinaryOp::Div => {
                let first = planted!("binary.saves_the_dividend", &y => a);
                (needs[1].then(|| first.clone()), Some(b.clone()))
            }
            _ if needs == [false, false] => (None, None),
            _ => return Err(AutogradError::NoGradient { op: "max/min of two tensors" }),
        };
        Ok(([y], saved))
    }
    fn vjp(
        &self,
        (a, b): Self::Saved,
        [dy]: [Option<&Tensor>; 1],
        [da, db]: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        let to = |slot: &GradSlot, g: Tensor| slot.add(g.sum_to(slot.dims())?);
        match (self.0, a, b) {
            (BinaryOp::Add | BinaryOp::Sub, ..) => {
                da.map_or(Ok(()), |s| to(s, dy.clone()))?;
                let sign = if matches!(self.0, BinaryOp::Sub) { dy.unary(UnaryOp::Neg)? } else { dy.clone() };
                db.map_or(Ok(()), |s| to(s, sign))
            }
            (BinaryOp::Mul, a, b) => {
                if let (Some(s), Some(b)) = (da, b) {
                    to(s, dy.mul(&b)?)?;
                }
                if let (Some(s), Some(a)) = (db, a) {
                    to(s, dy.mul(&a)?)?;
                }
                Ok(())
            }
            (BinaryOp::Div, y, Some(b)) => {
                if let Some(s) = da {
                    to(s, dy.div(&b)?)?;
                }
                if let (Some(s), Some(y)) = (db, y) {
                    to(s, dy.mul(&y)?.div(&b)?.unary(UnaryOp::Neg)?)?;
                }
                Ok(())
            }
            _ => Err(AutogradError::NoGradient { op: "binary" }),
        }
    }
}

impl Var {
    /// Apply an elementwise function of two broadcast operands.
    pub fn binary(&self, op: BinaryOp, rhs: &Var) -> Result<Var> {
        let [y] = apply(Binary(op), [self, rhs])?;
        Ok(y)
    }
    /// `a + b`
    pub fn add(&self, rhs: &Var) -> Result<Var> {
        self.binary(BinaryOp::Add, rhs)
    }
    /// `a − b`
    pub fn sub(&self, rhs: &Var) -> Result<Var> {
        self.binary(BinaryOp::Sub, rhs)
    }
    /// `a · b`
    pub fn mul(&self, rhs: &Var) -> Result<Var> {
        self.binary(BinaryOp::Mul, rhs)
    }
    /// `a / b`
    pub fn div(&self, rhs: &Var) -> Result<Var> {
        self.binary(BinaryOp::Div, rhs)
    }
}
