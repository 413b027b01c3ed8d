//! The fast version: one pass, vector code from a plain loop, in parallel over long stretches of memory. The arithmetic
//! hides behind the loads and stores, so memory bandwidth bounds it.

use super::ExampleOp;
use crate::elementwise::{Operands, map, zip};
use crate::{Cpu, Result, View, ViewMut};

impl ExampleOp for Cpu {
    fn example_op_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        map(
            "example_op_fwd",
            &x,
            &mut y,
            #[inline(always)]
            |x| x * x * x / (1.0 + x * x),
        )
    }

    fn example_op_bwd(&self, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        zip(
            Operands { op: "example_op_bwd", a: ("x", &x), b: Some(("dy", &dy)), accumulate },
            ("dx", &mut dx),
            #[inline(always)]
            |x, dy| {
                let square = x * x;
                dy * square * (3.0 + square) / ((1.0 + square) * (1.0 + square))
            },
        )
    }
}
