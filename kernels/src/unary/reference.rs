//! The definition of the elementwise functions of one argument.

use super::{Unary, UnaryOp};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// One element.
fn eval(op: UnaryOp, x: f64) -> f64 {
    match op {
        UnaryOp::Neg => -x,
        UnaryOp::Exp => x.exp(),
        UnaryOp::Ln => x.ln(),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Rsqrt => 1.0 / x.sqrt(),
        UnaryOp::Reciprocal => 1.0 / x,
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        UnaryOp::Relu if x < 0.0 => 0.0,
        UnaryOp::Relu => x,
        UnaryOp::Square => x * x,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Silu => x / (1.0 + (-x).exp()),
        UnaryOp::SiluSlope => (1.0 + x / (1.0 + x.exp())) / (1.0 + (-x).exp()),
        UnaryOp::Affine { scale, shift } => scale * x + shift,
    }
}

impl Unary for Reference {
    fn unary(&self, op: UnaryOp, x: View, mut y: ViewMut) -> Result<()> {
        let mut values = host("unary", "x", x.to_f64())?;
        for v in &mut values {
            *v = eval(op, *v);
        }
        host("unary", "y", y.store_f64(&values).then_some(()))
    }
}
