//! Layer normalisation on the CPU: rows in parallel, bound by memory bandwidth. A row stays in the first-level cache for its
//! three passes: the mean, the variance, the result.
//!
//! The weights' gradients are sums over rows. Rows are cut into blocks of [`BLOCK`], whatever the number of threads; a
//! block's sums are kept in f32, and the blocks' are added in f64 from the first to the last. So the error grows with the
//! block, not with the batch.

use super::LayerNorm;
use crate::check::host;
use crate::rms_norm::cpu::{row, row_sum};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl LayerNorm for Cpu {
    fn layer_norm_fwd(
        &self,
        x: View,
        gain: View,
        bias: Option<View>,
        eps: f64,
        y: ViewMut,
        stats: [ViewMut; 2],
    ) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => forward::<Bf16>(&x, &gain, bias.as_ref(), eps as f32, y, stats),
            _ => forward::<f32>(&x, &gain, bias.as_ref(), eps as f32, y, stats),
        }
    }
    fn layer_norm_bwd(
        &self,
        dy: View,
        x: View,
        gain: View,
        stats: [View; 2],
        dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => backward::<Bf16>(&dy, &x, &gain, stats, dx, accumulate),
            _ => backward::<f32>(&dy, &x, &gain, stats, dx, accumulate),
        }
    }
    fn layer_norm_bwd_weights(
        &self,
        dy: View,
        x: View,
        stats: [View; 2],
        dgain: ViewMut,
        dbias: ViewMut,
    ) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => weights::<Bf16>(&dy, &x, stats, dgain, dbias),
            _ => weights::<f32>(&dy, &x, stats, dgain, dbias),
        }
    }
}

