//! The definition of the comparisons.

use super::{Compare, CompareOp};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Compare for Reference {
    fn compare(&self, op: CompareOp, a: View, b: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "compare";
        let (a, b) = (host(OP, "a", a.to_f64())?, host(OP, "b", b.to_f64())?);
        let mut ys = Vec::new();
        for i in 0..a.len() {
            let holds = match op {
                CompareOp::Lt => a[i] < b[i],
                CompareOp::Le => a[i] <= b[i],
                CompareOp::Gt => a[i] > b[i],
                CompareOp::Ge => a[i] >= b[i],
                CompareOp::Eq => a[i] == b[i],
                CompareOp::Ne => a[i] != b[i],
            };
            ys.push(if holds { 1.0 } else { 0.0 });
        }
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }
}
