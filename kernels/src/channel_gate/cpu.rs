//! The gate on the CPU. A row gives a dozen products per head: too few to vectorise along. So forward takes sixteen rows
//! at a time, puts their channels side by side, and computes one head for all sixteen in one register's width. Every
//! lane is a row of its own, summed over the channels in order, so a row's bits do not depend on its neighbours.
//!
//! Backward computes the gates' slopes in the same way. Then it adds rows of W, scaled, to each row's first channels; the
//! weights' gradient is summed in f64 over fixed blocks of rows, the blocks from left to right. Bound by fetching one or
//! two cache lines of each row.

use super::ChannelGate;
use crate::check::host;
use crate::fast_math::exp_f32;
use crate::rows::{Rows, RowsMut};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};
use std::ops::Range;

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
        x: View,
        w: View,
        scale: f64,
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        match dg.dtype() {
            DType::Bf16 => backward_x::<Bf16>(&dg, &x, &w, scale as f32, &mut dx, accumulate),
            _ => backward_x::<f32>(&dg, &x, &w, scale as f32, &mut dx, accumulate),
        }
    }
    fn channel_gate_bwd_w(
        &self,
        dg: View,
        x: View,
        w: View,
        scale: f64,
        mut dw: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        match dg.dtype() {
            DType::Bf16 => backward_w::<Bf16>(&dg, &x, &w, scale as f32, &mut dw, accumulate),
            _ => backward_w::<f32>(&dg, &x, &w, scale as f32, &mut dw, accumulate),
        }
    }
}

/// Rows computed side by side.
const TILE: usize = 16;
/// Tiles per task.
const TILES: usize = 16;

