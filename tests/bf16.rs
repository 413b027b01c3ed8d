//! All 65,536 bf16 numbers, and the ties between them, through the vectorised kernels at every SIMD level.
//!
//! A program of its own: the level belongs to the process, and other tests compare bits.
#![allow(clippy::unwrap_used)]

use kernels::copy::copy;
use kernels::simd::{self, Simd};
use kernels::unary::{UnaryOp, unary};
use kernels::{Bf16, Cpu, DType, Reference, View, ViewMut};
use std::sync::Mutex;

/// Tests of one program share its level.
static LEVEL: Mutex<()> = Mutex::new(());

fn at_every_level(test: impl Fn(Simd)) {
    let _alone = LEVEL.lock().unwrap_or_else(|e| e.into_inner());
    for level in simd::levels() {
        test(simd::set_level(level));
    }
}

fn all() -> Vec<Bf16> {
    (0..=u16::MAX).map(Bf16).collect()
}

#[test]
fn every_number_survives_widening_and_rounding() {
    at_every_level(|level| {
        let (from, n) = (all(), 1 << 16);
        let (mut wide, mut back) = (vec![0.0f32; n], vec![Bf16(0); n]);
        copy(&Cpu, View::from_slice(&from, &[n]).unwrap(), ViewMut::from_slice(&mut wide, &[n]).unwrap())
            .unwrap();
        copy(&Cpu, View::from_slice(&wide, &[n]).unwrap(), ViewMut::from_slice(&mut back, &[n]).unwrap())
            .unwrap();
        for ((from, wide), back) in from.iter().zip(&wide).zip(&back) {
            let exact = f32::from_bits(u32::from(from.0) << 16);
            let nan = exact.is_nan() && wide.is_nan() && back.to_f32().is_nan();
            assert!(nan || wide.to_bits() == exact.to_bits() && back == from, "{:#06x} at {level:?}", from.0);
        }
    });
}

#[test]
fn every_tie_goes_to_the_even_neighbour_and_its_neighbours_do_not() {
    // Between neighbours of either sign, and between the largest number and infinity.
    let below: Vec<u16> = (0..0x7f80u16).flat_map(|bits| [bits, bits | 0x8000]).collect();
    let tie = |bits: u16| u32::from(bits) << 16 | 0x8000;
    at_every_level(|level| {
        for (step, rounds_up) in [(-1i32, [false; 2]), (0, [false, true]), (1, [true; 2])] {
            let from: Vec<f32> =
                below.iter().map(|&b| f32::from_bits(tie(b).wrapping_add_signed(step))).collect();
            let mut to = vec![Bf16(0); from.len()];
            let (x, n) = (View::from_slice(&from, &[from.len()]).unwrap(), from.len());
            copy(&Cpu, x, ViewMut::from_slice(&mut to, &[n]).unwrap()).unwrap();
            for (&bits, to) in below.iter().zip(&to) {
                let up = rounds_up[usize::from(bits % 2 == 1)];
                assert_eq!(to.0, bits + u16::from(up), "{bits:#06x} and a half, {step:+} at {level:?}");
            }
        }
    });
}

#[test]
fn every_number_through_every_elementwise_function_is_within_a_rounding() {
    use UnaryOp::*;
    let functions = [Neg, Exp, Ln, Sqrt, Rsqrt, Reciprocal, Tanh, Sigmoid, Relu, Square, Abs];
    let (x, n) = (all(), 1 << 16);
    let wide: Vec<f64> = x.iter().map(|x| f64::from(x.to_f32())).collect();
    at_every_level(|level| {
        for op in functions {
            let (mut got, mut want) = (vec![Bf16(0); n], vec![0.0f64; n]);
            let y = ViewMut::from_slice(&mut got, &[n]).unwrap();
            unary(&Cpu, op, View::from_slice(&x, &[n]).unwrap(), y).unwrap();
            let y = ViewMut::from_slice(&mut want, &[n]).unwrap();
            unary(&Reference, op, View::from_slice(&wide, &[n]).unwrap(), y).unwrap();
            for i in 0..n {
                let (got, want) = (f64::from(got[i].to_f32()), want[i]);
                // A few roundings to f32 on the way, one to bf16; overflow is infinity on both sides.
                let noise = 8.0 * DType::F32.unit_roundoff() * want.abs();
                let allowed = noise + DType::Bf16.half_ulp(want.abs() + noise);
                let same = got == DType::Bf16.round(want) || got.is_nan() && want.is_nan();
                assert!(
                    same || (got - want).abs() <= allowed,
                    "{op:?}({:e}) = {got:e}, expected {want:e} at {level:?}",
                    wide[i]
                );
            }
        }
    });
}
