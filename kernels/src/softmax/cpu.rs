//! Softmax and log-sum-exp on the CPU, rows in parallel. A row stays in the second-level cache (32,768 numbers are 128 KiB),
//! so memory is read and written once although a row is looked at three times: for its maximum, for the exponentials and
//! their sum, and to be scaled. Exponentials are computed once per element, as vectors. Sums follow `reduce/order.rs`.

use super::Softmax;
use crate::check::host;
use crate::fast_math::exp_flushed_f32;
use crate::reduce::order::{BLOCK, Max, Pairwise, Sum, block, fold};
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, planted, simd};

impl Softmax for Cpu {
    fn softmax_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => softmax::<Bf16>(&x, &mut y),
            _ => softmax::<f32>(&x, &mut y),
        }
    }
    fn softmax_bwd(&self, dy: View, y: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        match y.dtype() {
            DType::Bf16 => softmax_gradient::<Bf16>(&dy, &y, &mut dx, accumulate),
            _ => softmax_gradient::<f32>(&dy, &y, &mut dx, accumulate),
        }
    }
    fn logsumexp_fwd(&self, x: View, mut lse: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => logsumexp::<Bf16>(&x, &mut lse),
            _ => logsumexp::<f32>(&x, &mut lse),
        }
    }
    fn logsumexp_bwd(&self, x: View, lse: View, dl: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => logsumexp_gradient::<Bf16>(&x, &lse, &dl, &mut dx, accumulate),
            _ => logsumexp_gradient::<f32>(&x, &lse, &dl, &mut dx, accumulate),
        }
    }
}

fn row<'a, T>(base: &'a [T], layout: &Layout, row: usize) -> &'a [T] {
    &base[layout.row_position(row)..][..layout.rows().1]
}

/// Call `f(scratch, row, y)` for every row of `y`, as vector code and in parallel, with `scratch` a row of f32.
fn for_each_row<T: Float>(
    op: &'static str,
    (arg, y): (&'static str, &mut ViewMut),
    f: impl Fn(&mut [f32], usize, &mut [T]) + Sync,
) -> Result<()> {
    let layout = *y.layout();
    let (rows, c) = layout.rows();
    let y = par::SharedPtr::new(host(op, arg, y.base_mut::<T>())?);
    let per_task = par::rows_per_task(c);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        let mut scratch = vec![0.0; c];
        for row in task * per_task..((task + 1) * per_task).min(rows) {
            // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(layout.row_position(row)), c) };
            simd::vectorize(
                #[inline(always)]
                || f(&mut scratch, row, y),
            );
        }
    });
    Ok(())
}

/// `Σ` of a function that leaves its terms in the buffer it is given; `f(first, terms)` gets block after block.
#[inline(always)]
fn sum_blocks(buffer: &mut [f32], mut f: impl FnMut(usize, &mut [f32])) -> f32 {
    let mut sum = Pairwise::<Sum>::NEW;
    for (number, terms) in buffer.chunks_mut(BLOCK).enumerate() {
        f(number * BLOCK, terms);
        sum.push(&block::<Sum, f32>(terms));
    }
    *sum.finish()
}

/// Leaves `exp(x − max)` in the buffer; returns the maximum and the sum.
#[inline(always)]
fn exponentials<T: Float>(x: &[T], buffer: &mut [f32]) -> (f32, f32) {
    let max = fold::<Max, T>(x);
    let max = planted!("softmax.maximum_not_subtracted", max => 0.0);
    let sum = sum_blocks(
        buffer,
        #[inline(always)]
        |first, terms| {
            let x = &x[first..];
            terms.iter_mut().zip(x).for_each(|(term, x)| *term = exp_flushed_f32(x.to_f32() - max));
        },
    );
    (max, sum)
}

fn softmax<T: Float>(x: &View, y: &mut ViewMut) -> Result<()> {
    const OP: &str = "softmax_fwd";
    let (layout, x) = (*x.layout(), host(OP, "x", x.base::<T>())?);
    for_each_row::<T>(
        OP,
        ("y", y),
        #[inline(always)]
        |scratch, r, y| {
            let (_, sum) = exponentials(row(x, &layout, r), scratch);
            let inverse = 1.0 / sum;
            y.iter_mut().zip(scratch).for_each(|(y, e)| *y = T::from_f32(*e * inverse));
        },
    )
}

