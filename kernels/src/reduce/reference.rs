//! The definition of reductions: every element goes into its result, in logical order.

use super::{Reduce, ReduceOp, result_of};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Reduce for Reference {
    fn reduce(&self, op: ReduceOp, x: View, mut y: ViewMut) -> Result<()> {
        let empty = match op {
            ReduceOp::Max => f64::NEG_INFINITY,
            ReduceOp::Min => f64::INFINITY,
            ReduceOp::Sum | ReduceOp::SumSquares => 0.0,
        };
        let mut ys = vec![empty; y.numel()];
        for (i, v) in host("reduce", "x", x.to_f64())?.into_iter().enumerate() {
            let y = &mut ys[result_of(x.dims(), y.dims(), i)];
            match op {
                ReduceOp::Sum => *y += v,
                ReduceOp::SumSquares => *y += v * v,
                ReduceOp::Max if v > *y || v.is_nan() => *y = v,
                ReduceOp::Min if v < *y || v.is_nan() => *y = v,
                ReduceOp::Max | ReduceOp::Min => {}
            }
        }
        host("reduce", "y", y.store_f64(&ys).then_some(()))
    }
}