/// `1 / (1 + e^−a)`, by way of `e^−|a|`, which cannot overflow.
#[inline(always)]
fn sigmoid(a: f32) -> f32 {
    let e = exp_f32(-a.abs());
    (if a < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// `σ(1−σ) = e / (1 + e)²` with `e = e^−|a|`: nothing is subtracted, so nothing cancels where the gate is at its end.
#[inline(always)]
fn slope(a: f32) -> f32 {
    let e = exp_f32(-a.abs());
    e / ((1.0 + e) * (1.0 + e))
}

/// The first channels of some rows, side by side.
struct Tile {
    first: usize,
    rows: usize,
    channels: Vec<[f32; TILE]>,
}

impl Tile {
    /// Call `f` with the rows of `range`, a tile at a time.
    fn each<T: Float>(x: &Rows<T>, n: usize, range: Range<usize>, mut f: impl FnMut(&Tile)) {
        let mut tile = Tile { first: 0, rows: 0, channels: vec![[0.0; TILE]; n] };
        for first in range.clone().step_by(TILE) {
            (tile.first, tile.rows) = (first, TILE.min(range.end - first));
            for lane in 0..tile.rows {
                let row = &x.row(first + lane)[..n];
                tile.channels.iter_mut().zip(row).for_each(|(channel, x)| channel[lane] = x.to_f32());
            }
            f(&tile);
        }
    }
    /// `f(a)` of every row, for one head's weights.
    fn of_head(&self, w: &[f32], f: impl Fn(f32) -> f32) -> [f32; TILE] {
        simd::vectorize(
            #[inline(always)]
            || {
                let mut a = [0.0f32; TILE];
                for (channel, w) in self.channels.iter().zip(w) {
                    a.iter_mut().zip(channel).for_each(|(a, x)| *a += w * x);
                }
                a.iter_mut().for_each(|a| *a = f(*a));
                a
            },
        )
    }
    /// `da` of every row, head after head.
    fn slopes<T: Float>(
        &self,
        dg: &Rows<T>,
        w: &Rows<f32>,
        heads: usize,
        scale: f32,
        da: &mut [[f32; TILE]],
    ) {
        let scale = planted!("channel_gate.slope_without_scale", scale => 1.0);
        for (head, da) in da.iter_mut().enumerate().take(heads) {
            *da = self.of_head(
                w.row(head),
                #[inline(always)]
                |a| scale * slope(a),
            );
            (0..self.rows).for_each(|lane| da[lane] *= dg.row(self.first + lane)[head].to_f32());
        }
    }
}

/// The rows of a task.
fn task_rows(task: usize, rows: usize) -> Range<usize> {
    task * TILE * TILES..((task + 1) * TILE * TILES).min(rows)
}

fn forward<T: Float>(x: &View, w: &View, scale: f32, g: &mut ViewMut) -> Result<()> {
    const OP: &str = "channel_gate_fwd";
    let (rows, heads, n) = (x.layout().rows().0, w.dims()[0], w.dims()[1]);
    let (x, w) = (Rows::<T>::of(OP, "x", x)?, Rows::<f32>::of(OP, "w", w)?);
    let g = RowsMut::<T>::of(OP, "g", g)?;
    par::for_each_task(rows.div_ceil(TILE * TILES), |task| {
        Tile::each(&x, n, task_rows(task, rows), |tile| {
            for head in 0..heads {
                let gates = tile.of_head(
                    w.row(head),
                    #[inline(always)]
                    |a| scale * sigmoid(a),
                );
                for (lane, gate) in gates[..tile.rows].iter().enumerate() {
                    // SAFETY: each row belongs to one task.
                    unsafe { g.row(tile.first + lane)[head] = T::from_f32(*gate) };
                }
            }
        });
    });
    Ok(())
}

fn backward_x<T: Float>(
    dg: &View,
    x: &View,
    w: &View,
    scale: f32,
    dx: &mut ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_x";
    let (rows, heads, n) = (x.layout().rows().0, w.dims()[0], w.dims()[1]);
    let (dg, x, w) = (Rows::<T>::of(OP, "dg", dg)?, Rows::<T>::of(OP, "x", x)?, Rows::<f32>::of(OP, "w", w)?);
    let dx = RowsMut::<T>::of(OP, "dx", dx)?;
    par::for_each_task(rows.div_ceil(TILE * TILES), |task| {
        let (mut da, mut sums) = (vec![[0.0f32; TILE]; heads], vec![0.0f32; n]);
        Tile::each(&x, n, task_rows(task, rows), |tile| {
            tile.slopes(&dg, &w, heads, scale, &mut da);
            for lane in 0..tile.rows {
                // SAFETY: each row belongs to one task.
                let (first, rest) = unsafe { dx.row(tile.first + lane) }.split_at_mut(n);
                if !planted!("channel_gate.rest_not_cleared", accumulate => true) {
                    rest.fill(T::default());
                }
                simd::vectorize(
                    #[inline(always)]
                    || {
                        sums.fill(0.0);
                        for (head, da) in da.iter().enumerate() {
                            sums.iter_mut().zip(w.row(head)).for_each(|(sum, w)| *sum += da[lane] * w);
                        }
                        for (dx, sum) in first.iter_mut().zip(&sums) {
                            *dx = T::from_f32(if accumulate { dx.to_f32() + sum } else { *sum });
                        }
                    },
                );
            }
        });
    });
    Ok(())
}

fn backward_w<T: Float>(
    dg: &View,
    x: &View,
    w: &View,
    scale: f32,
    dw: &mut ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_w";
    let (rows, heads, n, layout) = (x.layout().rows().0, w.dims()[0], w.dims()[1], *dw.layout());
    let (dg, x, w) = (Rows::<T>::of(OP, "dg", dg)?, Rows::<T>::of(OP, "x", x)?, Rows::<f32>::of(OP, "w", w)?);
    let dw = host(OP, "dw", dw.base_mut::<f32>())?;
    if heads * n == 0 {
        return Ok(());
    }
    let parts = par::map_blocks(rows, TILE * TILES, |block| {
        let (mut da, mut sums) = (vec![[0.0f32; TILE]; heads], vec![0.0f64; heads * n]);
        Tile::each(&x, n, block, |tile| {
            tile.slopes(&dg, &w, heads, scale, &mut da);
            simd::vectorize(
                #[inline(always)]
                || {
                    for lane in 0..tile.rows {
                        let x = &x.row(tile.first + lane)[..n];
                        for (sums, da) in sums.chunks_exact_mut(n).zip(&da) {
                            let da = f64::from(da[lane]);
                            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += da * f64::from(x.to_f32()));
                        }
                    }
                },
            );
        });
        sums
    });
    for i in 0..heads * n {
        let dw = &mut dw[layout.position(i)];
        let old = if accumulate { f64::from(*dw) } else { 0.0 };
        *dw = (old + parts.iter().map(|sums| sums[i]).sum::<f64>()) as f32;
    }
    Ok(())
}
