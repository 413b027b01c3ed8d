//! What the definition promises, seen through the public functions.

use super::*;
use crate::{Cpu, Reference, philox};

fn matrix(rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| philox::unit_f32(philox::word(7, 1, i as u64)) - 0.5).collect()
}

fn schulz(b: &dyn Backend, g: &[f32], rows: usize, cols: usize, bf16: bool) -> Vec<f32> {
    let mut o = vec![f32::NAN; g.len()];
    let mut scratch = vec![f32::NAN; newton_schulz_scratch(rows, cols)];
    let len = scratch.len();
    newton_schulz(
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
fn the_rows_of_a_wide_result_are_nearly_orthonormal() {
    let (rows, cols) = (24, 96);
    for bf16 in [false, true] {
        let o = schulz(&Cpu, &matrix(rows, cols), rows, cols, bf16);
        for i in 0..rows {
            for j in 0..rows {
                let dot: f32 = (0..cols).map(|k| o[i * cols + k] * o[j * cols + k]).sum();
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((dot - want).abs() < 0.5, "row {i} · row {j} = {dot}");
            }
        }
    }
}

#[test]
fn zero_gives_exactly_zero() {
    for b in [&Cpu as &dyn Backend, &Reference] {
        for bf16 in [false, true] {
            assert!(schulz(b, &[0.0; 40], 5, 8, bf16).iter().all(|&v| v == 0.0));
        }
    }
}

#[test]
fn a_tall_matrix_gives_the_transpose_of_the_wide_one() {
    let (rows, cols) = (30, 70);
    let wide = matrix(rows, cols);
    let tall: Vec<f32> = (0..rows * cols).map(|i| wide[i % rows * cols + i / rows]).collect();
    let (from_wide, from_tall) =
        (schulz(&Cpu, &wide, rows, cols, false), schulz(&Cpu, &tall, cols, rows, false));
    for i in 0..rows * cols {
        assert!((from_tall[i] - from_wide[i % rows * cols + i / rows]).abs() < 1e-5);
    }
}

#[test]
fn scratch_that_is_too_small_is_refused() {
    let (g, mut o, mut scratch) = ([1.0f32; 6], [0.0f32; 6], [0.0f32; 10]);
    let result = newton_schulz(
        &Cpu,
        View::from_slice(&g, &[2, 3]).unwrap(),
        ViewMut::from_slice(&mut o, &[2, 3]).unwrap(),
        ViewMut::from_slice(&mut scratch, &[10]).unwrap(),
        5,
        false,
    );
    assert!(matches!(result, Err(crate::KernelError::Parameter { .. })));
}
