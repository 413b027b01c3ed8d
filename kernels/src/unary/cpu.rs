//! Elementwise functions of one argument on the CPU. Square root and division are correctly rounded instructions, the
//! exponentials come from [`crate::fast_math`]; the logarithm is the platform library's, one element at a time (it is
//! used on statistics, never on activations).

use super::{Unary, UnaryOp};
use crate::elementwise::map;
use crate::fast_math::{exp_f32, tanh_f32};
use crate::{Cpu, Result, View, ViewMut, planted};

impl Unary for Cpu {
    fn unary(&self, op: UnaryOp, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "unary";
        let (x, y) = (&x, &mut y);
        match op {
            UnaryOp::Neg => map(OP, x, y, |x| -x),
            UnaryOp::Exp => map(OP, x, y, exp_f32),
            UnaryOp::Ln => map(OP, x, y, f32::ln),
            UnaryOp::Sqrt => map(OP, x, y, f32::sqrt),
            UnaryOp::Rsqrt => map(OP, x, y, |x| 1.0 / x.sqrt()),
            UnaryOp::Reciprocal => map(OP, x, y, |x| 1.0 / x),
            UnaryOp::Tanh => map(OP, x, y, tanh_f32),
            UnaryOp::Sigmoid => map(OP, x, y, |x| 1.0 / (1.0 + exp_f32(-x))),
            UnaryOp::Relu => map(OP, x, y, |x| if x < 0.0 { 0.0 } else { x }),
            UnaryOp::Square => map(OP, x, y, |x| x * x),
            UnaryOp::Abs => map(OP, x, y, f32::abs),
            UnaryOp::Affine { scale, shift } => {
                let (scale, shift) = (scale as f32, shift as f32);
                let shift = planted!("unary.shift_is_scaled_too", shift => scale * shift);
                map(OP, x, y, move |x| scale * x + shift)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::unary::{UnaryOp, unary};
    use crate::{Cpu, View, ViewMut};

    fn one(op: UnaryOp, x: f32) -> f32 {
        let (x, mut y) = ([x], [0.5]);
        unary(&Cpu, op, View::from_slice(&x, &[]).unwrap(), ViewMut::from_slice(&mut y, &[]).unwrap())
            .unwrap();
        y[0]
    }

    #[test]
    fn nan_and_impossible_arguments_give_nan() {
        for op in [UnaryOp::Exp, UnaryOp::Tanh, UnaryOp::Sigmoid, UnaryOp::Relu, UnaryOp::Abs, UnaryOp::Ln] {
            assert!(one(op, f32::NAN).is_nan(), "{op:?}");
        }
        for op in [UnaryOp::Ln, UnaryOp::Sqrt, UnaryOp::Rsqrt] {
            assert!(one(op, -1.0).is_nan(), "{op:?}");
        }
    }

    #[test]
    fn the_ends_of_the_number_line_are_right() {
        let inf = f32::INFINITY;
        assert_eq!([UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Exp].map(|op| one(op, inf)), [1.0, 1.0, inf]);
        assert_eq!([UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Exp].map(|op| one(op, -inf)), [0.0, -1.0, 0.0]);
        assert_eq!(
            [one(UnaryOp::Ln, 0.0), one(UnaryOp::Rsqrt, 0.0), one(UnaryOp::Reciprocal, inf)],
            [-inf, inf, 0.0]
        );
    }
}
