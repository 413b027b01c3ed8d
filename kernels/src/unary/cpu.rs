//! Elementwise functions of one argument on the CPU. Square root and division are correctly rounded instructions, everything
//! else comes from [`crate::fast_math`]: vector code, with the same bits on every system. Angles above a million are reduced
//! one at a time.

use super::{Unary, UnaryOp};
use crate::elementwise::{Rare, map, map_ordinary};
use crate::fast_math::{
    ORDINARY, cos_any_f32, cos_f32, exp_f32, ln_f32, sigmoid_f32, sin_any_f32, sin_f32, tanh_f32,
};
use crate::{Cpu, Result, View, ViewMut, planted};

impl Unary for Cpu {
    fn unary(&self, op: UnaryOp, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "unary";
        let (x, y) = (&x, &mut y);
        match op {
            UnaryOp::Neg => map(OP, x, y, |x| -x),
            UnaryOp::Exp => map(OP, x, y, exp_f32),
            UnaryOp::Ln => map(OP, x, y, ln_f32),
            UnaryOp::Sqrt => map(OP, x, y, f32::sqrt),
            UnaryOp::Rsqrt => map(OP, x, y, |x| 1.0 / x.sqrt()),
            UnaryOp::Reciprocal => map(OP, x, y, |x| 1.0 / x),
            UnaryOp::Tanh => map(OP, x, y, tanh_f32),
            UnaryOp::Sigmoid => map(OP, x, y, sigmoid_f32),
            UnaryOp::Relu => map(OP, x, y, |x| if x < 0.0 { 0.0 } else { x }),
            UnaryOp::Square => map(OP, x, y, |x| x * x),
            UnaryOp::Abs => map(OP, x, y, f32::abs),
            UnaryOp::Sin => map_ordinary(OP, x, y, sin_f32, Rare { limit: ORDINARY, f: sin_any_f32 }),
            UnaryOp::Cos => map_ordinary(OP, x, y, cos_f32, Rare { limit: ORDINARY, f: cos_any_f32 }),
            UnaryOp::Silu => map(OP, x, y, silu),
            UnaryOp::SiluSlope => map(OP, x, y, silu_slope),
            UnaryOp::Affine { scale, shift } => {
                let (scale, shift) = (scale as f32, shift as f32);
                let shift = planted!("unary.shift_is_scaled_too", shift => scale * shift);
                map(OP, x, y, move |x| scale * x + shift)
            }
        }
    }
}

/// `(σ(|x|), σ(−|x|))`, both to a few units in the last place: no difference cancels, and `e^(−|x|)` never overflows.
#[inline(always)]
fn sigmoids(x: f32) -> (f32, f32) {
    let e = exp_f32(-x.abs());
    (1.0 / (1.0 + e), e / (1.0 + e))
}

/// `x·σ(x)`.
#[inline(always)]
fn silu(x: f32) -> f32 {
    let (large, small) = sigmoids(x);
    x * if x < 0.0 { small } else { large }
}

/// `σ(x)·(1 + x·σ(−x))`.
#[inline(always)]
fn silu_slope(x: f32) -> f32 {
    let (large, small) = sigmoids(x);
    let (here, opposite) = if x < 0.0 { (small, large) } else { (large, small) };
    here * (1.0 + x * planted!("unary.silu_slope_without_the_complement", opposite => here))
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
    fn silu_keeps_its_digits_where_it_is_nearly_nothing() {
        for x in [-80.0f32, -30.0, -1.2, -1e-20, 0.0, 1e-20, 0.7, 40.0] {
            let (wide, slack) = (f64::from(x), 8.0 / f64::from(1 << 24));
            let e = (-wide).exp();
            let want = wide / (1.0 + e);
            assert!((f64::from(one(UnaryOp::Silu, x)) - want).abs() <= slack * want.abs(), "{x}");
            let want = (1.0 + wide * e / (1.0 + e)) / (1.0 + e);
            let terms = (1.0 + wide.abs() * e / (1.0 + e)) / (1.0 + e);
            assert!((f64::from(one(UnaryOp::SiluSlope, x)) - want).abs() <= slack * terms, "{x}");
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
