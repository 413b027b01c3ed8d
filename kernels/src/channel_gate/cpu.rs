//! The gate on the CPU. A row gives a dozen products per head: too few to vectorise along. So forward takes sixteen rows
//! at a time, puts their channels side by side, and computes one head for all sixteen in one register's width. Every
//! lane is a row of its own, summed over the channels in order, so a row's bits do not depend on its neighbours.
//!
//! Backward adds rows of W, scaled, to each row's first channels; the weights' gradient is summed in f64 over fixed blocks
//! of rows, the blocks from left to right. Bound by fetching one or two cache lines of each row.

use super::ChannelGate;
use crate::check::host;
use crate::fast_math::exp_f32;
use crate::rows::{Rows, RowsMut, each_row};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl ChannelGate for Cpu {
    fn channel_gate_fwd(&self, x: View, w: View, scale: f64, mut g: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => forward::<Bf16>(&x, &w, scale as f32, &mut g),
            _ => forward::<f32>(&x, &w, scale as f32, &mut g),
        }
    }
    fn channel_gate_bwd_x(
        &self,
        dg: View,
        g: View,
        w: View,
        scale: f64,
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        match dg.dtype() {
            DType::Bf16 => backward_x::<Bf16>(&dg, &g, &w, scale as f32, &mut dx, accumulate),
            _ => backward_x::<f32>(&dg, &g, &w, scale as f32, &mut dx, accumulate),
        }
    }
    fn channel_gate_bwd_w(
        &self,
        dg: View,
        g: View,
        x: View,
        scale: f64,
        mut dw: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        match dg.dtype() {
            DType::Bf16 => backward_w::<Bf16>(&dg, &g, &x, scale as f32, &mut dw, accumulate),
            _ => backward_w::<f32>(&dg, &g, &x, scale as f32, &mut dw, accumulate),
        }
    }
}

/// Rows computed side by side.
const TILE: usize = 16;
/// Tiles per task of the forward pass.
const TILES: usize = 16;
/// Rows whose part of dW is summed by one task.
const BLOCK: usize = 1024;

/// `1 / (1 + e^−a)`, by way of `e^−|a|`, which cannot overflow.
#[inline(always)]
fn sigmoid(a: f32) -> f32 {
    let e = exp_f32(-a.abs());
    (if a < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// The derivative of `scale·σ` times what comes from above, from the gate itself.
#[inline(always)]
fn slope<T: Float>(dg: T, g: T, scale: f32) -> f32 {
    let g = g.to_f32();
    dg.to_f32() * g * (1.0 - planted!("channel_gate.slope_of_plain_sigmoid", g / scale => g))
}

fn forward<T: Float>(x: &View, w: &View, scale: f32, g: &mut ViewMut) -> Result<()> {
    const OP: &str = "channel_gate_fwd";
    let (rows, heads, n) = (x.layout().rows().0, w.dims()[0], w.dims()[1]);
    let (x, w) = (Rows::<T>::of(OP, "x", x)?, Rows::<f32>::of(OP, "w", w)?);
    let g = RowsMut::<T>::of(OP, "g", g)?;
    par::for_each_task(rows.div_ceil(TILE * TILES), |task| {
        let mut side_by_side = vec![[0.0f32; TILE]; n];
        let last = ((task + 1) * TILE * TILES).min(rows);
        for first in (task * TILE * TILES..last).step_by(TILE) {
            let here = TILE.min(last - first);
            for lane in 0..here {
                let row = &x.row(first + lane)[..n];
                side_by_side.iter_mut().zip(row).for_each(|(channel, x)| channel[lane] = x.to_f32());
            }
            for head in 0..heads {
                let gates = simd::vectorize(
                    #[inline(always)]
                    || {
                        let mut a = [0.0f32; TILE];
                        for (channel, w) in side_by_side.iter().zip(w.row(head)) {
                            a.iter_mut().zip(channel).for_each(|(a, x)| *a += w * x);
                        }
                        a.iter_mut().for_each(|a| *a = scale * sigmoid(*a));
                        a
                    },
                );
                for (lane, gate) in gates[..here].iter().enumerate() {
                    // SAFETY: each row belongs to one task.
                    unsafe { g.row(first + lane)[head] = T::from_f32(*gate) };
                }
            }
        }
    });
    Ok(())
}

fn backward_x<T: Float>(
    dg: &View,
    g: &View,
    w: &View,
    scale: f32,
    dx: &mut ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_x";
    let (shape, n) = (dx.layout().rows(), w.dims()[1]);
    let (dg, g, w) = (Rows::<T>::of(OP, "dg", dg)?, Rows::<T>::of(OP, "g", g)?, Rows::<f32>::of(OP, "w", w)?);
    let dx = RowsMut::<T>::of(OP, "dx", dx)?;
    each_row(
        shape,
        #[inline(always)]
        |r| {
            // SAFETY: each row belongs to one task.
            let (first, rest) = unsafe { dx.row(r) }.split_at_mut(n);
            if !planted!("channel_gate.rest_not_cleared", accumulate => true) {
                rest.fill(T::default());
            }
            // A few channels at a time, whose sums over the heads stay in a register.
            for (part, dx) in first.chunks_mut(TILE).enumerate() {
                let mut sum = [0.0f32; TILE];
                for (head, (dg, g)) in dg.row(r).iter().zip(g.row(r)).enumerate() {
                    let (da, w) = (slope(*dg, *g, scale), &w.row(head)[part * TILE..][..dx.len()]);
                    sum.iter_mut().zip(w).for_each(|(sum, w)| *sum += da * w);
                }
                for (dx, sum) in dx.iter_mut().zip(sum) {
                    *dx = T::from_f32(if accumulate { dx.to_f32() + sum } else { sum });
                }
            }
        },
    );
    Ok(())
}

fn backward_w<T: Float>(
    dg: &View,
    g: &View,
    x: &View,
    scale: f32,
    dw: &mut ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_w";
    let (rows, n) = (x.layout().rows().0, dw.dims()[1]);
    let (elements, layout) = (dw.numel(), *dw.layout());
    let (dg, g, x) = (Rows::<T>::of(OP, "dg", dg)?, Rows::<T>::of(OP, "g", g)?, Rows::<T>::of(OP, "x", x)?);
    if elements == 0 {
        return Ok(());
    }
    let parts = par::map_blocks(rows, BLOCK, |block| {
        let mut sums = vec![0.0f64; elements];
        simd::vectorize(
            #[inline(always)]
            || {
                for r in block {
                    let x = &x.row(r)[..n];
                    for ((sums, dg), g) in sums.chunks_exact_mut(n).zip(dg.row(r)).zip(g.row(r)) {
                        let da = f64::from(slope(*dg, *g, scale));
                        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += da * f64::from(x.to_f32()));
                    }
                }
            },
        );
        sums
    });
    let dw = host(OP, "dw", dw.base_mut::<f32>())?;
    for i in 0..elements {
        let dw = &mut dw[layout.position(i)];
        let old = if accumulate { f64::from(*dw) } else { 0.0 };
        *dw = (old + parts.iter().map(|sums| sums[i]).sum::<f64>()) as f32;
    }
    Ok(())
}
