//! Some queries meeting one block of cached positions: scores, weights, weighted sums.
//!
//! Each query's numbers come from one chain of operations that knows nothing of the others: four queries at a time have the
//! bits that each would have alone, but share what is loaded.

use super::cpu::{BLOCK, Slots};
use crate::attention::lanes::{Lanes, Work};
use crate::fast_math::exp_flushed_f32;
use crate::{Float, simd};
use std::ops::Range;

/// The positions `lanes` of a block, for Q queries that all see them.
pub(super) struct Block<'a, T, const Q: usize> {
    pub q: [&'a [f32]; Q],
    pub k: &'a [T],
    pub v: &'a [T],
    pub slots: &'a Slots,
    /// The keys of the block after it, if they are to be asked for on the way.
    pub next: Option<&'a Slots>,
    pub lanes: Range<usize>,
    pub scale: f32,
    /// Of each query: the largest score so far, Σ exp relative to it, and D sums Σ exp·v.
    pub state: [&'a mut [f32]; Q],
}

impl<T: Float, const Q: usize> Work for Block<'_, T, Q> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let d = self.q[0].len();
        let mut weights = [[f32::NEG_INFINITY; BLOCK]; Q];
        self.scores::<V>(&mut weights);
        let mut decay = [0.0; Q];
        for i in 0..Q {
            let [max, total, ..] = self.state[i] else { return };
            let weights = &mut weights[i];
            let new_max = largest(*max, weights);
            // Nothing but −∞ so far: subtract nothing, so that −∞ − (−∞) does not make a NaN of a zero weight.
            let shift = if new_max == f32::NEG_INFINITY { 0.0 } else { new_max };
            for w in weights.iter_mut() {
                *w = exp_flushed_f32(*w - shift);
            }
            decay[i] = exp_flushed_f32(*max - shift);
            *max = new_max;
            *total = *total * decay[i] + sum::<V>(weights);
        }
        if let Some(next) = self.next {
            next.k.iter().for_each(|&slot| ask(&self.k[slot..][..d]));
        }
        let mut at = 0;
        if Q == 1 {
            while at + 8 * V::WIDTH <= d {
                self.add_rows::<V, 8>(decay, &weights, at);
                at += 8 * V::WIDTH;
            }
        }
        while V::MANY && at + 4 * V::WIDTH <= d {
            self.add_rows::<V, 4>(decay, &weights, at);
            at += 4 * V::WIDTH;
        }
        while at + V::WIDTH <= d {
            self.add_rows::<V, 1>(decay, &weights, at);
            at += V::WIDTH;
        }
        for i in at..d {
            for ((state, decay), weights) in self.state.iter_mut().zip(decay).zip(&weights) {
                let sum = &mut state[2 + i];
                *sum *= decay;
                self.lanes.clone().for_each(|l| *sum += weights[l] * self.v[self.slots.v[l] + i].to_f32());
            }
        }
    }
}

