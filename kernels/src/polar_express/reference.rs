//! The definition of Muon's row equilibration and of the Polar Express iteration.

use super::{COEFFICIENTS, MARGIN, PolarExpress, SHORTEST_ROW};
use crate::{DType, KernelError, Reference, Result, View, ViewMut};

impl PolarExpress for Reference {
    fn polar_express(&self, g: View, mut o: ViewMut, _: ViewMut, steps: usize, bf16: bool) -> Result<()> {
        let [.., rows, cols] = *g.dims() else { return Ok(()) };
        let g = g.to_f64().ok_or(KernelError::WrongSpace { op: "polar_express", arg: "g" })?;
        let matrices = g.chunks((rows * cols).max(1));
        o.store_f64(&matrices.flat_map(|g| iterated(g, rows, cols, steps, bf16)).collect::<Vec<_>>());
        Ok(())
    }
}

/// Equilibration and iteration on one matrix.
fn iterated(g: &[f64], rows: usize, cols: usize, steps: usize, bf16: bool) -> Vec<f64> {
    let mut x = g.to_vec();
    let round = |v: f64| if bf16 { DType::Bf16.round(v) } else { v };
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    x.iter_mut().for_each(|x| *x = round(*x));
    let target = norm(&x) / (rows as f64).sqrt();
    for r in 0..rows {
        let row = &mut x[r * cols..(r + 1) * cols];
        let length = norm(row);
        let factor = round(target / if length < SHORTEST_ROW { SHORTEST_ROW } else { length });
        row.iter_mut().for_each(|x| *x = round(*x * factor));
    }
    let size = round(round(round(norm(&x)) * MARGIN[0]) + MARGIN[1]);
    x.iter_mut().for_each(|x| *x = round(*x / size));
    for [a, b, c] in COEFFICIENTS.into_iter().take(steps) {
        x = if rows > cols {
            let square = polynomial(cols, rows, |i, k| x[k * cols + i], [b, c], round);
            let xb = product(rows, cols, cols, |i, k| x[i * cols + k], |k, j| square[k * cols + j]);
            (0..x.len()).map(|i| round(round(a * x[i]) + round(xb[i]))).collect()
        } else {
            let square = polynomial(rows, cols, |i, k| x[i * cols + k], [b, c], round);
            let bx = product(rows, rows, cols, |i, k| square[i * rows + k], |k, j| x[k * cols + j]);
            (0..x.len()).map(|i| round(round(a * x[i]) + round(bx[i]))).collect()
        };
    }
    x
}

/// `b·A + c·A²`, where A (s, s) holds the products of the s vectors of length l that `x` gives.
fn polynomial(
    s: usize,
    l: usize,
    x: impl Fn(usize, usize) -> f64,
    [b, c]: [f64; 2],
    round: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let mut a = product(s, l, s, &x, |k, j| x(j, k));
    a.iter_mut().for_each(|a| *a = round(*a));
    let aa = product(s, s, s, |i, k| a[i * s + k], |k, j| a[k * s + j]);
    (0..s * s).map(|i| round(round(b * a[i]) + round(c * round(aa[i])))).collect()
}

/// Σ_k a(i, k)·b(k, j).
fn product(
    m: usize,
    k: usize,
    n: usize,
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    (0..m * n).map(|at| (0..k).map(|l| a(at / n, l) * b(l, at % n)).sum()).collect()
}
