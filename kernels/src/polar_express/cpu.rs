//! Polar Express on the CPU: one reading pass for the lengths of the rows, from which the norm of the equilibrated matrix
//! follows; one writing pass that does all the scaling; then matrix products ([`crate::muon::quintic`]).
//!
//! In bf16 the norm is that of the rounded matrix, which takes a second reading pass.

use super::{COEFFICIENTS, MARGIN, PolarExpress, SHORTEST_ROW};
use crate::check::host;
use crate::dot::dot;
use crate::muon::matrices;
use crate::muon::quintic::{Number, Square, each, iterate};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl PolarExpress for Cpu {
    fn polar_express(
        &self,
        g: View,
        mut o: ViewMut,
        mut scratch: ViewMut,
        steps: usize,
        bf16: bool,
    ) -> Result<()> {
        const OP: &str = "polar_express";
        let (n, rows, cols) = matrices(g.dims());
        let g = host(OP, "g", g.as_slice::<f32>())?;
        let o = host(OP, "o", o.as_mut_slice::<f32>())?;
        let scratch = host(OP, "scratch", scratch.as_mut_slice::<f32>())?;
        if g.is_empty() {
            return Ok(());
        }
        each(g, o, scratch, (n, rows, cols), |g, o, scratch| match bf16 {
            true => orthogonalise::<Bf16>(g, o, scratch, (rows, cols), steps),
            false => orthogonalise::<f32>(g, o, scratch, (rows, cols), steps),
        })
    }
}

fn orthogonalise<T: Number>(
    g: &[f32],
    o: &mut [f32],
    scratch: &mut [f32],
    sides: (usize, usize),
    steps: usize,
) -> Result<()> {
    let polynomials = COEFFICIENTS.into_iter().take(steps);
    iterate(o, scratch, sides, polynomials, Square::ScaledLast, |x: &mut [T]| equilibrate(g, x, sides))
}

/// `x` = `g` with rows of equal length, over its norm and a margin.
fn equilibrate<T: Float>(g: &[f32], x: &mut [T], (rows, cols): (usize, usize)) {
    let round = |v: f32| T::from_f32(v).to_f32();
    let squares = row_squares(g, cols, |_, v| round(v));
    let target = (squares.iter().sum::<f64>() / rows as f64).sqrt();
    let factor = |square: &f64| {
        let length = square.sqrt();
        round((target / if length < SHORTEST_ROW { SHORTEST_ROW } else { length }) as f32)
    };
    let factors: Vec<f32> = squares.iter().map(factor).collect();
    let sum: f64 = match T::DTYPE {
        DType::Bf16 => row_squares(g, cols, |row, v| round(round(v) * factors[row])).iter().sum(),
        _ => squares.iter().zip(&factors).map(|(square, f)| square * f64::from(*f).powi(2)).sum(),
    };
    let margin = MARGIN.map(|v| v as f32);
    let scaled = round(round(sum.sqrt() as f32) * planted!("polar_express.no_margin", margin[0] => 1.0));
    let size = round(scaled + margin[1]);
    par::for_each_rows(x, cols, par::rows_per_task(cols), |first, x| {
        for ((x, g), &factor) in
            x.chunks_exact_mut(cols).zip(g[first * cols..].chunks_exact(cols)).zip(&factors[first..])
        {
            simd::vectorize(
                #[inline(always)]
                || x.iter_mut().zip(g).for_each(|(x, &g)| *x = T::from_f32(round(round(g) * factor) / size)),
            );
        }
    });
}

/// `Σ f(row, v)²` of every row.
fn row_squares(g: &[f32], cols: usize, f: impl Fn(usize, f32) -> f32 + Sync + Send) -> Vec<f64> {
    let mut squares = vec![0.0f64; g.len() / cols];
    par::for_each_rows(&mut squares, 1, par::rows_per_task(cols), |first, squares| {
        let mut buffer = vec![0.0f32; cols];
        for (row, square) in (first..).zip(squares) {
            let g = &g[row * cols..][..cols];
            *square = simd::vectorize(
                #[inline(always)]
                || {
                    buffer.iter_mut().zip(g).for_each(|(b, &g)| *b = f(row, g));
                    dot(&buffer, &buffer)
                },
            );
        }
    });
    squares
}
