//! The definition of the elementwise functions of two arguments.

use super::{Binary, BinaryOp};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// One element.
fn eval(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Max => a.max(b),
        BinaryOp::Min => a.min(b),
    }
}

impl Binary for Reference {
    fn binary(&self, op: BinaryOp, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let a = host("binary", "a", a.to_f64())?;
        let b = host("binary", "b", b.to_f64())?;
        let mut ys = vec![0.0; a.len()];
        for i in 0..a.len() {
            ys[i] = eval(op, a[i], b[i]);
        }
        host("binary", "y", y.store_f64(&ys).then_some(()))
    }
}
