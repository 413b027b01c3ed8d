//! What the definition promises, seen through the public function.

use super::*;
use crate::muon::newton_schulz_scratch;
use crate::{Cpu, Reference, philox};

fn matrix(rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| philox::unit_f32(philox::word(7, 1, i as u64)) - 0.5).collect()
}

fn express(b: &dyn Backend, g: &[f32], [rows, cols]: [usize; 2], bf16: bool) -> Vec<f32> {
    let mut o = vec![f32::NAN; g.len()];
    let mut scratch = vec![f32::NAN; newton_schulz_scratch(&[rows, cols])];
    let len = scratch.len();
    polar_express(
        b,
        View::from_slice(g, &[rows, cols]).unwrap(),
        ViewMut::from_slice(&mut o, &[rows, cols]).unwrap(),
        ViewMut::from_slice(&mut scratch, &[len]).unwrap(),
        5,
        bf16,
    )
    .unwrap();
    o
}

#[test]
fn the_rows_of_a_wide_result_are_orthonormal_up_to_what_the_polynomials_leave() {
    // Singular values between 0.86 and 1.14 have squares within 0.3 of 1, and so do the products of the rows.
    let (rows, cols) = (24, 96);
    for bf16 in [false, true] {
        let o = express(&Cpu, &matrix(rows, cols), [rows, cols], bf16);
        for i in 0..rows {
            for j in 0..rows {
                let dot: f32 = (0..cols).map(|k| o[i * cols + k] * o[j * cols + k]).sum();
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((dot - want).abs() <= 0.3, "row {i} · row {j} = {dot}");
            }
        }
    }
}

#[test]
fn singular_values_five_hundred_times_apart_come_together() {
    // Two rows of one length that are almost parallel: singular values √2 and √2/500. Their product is the determinant.
    let o = express(&Cpu, &[1.0, 0.002, 1.0, -0.002], [2, 2], false);
    let determinant = (o[0] * o[3] - o[1] * o[2]).abs();
    assert!((0.86f32.powi(2)..=1.15f32.powi(2)).contains(&determinant), "{o:?}");
}

#[test]
fn the_length_of_a_row_does_not_matter() {
    let (rows, cols) = (5, 11);
    let g = matrix(rows, cols);
    let uneven: Vec<f32> = g.iter().enumerate().map(|(i, v)| v * 4f32.powi((i / cols) as i32 - 2)).collect();
    let (even, uneven) =
        (express(&Cpu, &g, [rows, cols], false), express(&Cpu, &uneven, [rows, cols], false));
    assert!(even.iter().zip(&uneven).all(|(a, b)| (a - b).abs() <= 1e-5), "{even:?} {uneven:?}");
}

#[test]
fn zero_gives_exactly_zero() {
    for b in [&Cpu as &dyn Backend, &Reference] {
        for bf16 in [false, true] {
            assert!(express(b, &[0.0; 40], [5, 8], bf16).iter().all(|&v| v == 0.0));
        }
    }
}

#[test]
fn more_steps_than_polynomials_are_refused() {
    let (g, mut o, mut scratch) = ([1.0f32; 6], [0.0f32; 6], [0.0f32; 24]);
    let result = polar_express(
        &Cpu,
        View::from_slice(&g, &[2, 3]).unwrap(),
        ViewMut::from_slice(&mut o, &[2, 3]).unwrap(),
        ViewMut::from_slice(&mut scratch, &[24]).unwrap(),
        6,
        false,
    );
    assert!(matches!(result, Err(crate::KernelError::Parameter { .. })));
}
