//! Some queries meeting one block of cached positions: scores, weights, weighted sums.
//!
//! Each query's numbers come from one chain of operations that knows nothing of the others: four queries at a time have the
//! bits that each would have alone, but share what is loaded. Next to the diagonal they see different positions: those that all
//! see are met together, the others by each alone, in the order of positions.

use super::cpu::{BLOCK, Slots};
use crate::attention::lanes::{Lanes, Work};
use crate::fast_math::exp_flushed_f32;
use crate::{Float, simd};
use std::ops::Range;

/// A block's positions for Q queries; each sees its own `lanes`, and some are seen by all.
pub(super) struct Block<'a, T, const Q: usize> {
    pub q: [&'a [f32]; Q],
    pub k: &'a [T],
    pub v: &'a [T],
    pub slots: &'a Slots,
    /// The keys of the block after it, if they are to be asked for on the way.
    pub next: Option<&'a Slots>,
    pub lanes: [Range<usize>; Q],
    pub scale: f32,
    /// Of each query: the largest score so far, Σ exp relative to it, and D sums Σ exp·v.
    pub state: [&'a mut [f32]; Q],
}

/// The positions that all queries see, if there are any.
pub(super) fn common<const Q: usize>(lanes: &[Range<usize>; Q]) -> Option<Range<usize>> {
    let start = lanes.iter().map(|l| l.start).max()?;
    let end = lanes.iter().map(|l| l.end).min()?;
    (start < end).then_some(start..end)
}

impl<T: Float, const Q: usize> Work for Block<'_, T, Q> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let Some(common) = common(&self.lanes) else { return };
        let mut weights = [[f32::NEG_INFINITY; BLOCK]; Q];
        self.scores::<V, Q>(self.q, weights.each_mut(), common.clone());
        for (i, weights) in weights.iter_mut().enumerate() {
            for lanes in beside(&self.lanes[i], &common) {
                self.scores::<V, 1>([self.q[i]], [&mut *weights], lanes);
            }
        }
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
            next.k.iter().for_each(|&slot| ask(&self.k[slot..][..self.q[0].len()]));
        }
        // In the order of positions for each query; whoever comes first in it scales what was there.
        let (v, slots) = (self.v, self.slots);
        let first = std::array::from_fn::<_, Q, _>(|i| self.lanes[i].start == common.start);
        for i in 0..Q {
            let [before, _] = beside(&self.lanes[i], &common);
            if !first[i] {
                Sums { v, slots, lanes: before, weights: [&weights[i]], state: [&mut *self.state[i]] }
                    .add::<V>([decay[i]]);
                decay[i] = 1.0;
            }
        }
        let state = self.state.each_mut().map(|state| &mut **state);
        Sums { v, slots, lanes: common.clone(), weights: weights.each_ref(), state }.add::<V>(decay);
        for i in 0..Q {
            let [_, after] = beside(&self.lanes[i], &common);
            if !after.is_empty() {
                Sums { v, slots, lanes: after, weights: [&weights[i]], state: [&mut *self.state[i]] }
                    .add::<V>([1.0]);
            }
        }
    }
}

/// What lies before `common` in `lanes`, and after it.
fn beside(lanes: &Range<usize>, common: &Range<usize>) -> [Range<usize>; 2] {
    [lanes.start..common.start, common.end..lanes.end]
}

impl<T: Float, const Q: usize> Block<'_, T, Q> {
    /// `scale·q·k` of P queries and the positions `lanes`.
    #[inline(always)]
    fn scores<V: Lanes, const P: usize>(
        &self,
        q: [&[f32]; P],
        scores: [&mut [f32; BLOCK]; P],
        lanes: Range<usize>,
    ) {
        let d = q.first().map_or(0, |q| q.len());
        let key = |lane: usize| &self.k[self.slots.k[lane]..][..d];
        let fours = lanes.len() / 4 * 4;
        for lane in lanes.clone().take(fours).step_by(4) {
            if self.next.is_some() {
                (lane..lane + 4).for_each(|lane| ask(&self.v[self.slots.v[lane]..][..d]));
            }
            let dots = dots::<V, T, P, 4>(q, [0, 1, 2, 3].map(|i| key(lane + i)));
            for i in 0..P {
                (0..4).for_each(|j| scores[i][lane + j] = self.scale * dots[i][j]);
            }
        }
        for lane in lanes.skip(fours) {
            let dots = dots::<V, T, P, 1>(q, [key(lane)]);
            (0..P).for_each(|i| scores[i][lane] = self.scale * dots[i][0]);
        }
    }
}

/// The sums Σ exp·v of Q queries, to which the positions `lanes` are to be added.
struct Sums<'a, T, const Q: usize> {
    v: &'a [T],
    slots: &'a Slots,
    lanes: Range<usize>,
    weights: [&'a [f32; BLOCK]; Q],
    state: [&'a mut [f32]; Q],
}

impl<T: Float, const Q: usize> Sums<'_, T, Q> {
    /// `sums = decay·sums + Σ weight·v`.
    #[inline(always)]
    fn add<V: Lanes>(mut self, decay: [f32; Q]) {
        let (mut at, d) = (0, self.state[0].len() - 2);
        if Q == 1 {
            while at + 8 * V::WIDTH <= d {
                self.add_rows::<V, 8>(decay, at);
                at += 8 * V::WIDTH;
            }
        }
        while V::MANY && at + 4 * V::WIDTH <= d {
            self.add_rows::<V, 4>(decay, at);
            at += 4 * V::WIDTH;
        }
        while at + V::WIDTH <= d {
            self.add_rows::<V, 1>(decay, at);
            at += V::WIDTH;
        }
        for i in at..d {
            for ((state, decay), weights) in self.state.iter_mut().zip(decay).zip(self.weights) {
                let sum = &mut state[2 + i];
                *sum *= decay;
                self.lanes.clone().for_each(|l| *sum += weights[l] * self.v[self.slots.v[l] + i].to_f32());
            }
        }
    }

    /// N vectors of the sums from `at` on, which stay in registers while the positions pass by.
    #[inline(always)]
    fn add_rows<V: Lanes, const N: usize>(&mut self, decay: [f32; Q], at: usize) {
        // Loops over indices: what an iterator over `acc` leaves behind may keep it out of registers.
        let mut acc = [[V::splat(-0.0); N]; Q];
        for i in 0..Q {
            let sums = &self.state[i][2 + at..][..N * V::WIDTH];
            for j in 0..N {
                // SAFETY: N·WIDTH elements are there.
                let old = unsafe { V::load(sums.as_ptr().add(j * V::WIDTH)) };
                // To −0, so that a factor of 1 leaves every sum what it is.
                acc[i][j] = acc[i][j].add_product(old, V::splat(decay[i]));
            }
        }
        for lane in self.lanes.clone() {
            let row = &self.v[self.slots.v[lane] + at..][..N * V::WIDTH];
            // SAFETY: as above.
            let v: [V; N] = std::array::from_fn(|j| unsafe { V::load_wide(row.as_ptr().add(j * V::WIDTH)) });
            for i in 0..Q {
                let weight = V::splat(self.weights[i][lane]);
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

/// `x·y` for Q rows x and N (1 or 4) rows y, none of which waits for another: whole vectors in one accumulator for each, then the
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
    for i in 0..Q {
        let sums =
            if N == 4 { V::sums(std::array::from_fn(|j| acc[i][j % N])) } else { [acc[i][0].sum(); 4] };
        for j in 0..N {
            dots[i][j] = (at..n).fold(sums[j], |sum, l| sum + x[i][l] * y[j][l].to_f32());
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