/// One row forward; returns its mean and rstd.
#[inline(always)]
fn forward_row<T: Float>(x: &[T], gain: &[f32], bias: Option<&[f32]>, eps: f32, y: &mut [T]) -> (f32, f32) {
    let (c, gain, y) = (x.len(), &gain[..x.len()], &mut y[..x.len()]);
    let mean = row_sum(
        x,
        x,
        #[inline(always)]
        |x, _| x.to_f32(),
    ) / c as f32;
    let variance = planted!("layer_norm.variance_from_squares",
        row_sum(x, x, #[inline(always)] |x, _| (x.to_f32() - mean) * (x.to_f32() - mean)) / c as f32
        => row_sum(x, x, #[inline(always)] |x, _| x.to_f32() * x.to_f32()) / c as f32 - mean * mean);
    let rstd = 1.0 / (variance + eps).sqrt();
    match bias {
        Some(bias) => {
            let bias = &bias[..c];
            (0..c).for_each(|i| y[i] = T::from_f32((x[i].to_f32() - mean) * rstd * gain[i] + bias[i]));
        }
        None => (0..c).for_each(|i| y[i] = T::from_f32((x[i].to_f32() - mean) * rstd * gain[i])),
    }
    (mean, rstd)
}

fn forward<T: Float>(
    x: &View,
    gain: &View,
    bias: Option<&View>,
    eps: f32,
    mut y: ViewMut,
    [mut mean, mut rstd]: [ViewMut; 2],
) -> Result<()> {
    const OP: &str = "layer_norm_fwd";
    let (_, c) = x.layout().rows();
    let (x_layout, y_layout) = (*x.layout(), *y.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let gain = host(OP, "gain", gain.as_slice::<f32>())?;
    let bias = bias.map(|bias| host(OP, "bias", bias.as_slice::<f32>())).transpose()?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    let mean = par::SharedPtr::new(host(OP, "mean", mean.as_mut_slice::<f32>())?);
    let rstd = host(OP, "rstd", rstd.as_mut_slice::<f32>())?;
    par::for_each_rows(rstd, 1, par::rows_per_task(c), |first, rstd| {
        simd::vectorize(
            #[inline(always)]
            || {
                for (i, rstd) in rstd.iter_mut().enumerate() {
                    let (x, at) = (row(x, &x_layout, first + i, c), y_layout.row_position(first + i));
                    // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                    let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(at), c) };
                    let stats = forward_row(x, gain, bias, eps, y);
                    // SAFETY: one mean per row (checked), written by the row's task.
                    unsafe { *mean.get().add(first + i) = stats.0 };
                    *rstd = stats.1;
                }
            },
        )
    });
    Ok(())
}

/// One row backward. `g` and `unit` are room for a row of f32 each.
#[inline(always)]
fn backward_row<T: Float>(
    [dy, x]: [&[T]; 2],
    gain: &[f32],
    [mean, rstd]: [f32; 2],
    [g, unit]: [&mut [f32]; 2],
    dx: &mut [T],
    accumulate: bool,
) {
    let c = dy.len();
    let (x, gain, dx, g, unit) = (&x[..c], &gain[..c], &mut dx[..c], &mut g[..c], &mut unit[..c]);
    (0..c).for_each(|i| g[i] = dy[i].to_f32() * gain[i]);
    (0..c).for_each(|i| unit[i] = (x[i].to_f32() - mean) * rstd);
    let mean_g = planted!("layer_norm.forgets_mean_of_gradient", row_sum(g, g, #[inline(always)] |g, _| g) / c as f32 => 0.0);
    let mean_gx = row_sum(
        g,
        unit,
        #[inline(always)]
        |g, unit| g * unit,
    ) / c as f32;
    let own = |i: usize| rstd * (g[i] - mean_g - unit[i] * mean_gx);
    if accumulate {
        (0..c).for_each(|i| dx[i] = T::from_f32(dx[i].to_f32() + own(i)));
    } else {
        (0..c).for_each(|i| dx[i] = T::from_f32(own(i)));
    }
}

fn backward<T: Float>(
    dy: &View,
    x: &View,
    gain: &View,
    [mean, rstd]: [View; 2],
    mut dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "layer_norm_bwd";
    let (rows, c) = dy.layout().rows();
    let (dy_layout, x_layout, dx_layout) = (*dy.layout(), *x.layout(), *dx.layout());
    let (dy, x) = (host(OP, "dy", dy.base::<T>())?, host(OP, "x", x.base::<T>())?);
    let gain = host(OP, "gain", gain.as_slice::<f32>())?;
    let mean = host(OP, "mean", mean.as_slice::<f32>())?;
    let rstd = host(OP, "rstd", rstd.as_slice::<f32>())?;
    let dx = par::SharedPtr::new(host(OP, "dx", dx.base_mut::<T>())?);
    let per_task = par::rows_per_task(c);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        let mut room = vec![0.0; 2 * c];
        let (g, unit) = room.split_at_mut(c);
        simd::vectorize(
            #[inline(always)]
            || {
                for r in task * per_task..((task + 1) * per_task).min(rows) {
                    let (dy, x) = (row(dy, &dy_layout, r, c), row(x, &x_layout, r, c));
                    let at = dx_layout.row_position(r);
                    // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                    let dx = unsafe { std::slice::from_raw_parts_mut(dx.get().add(at), c) };
                    backward_row([dy, x], gain, [mean[r], rstd[r]], [g, unit], dx, accumulate);
                }
            },
        )
    });
    Ok(())
}

/// Rows whose terms are added in f32.
const BLOCK: usize = 32;

fn weights<T: Float>(
    dy: &View,
    x: &View,
    [mean, rstd]: [View; 2],
    mut dgain: ViewMut,
    mut dbias: ViewMut,
) -> Result<()> {
    const OP: &str = "layer_norm_bwd_weights";
    let (rows, c) = dy.layout().rows();
    let (dy_layout, x_layout) = (*dy.layout(), *x.layout());
    let (dy, x) = (host(OP, "dy", dy.base::<T>())?, host(OP, "x", x.base::<T>())?);
    let mean = host(OP, "mean", mean.as_slice::<f32>())?;
    let rstd = host(OP, "rstd", rstd.as_slice::<f32>())?;
    let dgain = host(OP, "dgain", dgain.as_mut_slice::<f32>())?;
    let dbias = host(OP, "dbias", dbias.as_mut_slice::<f32>())?;
    let blocks = par::map_blocks(rows, BLOCK, |range| {
        let mut sums = vec![0.0f32; 2 * c];
        let (gain, bias) = sums.split_at_mut(c);
        simd::vectorize(
            #[inline(always)]
            || {
                for r in range {
                    let (dy, x) = (row(dy, &dy_layout, r, c), row(x, &x_layout, r, c));
                    let (mean, rstd) = (mean[r], rstd[r]);
                    for i in 0..c {
                        let dy = dy[i].to_f32();
                        gain[i] += dy * ((x[i].to_f32() - mean) * rstd);
                        bias[i] += dy;
                    }
                }
            },
        );
        sums
    });
    let mut sums = vec![0.0f64; 2 * c];
    for block in &blocks {
        sums.iter_mut().zip(block).for_each(|(sum, part)| *sum += f64::from(*part));
    }
    for (out, sum) in dgain.iter_mut().chain(dbias).zip(sums) {
        *out = sum as f32;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::layer_norm::layer_norm_fwd;
    use crate::{Cpu, View, ViewMut};

    #[test]
    fn a_mean_far_from_zero_costs_no_digits_of_the_variance() {
        // 4096 ± 1: in f32 the mean square has no digit left for the variance.
        let x: Vec<f32> = (0..64).map(|i| 4096.0 + if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let (gain, mut y, mut mean, mut rstd) = ([1.0f32; 64], [0.0f32; 64], [0.0f32], [0.0f32]);
        layer_norm_fwd(
            &Cpu,
            View::from_slice(&x, &[1, 64]).unwrap(),
            View::from_slice(&gain, &[64]).unwrap(),
            None,
            0.0,
            ViewMut::from_slice(&mut y, &[1, 64]).unwrap(),
            [&mut mean, &mut rstd].map(|stat| ViewMut::from_slice(stat, &[1]).unwrap()),
        )
        .unwrap();
        assert_eq!((mean[0], rstd[0], y[0], y[1]), (4096.0, 1.0, 1.0, -1.0));
    }
}
