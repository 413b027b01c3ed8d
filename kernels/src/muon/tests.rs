//! What the definition promises, seen through the public functions.

use super::*;
use crate::registry::with_numbers;
use crate::{Cpu, Reference, philox};

fn matrix(rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| philox::unit_f32(philox::word(7, 1, i as u64)) - 0.5).collect()
}

fn schulz(b: &dyn Backend, g: &[f32], rows: usize, cols: usize, bf16: bool) -> Vec<f32> {
    let mut o = vec![f32::NAN; g.len()];
    let mut scratch = vec![f32::NAN; newton_schulz_scratch(&[rows, cols])];
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

/// `scale·sin(0.7·i + phase)`.
fn sine(n: usize, scale: f64, phase: f64) -> Vec<f32> {
    (0..n).map(|i| (scale * (0.7 * i as f64 + phase).sin()) as f32).collect()
}

#[test]
fn two_steps_of_wide_and_tall_matrices_give_the_numbers_of_the_original() {
    // Shape, then for each step the first row as far as it is known, and the sum. The original runs in bf16.
    type Step = (&'static [f64], f64);
    let table: [([usize; 2], [Step; 2]); 2] = [
        ([4, 6], [(&[-0.00418, 0.3148, 0.4921, 0.44645, 0.16871, -0.16859], 1.19661), (&[], 1.13742)]),
        ([6, 4], [(&[-0.00239, 0.31575, 0.49301, 0.445], 1.23041), (&[], 1.20314)]),
    ];
    for (dims, steps) in table {
        let (mut p, mut buf) = (sine(24, 0.5, 0.0), vec![0.0f32; 24]);
        for (step, (row, sum)) in steps.into_iter().enumerate() {
            let (g, mut u) = (sine(24, 0.1, 2.0 + 10.0 * step as f64), vec![0.0f32; 24]);
            let [buf, u_out] = [&mut buf, &mut u].map(|v| ViewMut::from_slice(v, &dims).unwrap());
            let g = View::from_slice(&g, &dims).unwrap();
            with_numbers(&momentum_factors(0.95).unwrap(), g.dtype(), |f| {
                muon_momentum(&Cpu, buf, g, u_out, f)
            })
            .unwrap();
            let o = schulz(&Cpu, &u, dims[0], dims[1], true);
            let lr = 0.02 * (dims[0] as f32 / dims[1] as f32).max(1.0).sqrt();
            p.iter_mut().zip(&o).for_each(|(p, o)| *p -= lr * o);
            let all = p.iter().map(|&p| f64::from(p)).sum::<f64>();
            assert!((all - sum).abs() <= 2e-3, "{dims:?} step {step}: sum {all} instead of {sum}");
            let near = row.iter().zip(&p).all(|(want, got)| (f64::from(*got) - want).abs() <= 2e-4);
            assert!(near, "{dims:?} step {step}: {:?} instead of {row:?}", &p[..dims[1]]);
        }
    }
}
