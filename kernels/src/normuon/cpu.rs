//! The update on the CPU: one reading pass over X for the sums of squares of its lines (rows of a tall matrix, columns of
//! a wide one), from which all norms follow, then one pass over X and P. In between there is one number per line, in f64.

use super::{NorMuon, SMALLEST_NORM, SMALLEST_SQUARE};
use crate::check::host;
use crate::dot::dot;
use crate::{Cpu, Result, View, ViewMut, par, planted, simd};

/// Columns that one task sums.
const COLUMNS: usize = 256;

impl NorMuon for Cpu {
    fn normuon(&self, x: View, mut p: ViewMut, mut s: ViewMut, factors: View) -> Result<()> {
        const OP: &str = "normuon";
        let (rows, cols) = (x.dims()[0], x.dims()[1]);
        let x = host(OP, "x", x.as_slice::<f32>())?;
        let p = host(OP, "p", p.as_mut_slice::<f32>())?;
        let s = host(OP, "s", s.as_mut_slice::<f32>())?;
        let by_row = rows >= cols;
        let squares = if by_row { row_squares(x, rows, cols) } else { column_squares(x, cols) };
        let &[lr, decay, take] = host(OP, "factors", factors.as_slice::<f32>())? else { return Ok(()) };
        let factors = line_factors(&squares, rows.min(cols), s, take.into());
        par::for_each_rows(p, cols, par::rows_per_task(cols), |first, p| {
            for ((row, p), x) in
                (first..).zip(p.chunks_exact_mut(cols)).zip(x[first * cols..].chunks_exact(cols))
            {
                let factor = by_row.then(|| factors[row]); // the same for the whole row: a load and a check less per element
                simd::vectorize(
                    #[inline(always)]
                    || match factor {
                        Some(factor) => move_row(p, x.iter().map(|x| (*x, factor)), lr, decay),
                        None => move_row(p, x.iter().copied().zip(factors.iter().copied()), lr, decay),
                    },
                );
            }
        });
        Ok(())
    }
}

/// Update the second moments; what each line of X is to be multiplied by.
fn line_factors(squares: &[f64], short: usize, s: &mut [f32], take: f64) -> Vec<f32> {
    // Comparisons, because `max` would replace NaN.
    let at_least = |v: f64, least: f64| if v < least { least } else { v };
    let sum = |terms: &mut dyn Iterator<Item = f64>| terms.sum::<f64>();
    let scale = (short as f64).sqrt() / at_least(sum(&mut squares.iter().copied()).sqrt(), SMALLEST_NORM);
    let mean_squares: Vec<f64> = squares.iter().map(|v| v * scale * scale / short.max(1) as f64).collect();
    let before = (sum(&mut mean_squares.iter().copied()) * short as f64).sqrt();
    let mut inverse_roots = Vec::with_capacity(s.len());
    for (s, mean) in s.iter_mut().zip(&mean_squares) {
        let moment = f64::from(*s) + take * (mean - f64::from(*s));
        *s = moment as f32;
        inverse_roots.push(1.0 / at_least(moment, SMALLEST_SQUARE).sqrt());
    }
    let after = mean_squares.iter().zip(&inverse_roots).map(|(mean, f)| mean * f * f);
    let after = (sum(&mut after.into_iter()) * short as f64).sqrt();
    let back = before / at_least(after, SMALLEST_SQUARE);
    inverse_roots
        .iter()
        .map(|f| (scale * f * planted!("normuon.norm_not_restored", back => 1.0)) as f32)
        .collect()
}

/// `p −= lr·X + decay·p·[X·p ≥ 0]`, X being x times a factor that is not negative. The signs of x and p are compared, because
/// X and X·p may underflow; and by `&` rather than `&&`, which makes no branch.
#[inline(always)]
fn move_row(p: &mut [f32], x: impl Iterator<Item = (f32, f32)>, lr: f32, decay: f32) {
    for (p, (x, factor)) in p.iter_mut().zip(x) {
        let alike = ((x >= 0.0) & (*p >= 0.0)) | ((x <= 0.0) & (*p <= 0.0));
        let decays = planted!("normuon.decay_everywhere", alike => true);
        *p -= lr * (x * factor) + if decays { decay * *p } else { 0.0 };
    }
}

/// Σ x² of every row.
fn row_squares(x: &[f32], rows: usize, cols: usize) -> Vec<f64> {
    let mut squares = vec![0.0f64; rows];
    par::for_each_rows(&mut squares, 1, par::rows_per_task(cols), |first, squares| {
        simd::vectorize(
            #[inline(always)]
            || {
                for (row, square) in (first..).zip(squares) {
                    let x = &x[row * cols..][..cols];
                    *square = dot(x, x);
                }
            },
        )
    });
    squares
}

/// Σ x² of every column: a task has some columns and walks down all rows.
fn column_squares(x: &[f32], cols: usize) -> Vec<f64> {
    let mut squares = vec![0.0f64; cols];
    par::for_each_rows(&mut squares, 1, COLUMNS, |first, squares| {
        simd::vectorize(
            #[inline(always)]
            || {
                for row in x.chunks_exact(cols) {
                    let x = &row[first..][..squares.len()];
                    squares.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*x));
                }
            },
        )
    });
    squares
}
