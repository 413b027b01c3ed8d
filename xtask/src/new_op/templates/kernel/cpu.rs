//! The fast version: one pass, vector code from a plain loop, in parallel over long stretches of memory. The arithmetic
//! hides behind the loads and stores, so memory bandwidth bounds it.

use super::ExampleOp;
use crate::elementwise::{Operands, map, run};
use crate::{Cpu, Result, View, ViewMut, simd};

impl ExampleOp for Cpu {
    fn example_op_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        map("example_op_fwd", &x, &mut y, |x| x * x * x / (1.0 + x * x))
    }

    fn example_op_bwd(&self, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        let operands =
            Operands { op: "example_op_bwd", a: ("x", &x), b: Some(("dy", &dy)), update: accumulate };
        run(operands, "dx", &mut dx, &move |x, dy, dx| {
            simd::vectorize(
                #[inline(always)]
                move || {
                    for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                        let square = x * x;
                        let g = dy * square * (3.0 + square) / ((1.0 + square) * (1.0 + square));
                        *dx = if accumulate { *dx + g } else { g };
                    }
                },
            );
        })
    }
}
