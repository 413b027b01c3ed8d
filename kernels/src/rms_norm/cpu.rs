//! RMSNorm on the CPU: rows in parallel; in each row one reading pass with 32 f32 partial sums (a shape the compiler turns
//! into vector adds, and a fixed order of summation), one writing pass. Bound by memory bandwidth.

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

/// Partial sums of a row: two vectors of 16, so that an addition need not wait for the one before.
const LANES: usize = 32;

// ANCHOR: row_sum
/// `Σ f(a[i], b[i])` over two rows of one length, in 32 interleaved partial sums that are joined as a tree at the end.
///
/// To become vector code, rows are cut into arrays, so that no index is checked in the loop, and terms are computed apart
/// from the additions: the compiler unrolls loops over lanes before it would see a vector in a longer expression.
#[inline(always)]
pub(crate) fn row_sum<A: Copy, B: Copy>(a: &[A], b: &[B], f: impl Fn(A, B) -> f32) -> f32 {
    let mut acc = [0.0f32; LANES];
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        let mut terms = [0.0f32; LANES];
        for lane in 0..LANES {
            terms[lane] = f(a[lane], b[lane]);
        }
        for lane in 0..LANES {
            acc[lane] += terms[lane];
        }
    }
    let rest = a_rest.iter().zip(b_rest).take(planted!("rms_norm.tail_forgotten", LANES => 0));
    for (lane, (a, b)) in rest.enumerate() {
        acc[lane] += f(*a, *b);
    }
    let [sum] = halved::<2, 1>(halved::<4, 2>(halved::<8, 4>(halved::<16, 8>(halved::<32, 16>(acc)))));
    sum
}

/// The first half plus the second.
#[inline(always)]
fn halved<const N: usize, const HALF: usize>(acc: [f32; N]) -> [f32; HALF] {
    let mut sums = [0.0; HALF];
    for lane in 0..HALF {
        sums[lane] = acc[lane] + acc[lane + HALF];
    }
    sums
}
// ANCHOR_END: row_sum

pub(crate) fn row<'a, T>(base: &'a [T], layout: &Layout, row: usize, c: usize) -> &'a [T] {
    let at = layout.row_position(row);
    &base[at..at + c]
}

/// One row forward; returns its rstd.
#[inline(always)]
pub(crate) fn forward_row<T: Float>(x: &[T], eps: f32, y: &mut [T]) -> f32 {
    let mean_square = row_sum(
        x,
        x,
        #[inline(always)]
        |x, _| x.to_f32() * x.to_f32(),
    ) / x.len() as f32;
    let root =
        planted!("rms_norm.eps_outside_the_root", (mean_square + eps).sqrt() => mean_square.sqrt() + eps);
    let rstd = 1.0 / root;
    T::each(
        y,
        x,
        x,
        #[inline(always)]
        |x, _, _| {
            let scaled = x * rstd;
            planted!("rms_norm.denormals_flushed", scaled => if scaled.abs() < 1.2e-38 { 0.0 } else { scaled })
        },
    );
    rstd
}

/// One row backward.
#[inline(always)]
pub(crate) fn backward_row<T: Float>(dy: &[T], y: &[T], rstd: f32, dx: &mut [T], accumulate: bool) {
    let (c, y, dx) = (dy.len(), &y[..dy.len()], &mut dx[..dy.len()]);
    let mean = row_sum(
        dy,
        y,
        #[inline(always)]
        |dy, y| dy.to_f32() * y.to_f32(),
    ) / c as f32;
    T::put(
        dx,
        dy,
        y,
        accumulate,
        #[inline(always)]
        |dy, y| rstd * (dy - y * mean),
    );
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
