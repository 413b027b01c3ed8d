//! An example to be replaced: `y = x³/(1 + x²)`, elementwise.
//!
//! Gradient. By the quotient rule `y' = (3x²·(1 + x²) − x³·2x)/(1 + x²)² = x²·(3 + x²)/(1 + x²)²`, and an element of `x`
//! touches no other element of `y`, so `dx = dy · y'`. It reads the input.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::example_op::example_op_bwd;
use tensor::Tensor;

/// The operation.
pub struct ExampleOp;

// ANCHOR: op
impl Op<1, 1> for ExampleOp {
    const NAME: &'static str = "example_op";
    /// `x`.
    type Saved = Tensor;

    fn forward(&self, [x]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], Tensor)> {
        Ok(([x.example_op()?], x.clone()))
    }
    fn vjp(&self, x: Tensor, [dy]: [Option<&Tensor>; 1], [dx]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dx)) = (dy, dx) else { return Ok(()) };
        let backend = dy.device().backend();
        dx.add_with(|out, accumulate| example_op_bwd(backend, x.view(), dy.view(), out, accumulate))
    }
}
// ANCHOR_END: op

impl Var {
    /// `x³/(1 + x²)`, elementwise.
    pub fn example_op(&self) -> Result<Var> {
        let [y] = apply(ExampleOp, [self])?;
        Ok(y)
    }
}
