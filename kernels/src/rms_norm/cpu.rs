//! RMSNorm on the CPU: rows in parallel; in each row one reading pass with eight f32 partial sums (a shape the compiler
//! turns into vector adds, and a fixed order of summation), one writing pass. Bound by memory bandwidth.

use super::RmsNorm;
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, planted, simd};

impl RmsNorm for Cpu {
    fn rms_norm_fwd(&self, x: View, eps: f64, mut y: ViewMut, mut rstd: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => forward::<Bf16>(&x, eps as f32, &mut y, &mut rstd),
            _ => forward::<f32>(&x, eps as f32, &mut y, &mut rstd),
        }
    }
    fn rms_norm_bwd(&self, dy: View, y: View, rstd: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        match dy.dtype() {
            DType::Bf16 => backward::<Bf16>(&dy, &y, &rstd, &mut dx, accumulate),
            _ => backward::<f32>(&dy, &y, &rstd, &mut dx, accumulate),
        }
    }
}

// ANCHOR: row_sum
/// Σ f(i) over a row, in eight interleaved partial sums that are added pairwise at the end.
#[inline(always)]
pub(crate) fn row_sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut acc = [0.0f32; 8];
    let whole = n / 8 * 8;
    for at in (0..whole).step_by(8) {
        for lane in 0..8 {
            acc[lane] += f(at + lane);
        }
    }
    for at in whole..planted!("rms_norm.tail_forgotten", n => whole) {
        acc[at - whole] += f(at);
    }
    ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]))
}
// ANCHOR_END: row_sum

pub(crate) fn row<'a, T>(base: &'a [T], layout: &Layout, row: usize, c: usize) -> &'a [T] {
    let at = layout.row_position(row);
    &base[at..at + c]
}

/// One row forward; returns its rstd.
#[inline(always)]
pub(crate) fn forward_row<T: Float>(x: &[T], eps: f32, y: &mut [T]) -> f32 {
    let c = x.len();
    let mean_square = row_sum(c, |i| x[i].to_f32() * x[i].to_f32()) / c as f32;
    let root =
        planted!("rms_norm.eps_outside_the_root", (mean_square + eps).sqrt() => mean_square.sqrt() + eps);
    let rstd = 1.0 / root;
    for (y, x) in y.iter_mut().zip(x) {
        let scaled = x.to_f32() * rstd;
        *y = T::from_f32(
            planted!("rms_norm.denormals_flushed", scaled => if scaled.abs() < 1.2e-38 { 0.0 } else { scaled }),
        );
    }
    rstd
}

/// One row backward.
#[inline(always)]
pub(crate) fn backward_row<T: Float>(dy: &[T], y: &[T], rstd: f32, dx: &mut [T], accumulate: bool) {
    let (c, y, dx) = (dy.len(), &y[..dy.len()], &mut dx[..dy.len()]);
    let mean = row_sum(c, |i| dy[i].to_f32() * y[i].to_f32()) / c as f32;
    let g = |i: usize| rstd * (dy[i].to_f32() - y[i].to_f32() * mean);
    if accumulate {
        (0..c).for_each(|i| dx[i] = T::from_f32(dx[i].to_f32() + g(i)));
    } else {
        (0..c).for_each(|i| dx[i] = T::from_f32(g(i)));
    }
}

fn forward<T: Float>(x: &View, eps: f32, y: &mut ViewMut, rstd: &mut ViewMut) -> Result<()> {
    const OP: &str = "rms_norm_fwd";
    let (_, c) = x.layout().rows();
    let (x_layout, y_layout) = (*x.layout(), *y.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    let rstd = host(OP, "rstd", rstd.as_mut_slice::<f32>())?;
    let per_task = par::rows_per_task(c);
    par::for_each_rows(rstd, 1, per_task, |first, rstd| {
        simd::vectorize(
            #[inline(always)]
            || {
                for (i, rstd) in rstd.iter_mut().enumerate() {
                    let x = row(x, &x_layout, first + i, c);
                    let at = y_layout.row_position(first + i);
                    // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                    let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(at), c) };
                    *rstd = forward_row(x, eps, y);
                }
            },
        )
    });
    Ok(())
}

fn backward<T: Float>(dy: &View, y: &View, rstd: &View, dx: &mut ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "rms_norm_bwd";
    let (rows, c) = dy.layout().rows();
    let (dy_layout, y_layout, dx_layout) = (*dy.layout(), *y.layout(), *dx.layout());
    let dy = host(OP, "dy", dy.base::<T>())?;
    let y = host(OP, "y", y.base::<T>())?;
    let rstd = host(OP, "rstd", rstd.as_slice::<f32>())?;
    let dx = par::SharedPtr::new(host(OP, "dx", dx.base_mut::<T>())?);
    let per_task = par::rows_per_task(c);
    let accumulate = planted!("rms_norm.accumulate_ignored", accumulate => false);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        simd::vectorize(
            #[inline(always)]
            || {
                for r in task * per_task..((task + 1) * per_task).min(rows) {
                    let (dy, y) = (row(dy, &dy_layout, r, c), row(y, &y_layout, r, c));
                    // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                    let dx =
                        unsafe { std::slice::from_raw_parts_mut(dx.get().add(dx_layout.row_position(r)), c) };
                    backward_row(dy, y, rstd[r], dx, accumulate);
                }
            },
        )
    });
    Ok(())
}