impl<T: Float, const Q: usize> Block<'_, T, Q> {
    /// `scale·q·k` of the positions in sight.
    #[inline(always)]
    fn scores<V: Lanes>(&self, scores: &mut [[f32; BLOCK]; Q]) {
        let d = self.q[0].len();
        let key = |lane: usize| &self.k[self.slots.k[lane]..][..d];
        let fours = self.lanes.len() / 4 * 4;
        for lane in self.lanes.clone().take(fours).step_by(4) {
            if self.next.is_some() {
                (lane..lane + 4).for_each(|lane| ask(&self.v[self.slots.v[lane]..][..d]));
            }
            let dots = dots::<V, T, Q, 4>(self.q, [0, 1, 2, 3].map(|i| key(lane + i)));
            for (scores, dots) in scores.iter_mut().zip(dots) {
                (0..4).for_each(|i| scores[lane + i] = self.scale * dots[i]);
            }
        }
        for lane in self.lanes.clone().skip(fours) {
            let dots = dots::<V, T, Q, 1>(self.q, [key(lane)]);
            scores.iter_mut().zip(dots).for_each(|(scores, [dot])| scores[lane] = self.scale * dot);
        }
    }

    /// `sums = decay·sums + Σ weight·v[at..]`, N vectors of it, which stay in registers while the positions pass by.
    #[inline(always)]
    fn add_rows<V: Lanes, const N: usize>(
        &mut self,
        decay: [f32; Q],
        weights: &[[f32; BLOCK]; Q],
        at: usize,
    ) {
        // Loops over indices: what an iterator over `acc` leaves behind may keep it out of registers.
        let mut acc = [[V::splat(0.0); N]; Q];
        for i in 0..Q {
            let sums = &self.state[i][2 + at..][..N * V::WIDTH];
            for j in 0..N {
                // SAFETY: N·WIDTH elements are there.
                let old = unsafe { V::load(sums.as_ptr().add(j * V::WIDTH)) };
                acc[i][j] = acc[i][j].add_product(old, V::splat(decay[i]));
            }
        }
        for lane in self.lanes.clone() {
            let row = &self.v[self.slots.v[lane] + at..][..N * V::WIDTH];
            // SAFETY: as above.
            let v: [V; N] = std::array::from_fn(|j| unsafe { V::load_wide(row.as_ptr().add(j * V::WIDTH)) });
            for i in 0..Q {
                let weight = V::splat(weights[i][lane]);
                for j in 0..N {
                    acc[i][j] = acc[i][j].add_product(weight, v[j]);
                }
            }
        }
        for i in 0..Q {
            let sums = &mut self.state[i][2 + at..][..N * V::WIDTH];
            for j in 0..N {
                // SAFETY: as above.
                unsafe { acc[i][j].store(sums.as_mut_ptr().add(j * V::WIDTH)) };
            }
        }
    }
}

/// Ask for a row that is needed soon: rows of one head are too far apart for the hardware to look ahead.
#[inline(always)]
fn ask<T>(row: &[T]) {
    simd::prefetch_row::<{ simd::SECOND }, _>(row.as_ptr(), row.len());
}

/// `x·y` for Q rows x and N rows y, none of which waits for another: whole vectors in one accumulator for each, then the
/// rest one by one.
#[inline(always)]
fn dots<V: Lanes, T: Float, const Q: usize, const N: usize>(x: [&[f32]; Q], y: [&[T]; N]) -> [[f32; N]; Q] {
    let (mut acc, mut at) = ([[V::splat(0.0); N]; Q], 0);
    let n = y.iter().map(|y| y.len()).chain(x.iter().map(|x| x.len())).min().unwrap_or(0);
    while at + V::WIDTH <= n {
        // SAFETY: `at + WIDTH` elements are there in all of them.
        let rows: [V; N] = std::array::from_fn(|j| unsafe { V::load_wide(y[j].as_ptr().add(at)) });
        for i in 0..Q {
            // SAFETY: as above.
            let x = unsafe { V::load(x[i].as_ptr().add(at)) };
            (0..N).for_each(|j| acc[i][j] = acc[i][j].add_product(x, rows[j]));
        }
        at += V::WIDTH;
    }
    let mut dots = [[0.0; N]; Q];
    for (i, dots) in dots.iter_mut().enumerate() {
        for (j, dot) in dots.iter_mut().enumerate() {
            *dot = (at..n).fold(acc[i][j].sum(), |sum, l| sum + x[i][l] * y[j][l].to_f32());
        }
    }
    dots
}

/// The largest of `max` and all numbers in `x`; NaN counts as small.
#[inline(always)]
fn largest(max: f32, x: &[f32; BLOCK]) -> f32 {
    let larger = |max: f32, x: f32| if x > max { x } else { max };
    let (mut lanes, (x, _)) = ([max; 16], x.as_chunks::<16>());
    for x in x {
        (0..16).for_each(|i| lanes[i] = larger(lanes[i], x[i]));
    }
    lanes.into_iter().fold(max, larger)
}

#[inline(always)]
fn sum<V: Lanes>(x: &[f32; BLOCK]) -> f32 {
    let mut acc = V::splat(0.0);
    for at in (0..BLOCK).step_by(V::WIDTH) {
        // SAFETY: BLOCK is a multiple of every WIDTH.
        acc = unsafe { acc.add_product(V::load(x.as_ptr().add(at)), V::splat(1.0)) };
    }
    acc.sum()
}
