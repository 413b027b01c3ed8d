//! Elementwise functions of two arguments on the CPU.

use super::{Binary, BinaryOp};
use crate::elementwise::{Operands, zip};
use crate::{Cpu, Result, View, ViewMut, planted};

impl Binary for Cpu {
    fn binary(&self, op: BinaryOp, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let operands = Operands { op: "binary", a: ("a", &a), b: Some(("b", &b)), accumulate: false };
        let y = ("y", &mut y);
        match op {
            BinaryOp::Add => zip(operands, y, |a, b| a + b),
            BinaryOp::Sub => zip(operands, y, |a, b| a - b),
            BinaryOp::Mul => zip(operands, y, |a, b| a * b),
            BinaryOp::Div => zip(operands, y, |a, b| a / b),
            // A comparison with NaN is false, so these keep a NaN in `b`, and take one from `a` by the second condition.
            BinaryOp::Max => planted!(
                "binary.maximum_swallows_nan",
                zip(operands, y, |a, b| if a > b || a.is_nan() { a } else { b }) => zip(operands, y, f32::max)
            ),
            BinaryOp::Min => zip(operands, y, |a, b| if a < b || a.is_nan() { a } else { b }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::binary::{BinaryOp, binary};
    use crate::{Cpu, View, ViewMut};

    #[test]
    fn max_and_min_return_nan_when_either_side_is_nan() {
        let (a, b) = ([f32::NAN, 1.0, f32::NAN, -2.0], [1.0, f32::NAN, f32::NAN, 3.0]);
        for (op, last) in [(BinaryOp::Max, 3.0), (BinaryOp::Min, -2.0)] {
            let mut y = [0.0f32; 4];
            let (a, b) = (View::from_slice(&a, &[4]).unwrap(), View::from_slice(&b, &[4]).unwrap());
            binary(&Cpu, op, a, b, ViewMut::from_slice(&mut y, &[4]).unwrap()).unwrap();
            assert!(y[..3].iter().all(|y| y.is_nan()) && y[3] == last);
        }
    }
}
