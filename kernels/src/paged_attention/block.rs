//! One query meeting one block of cached positions: scores, weights, weighted sum.

use super::cpu::{BLOCK, Slots};
use crate::attention::lanes::{Lanes, Work};
use crate::fast_math::exp_flushed_f32;
use crate::{Float, simd};
use std::ops::Range;

/// The positions `lanes` of a block, for one query.
pub(super) struct Block<'a, T> {
    pub q: &'a [f32],
    pub k: &'a [T],
    pub v: &'a [T],
    pub slots: &'a Slots,
    /// The keys of the block after it, if they are to be asked for on the way.
    pub next: Option<&'a Slots>,
    pub lanes: Range<usize>,
    pub scale: f32,
    /// The largest score so far, Σ exp relative to it, and D sums Σ exp·v.
    pub state: &'a mut [f32],
}

impl<T: Float> Work for Block<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let d = self.q.len();
        let [max, total, sums @ ..] = self.state else { return };
        let (mut weights, mut new_max) = ([f32::NEG_INFINITY; BLOCK], *max);
        let key = |lane: usize| &self.k[self.slots.k[lane]..][..d];
        let mut see = |lane: usize, dot: f32| {
            weights[lane] = self.scale * dot;
            new_max = if weights[lane] > new_max { weights[lane] } else { new_max };
        };
        let fours = self.lanes.len() / 4 * 4;
        for lane in self.lanes.clone().take(fours).step_by(4) {
            if self.next.is_some() {
                (lane..lane + 4).for_each(|lane| ask(&self.v[self.slots.v[lane]..][..d]));
            }
            let dots = dots::<V, T, 4>(self.q, [0, 1, 2, 3].map(|i| key(lane + i)));
            dots.into_iter().enumerate().for_each(|(i, dot)| see(lane + i, dot));
        }
        for lane in self.lanes.clone().skip(fours) {
            let [dot] = dots::<V, T, 1>(self.q, [key(lane)]);
            see(lane, dot);
        }
        // Nothing but −∞ so far: subtract nothing, so that −∞ − (−∞) does not make a NaN of a zero weight.
        let shift = if new_max == f32::NEG_INFINITY { 0.0 } else { new_max };
        for w in &mut weights {
            *w = exp_flushed_f32(*w - shift);
        }
        let decay = exp_flushed_f32(*max - shift);
        *max = new_max;
        *total = *total * decay + sum::<V>(&weights);
        if let Some(next) = self.next {
            next.k.iter().for_each(|&slot| ask(&self.k[slot..][..d]));
        }
        let rows = || self.lanes.clone().map(|lane| (weights[lane], &self.v[self.slots.v[lane]..][..d]));
        let mut at = 0;
        while at + 8 * V::WIDTH <= d {
            add_rows::<V, T, 8>(decay, rows(), at, &mut sums[at..]);
            at += 8 * V::WIDTH;
        }
        while at + V::WIDTH <= d {
            add_rows::<V, T, 1>(decay, rows(), at, &mut sums[at..]);
            at += V::WIDTH;
        }
        for i in at..d {
            sums[i] *= decay;
            rows().for_each(|(w, v)| sums[i] += w * v[i].to_f32());
        }
    }
}

/// Ask for a row that is needed soon: rows of one head are too far apart for the hardware to look ahead.
#[inline(always)]
fn ask<T>(row: &[T]) {
    simd::prefetch_row::<{ simd::SECOND }, _>(row.as_ptr(), row.len());
}

/// `x·y` for N rows y, none of which waits for another: whole vectors in one accumulator for each, then the rest one by one.
#[inline(always)]
fn dots<V: Lanes, T: Float, const N: usize>(x: &[f32], y: [&[T]; N]) -> [f32; N] {
    let (mut acc, mut at) = ([V::splat(0.0); N], 0);
    let n = y.iter().fold(x.len(), |n, y| n.min(y.len()));
    while at + V::WIDTH <= n {
        for j in 0..N {
            // SAFETY: `at + WIDTH` elements are there in both.
            let terms = unsafe { (V::load(x.as_ptr().add(at)), V::load_wide(y[j].as_ptr().add(at))) };
            acc[j] = acc[j].add_product(terms.0, terms.1);
        }
        at += V::WIDTH;
    }
    let mut dots = [0.0; N];
    for j in 0..N {
        dots[j] = (at..n).fold(acc[j].sum(), |sum, i| sum + x[i] * y[j][i].to_f32());
    }
    dots
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

/// `sums = decay·sums + Σ weight·row[at..]`, N vectors of it, which stay in registers while the rows pass by.
#[inline(always)]
fn add_rows<'a, V: Lanes, T: Float, const N: usize>(
    decay: f32,
    rows: impl Iterator<Item = (f32, &'a [T])>,
    at: usize,
    sums: &mut [f32],
) {
    let mut acc = [V::splat(0.0); N];
    let sums = &mut sums[..N * V::WIDTH];
    for j in 0..N {
        // SAFETY: N·WIDTH elements are there.
        let old = unsafe { V::load(sums.as_ptr().add(j * V::WIDTH)) };
        acc[j] = acc[j].add_product(old, V::splat(decay));
    }
    for (weight, row) in rows {
        let row = &row[at..at + N * V::WIDTH];
        for j in 0..N {
            // SAFETY: as above.
            let v = unsafe { V::load_wide(row.as_ptr().add(j * V::WIDTH)) };
            acc[j] = acc[j].add_product(V::splat(weight), v);
        }
    }
    for j in 0..N {
        // SAFETY: as above.
        unsafe { acc[j].store(sums.as_mut_ptr().add(j * V::WIDTH)) };
    }
}
