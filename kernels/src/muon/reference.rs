//! The definition of Muon's momentum and of the Newton–Schulz iteration.

use super::{COEFFICIENTS, Muon, NORM_EPS};
use crate::{DType, KernelError, Reference, Result, View, ViewMut};

impl Muon for Reference {
    fn muon_momentum(&self, mut buf: ViewMut, g: View, mut u: ViewMut, factors: View) -> Result<()> {
        let wrong = |arg| KernelError::WrongSpace { op: "muon_momentum", arg };
        let g = g.to_f64().ok_or(wrong("g"))?;
        let mut bufs = buf.as_view().to_f64().ok_or(wrong("buf"))?;
        let factors = factors.to_f64().ok_or(wrong("factors"))?;
        let &[keep, take] = &factors[..] else { return Ok(()) };
        let mut us = vec![0.0; g.len()];
        for i in 0..g.len() {
            bufs[i] += take * (g[i] - bufs[i]);
            us[i] = take * g[i] + keep * bufs[i];
        }
        buf.store_f64(&bufs);
        u.store_f64(&us);
        Ok(())
    }

    fn newton_schulz(&self, g: View, mut o: ViewMut, _: ViewMut, steps: usize, bf16: bool) -> Result<()> {
        let [.., rows, cols] = *g.dims() else { return Ok(()) };
        let g = g.to_f64().ok_or(KernelError::WrongSpace { op: "newton_schulz", arg: "g" })?;
        let matrices = g.chunks((rows * cols).max(1));
        o.store_f64(&matrices.flat_map(|g| iterated(g, rows, cols, steps, bf16)).collect::<Vec<_>>());
        Ok(())
    }
}

/// The iteration on one matrix.
fn iterated(g: &[f64], rows: usize, cols: usize, steps: usize, bf16: bool) -> Vec<f64> {
    let (s, l) = (rows.min(cols), rows.max(cols));
    let round = |v: f64| if bf16 { DType::Bf16.round(v) } else { v };
    // Where element (i, j) of the wide matrix lives in g and o.
    let at = |i: usize, j: usize| if rows > cols { j * cols + i } else { i * cols + j };
    let mut x = vec![0.0; s * l];
    for i in 0..s * l {
        x[i] = round(g[at(i / l, i % l)]);
    }
    let norm = round(round(x.iter().map(|x| x * x).sum::<f64>().sqrt()) + NORM_EPS);
    x.iter_mut().for_each(|x| *x = round(*x / norm));
    for _ in 0..steps {
        let a = product(s, l, s, |i, k| x[i * l + k], |k, j| x[j * l + k], round);
        let ca: Vec<f64> = a.iter().map(|a| round(COEFFICIENTS[2] * a)).collect();
        let caa = product(s, s, s, |i, k| ca[i * s + k], |k, j| a[k * s + j], round);
        let b: Vec<f64> =
            a.iter().zip(&caa).map(|(a, caa)| round(round(COEFFICIENTS[1] * a) + caa)).collect();
        let bx = product(s, s, l, |i, k| b[i * s + k], |k, j| x[k * l + j], round);
        x.iter_mut().zip(&bx).for_each(|(x, bx)| *x = round(round(COEFFICIENTS[0] * *x) + bx));
    }
    let mut os = vec![0.0; s * l];
    for i in 0..s * l {
        os[at(i / l, i % l)] = x[i];
    }
    os
}

/// Σ_k a(i, k)·b(k, j), each element rounded.
fn product(
    m: usize,
    k: usize,
    n: usize,
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
    round: impl Fn(f64) -> f64,
) -> Vec<f64> {
    (0..m * n).map(|at| round((0..k).map(|l| a(at / n, l) * b(l, at % n)).sum())).collect()
}
