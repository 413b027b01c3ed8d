//! The definition of the places of extreme elements: look at one after the other, keep the first that nothing beats.

use super::{ArgOp, ArgReduce};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl ArgReduce for Reference {
    fn arg_reduce(&self, op: ArgOp, axis: usize, x: View, mut y: ViewMut) -> Result<()> {
        let n = x.dims()[axis];
        let inner: usize = x.dims()[axis + 1..].iter().product();
        let x = host("arg_reduce", "x", x.to_f64())?;
        let mut ys = Vec::new();
        for result in 0..y.numel() {
            let first = result / inner * n * inner + result % inner;
            let mut best = 0;
            for j in 1..n {
                let (new, old) = (x[first + j * inner], x[first + best * inner]);
                let better = if op == ArgOp::Max { new > old } else { new < old };
                if !old.is_nan() && (better || new.is_nan()) {
                    best = j;
                }
            }
            ys.push(best as f64);
        }
        host("arg_reduce", "y", y.store_f64(&ys).then_some(()))
    }
}