fn softmax_gradient<T: Float>(dy: &View, y: &View, dx: &mut ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "softmax_bwd";
    let layouts = [*dy.layout(), *y.layout()];
    let (dy, y) = (host(OP, "dy", dy.base::<T>())?, host(OP, "y", y.base::<T>())?);
    for_each_row::<T>(
        OP,
        ("dx", dx),
        #[inline(always)]
        |scratch, r, dx| {
            let (dy, y) = (row(dy, &layouts[0], r), row(y, &layouts[1], r));
            let dot = sum_blocks(
                scratch,
                #[inline(always)]
                |first, terms| {
                    let factors = dy[first..].iter().zip(&y[first..]);
                    terms
                        .iter_mut()
                        .zip(factors)
                        .for_each(|(term, (dy, y))| *term = dy.to_f32() * y.to_f32());
                },
            );
            let dot = planted!("softmax.gradient_of_the_diagonal_alone", dot => 0.0);
            let all = dx.iter_mut().zip(dy).zip(y);
            all.for_each(|((dx, dy), y)| add(dx, y.to_f32() * (dy.to_f32() - dot), accumulate));
        },
    )
}

#[inline(always)]
fn add<T: Float>(dx: &mut T, g: f32, accumulate: bool) {
    *dx = T::from_f32(if accumulate { dx.to_f32() + g } else { g });
}

fn logsumexp<T: Float>(x: &View, lse: &mut ViewMut) -> Result<()> {
    const OP: &str = "logsumexp_fwd";
    let (layout, c) = (*x.layout(), x.layout().rows().1);
    let x = host(OP, "x", x.base::<T>())?;
    let lse = host(OP, "lse", lse.as_mut_slice::<f32>())?;
    par::for_each_rows(lse, 1, par::rows_per_task(c), |first, lse| {
        let mut scratch = vec![0.0; c];
        for (i, lse) in lse.iter_mut().enumerate() {
            let x = if c == 0 { &[] } else { row(x, &layout, first + i) };
            let (max, sum) = simd::vectorize(
                #[inline(always)]
                || exponentials(x, &mut scratch),
            );
            *lse = if max.is_infinite() { max } else { max + sum.ln() };
        }
    });
    Ok(())
}

fn logsumexp_gradient<T: Float>(
    x: &View,
    lse: &View,
    dl: &View,
    dx: &mut ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "logsumexp_bwd";
    let (layout, dl_layout) = (*x.layout(), *dl.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let (lse, dl) = (host(OP, "lse", lse.as_slice::<f32>())?, host(OP, "dl", dl.base::<f32>())?);
    for_each_row::<T>(
        OP,
        ("dx", dx),
        #[inline(always)]
        |_, r, dx| {
            let (lse, dl) = (lse[r], dl[dl_layout.position(r)]);
            let all = dx.iter_mut().zip(row(x, &layout, r));
            all.for_each(|(dx, x)| add(dx, exp_flushed_f32(x.to_f32() - lse) * dl, accumulate));
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::softmax::{logsumexp_fwd, softmax_fwd};
    use crate::{Backend, Cpu, Reference, View, ViewMut};

    const INF: f32 = f32::INFINITY;

    /// Softmax and log-sum-exp of one row; the definition is given f32, too.
    fn both(b: &dyn Backend, row: &[f32]) -> (Vec<f32>, f32) {
        let (mut y, mut lse) = (vec![0.5f32; row.len()], [0.5f32]);
        let x = View::from_slice(row, &[1, row.len()]).unwrap();
        softmax_fwd(b, x, ViewMut::from_slice(&mut y, &[1, row.len()]).unwrap()).unwrap();
        logsumexp_fwd(b, x, ViewMut::from_slice(&mut lse, &[1]).unwrap()).unwrap();
        (y, lse[0])
    }

    #[test]
    fn rows_with_infinities_follow_the_formula_here_and_in_the_definition() {
        for b in [&Cpu as &dyn Backend, &Reference] {
            let (y, lse) = both(b, &[-INF; 5]);
            assert!(y.iter().all(|y| y.is_nan()) && lse == -INF);
            let (y, lse) = both(b, &[1.0, INF, 2.0]);
            assert!(y.iter().all(|y| y.is_nan()) && lse == INF);
            let (y, lse) = both(b, &[1.0, f32::NAN, 2.0]);
            assert!(y.iter().all(|y| y.is_nan()) && lse.is_nan());
            assert_eq!(both(b, &[-INF, 3.0, -INF]), (vec![0.0, 1.0, 0.0], 3.0));
        }
        assert_eq!(both(&Cpu, &[]).1, -INF);
    }

    #[test]
    fn a_rows_bits_do_not_depend_on_its_neighbours() {
        let x: Vec<f32> = (0..3 * 1501).map(|i| (i as f32 * 0.1).sin() * 9.0).collect();
        let mut y = vec![0.0f32; x.len()];
        let out = ViewMut::from_slice(&mut y, &[3, 1501]).unwrap();
        softmax_fwd(&Cpu, View::from_slice(&x, &[3, 1501]).unwrap(), out).unwrap();
        assert_eq!(both(&Cpu, &x[1501..3002]).0, y[1501..3002]);
    }
}
