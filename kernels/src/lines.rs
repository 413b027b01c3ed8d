//! The loop of kernels that walk along one axis: running sums, scattered sums, places of maxima.
//!
//! A *line* is what one gets by moving along the axis with all other indices fixed. Lines are independent, so they are what
//! is spread over the threads; along a line there is an order to keep. Lines that are neighbours (along the densest of the
//! other axes) are walked together, as a *band*: where they lie side by side in memory, a step along the axis is then a short
//! row of a matrix and vector code; where they do not, several chains of dependent additions still run at the same time.
//! Read next: `cumsum/cpu.rs`.

use crate::view::MAX_RANK;
use crate::{Layout, par};

/// Lines along one axis of `N` views that agree in all other dimensions.
pub(crate) struct Lines<const N: usize> {
    /// Sizes and strides of the axes that are neither walked nor across a band.
    dims: [usize; MAX_RANK],
    strides: [[usize; N]; MAX_RANK],
    offset: [usize; N],
    /// Lines that can be neighbours, and their distance in each view.
    across: usize,
    pub step: [usize; N],
}

/// Some neighbouring lines: positions of the first element of the first one, in each view, and how many they are.
#[derive(Clone, Copy)]
pub(crate) struct Band<const N: usize> {
    pub at: [usize; N],
    pub width: usize,
}

impl<const N: usize> Lines<N> {
    /// The lines along `axis`; which lines are neighbours goes by the first view.
    pub fn new(layouts: [&Layout; N], axis: usize) -> Self {
        let first = layouts[0];
        let others = (0..first.rank()).filter(|&a| a != axis && first.dims()[a] != 1);
        let dense = others.clone().min_by_key(|&a| (first.strides()[a] == 0, first.strides()[a]));
        let mut lines = Lines {
            dims: [1; MAX_RANK],
            strides: [[0; N]; MAX_RANK],
            offset: layouts.map(|l| l.offset()),
            across: dense.map_or(1, |a| first.dims()[a]),
            step: dense.map_or([0; N], |a| layouts.map(|l| l.strides()[a])),
        };
        for (place, other) in others.filter(|&a| Some(a) != dense).enumerate() {
            lines.dims[place] = first.dims()[other];
            lines.strides[place] = layouts.map(|l| l.strides()[other]);
        }
        lines
    }

    /// Call `body` for bands of at most `width` lines of about `len` elements, together all lines, in parallel, with scratch
    /// memory made once per task.
    pub fn for_each_band<S>(
        &self,
        width: usize,
        len: usize,
        scratch: impl Fn() -> S + Sync,
        body: impl Fn(&mut S, Band<N>) + Sync,
    ) {
        let per_row = self.across.div_ceil(width);
        let bands = per_row * self.dims.iter().product::<usize>();
        let per_task = par::rows_per_task(len * width.min(self.across));
        par::for_each_task(bands.div_ceil(per_task), |task| {
            let mut scratch = scratch();
            for band in task * per_task..((task + 1) * per_task).min(bands) {
                let (mut rest, first) = (band / per_row, band % per_row * width);
                let mut at: [usize; N] = std::array::from_fn(|v| self.offset[v] + first * self.step[v]);
                for axis in (0..MAX_RANK).rev() {
                    let index = rest % self.dims[axis];
                    rest /= self.dims[axis];
                    (0..N).for_each(|v| at[v] += index * self.strides[axis][v]);
                }
                body(&mut scratch, Band { at, width: width.min(self.across - first) });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_line_is_in_one_band_whatever_the_axis() {
        let layout = Layout::strided(&[3, 7, 5], &[1, 15, 3], 2).unwrap();
        for axis in 0..3 {
            let (seen, lines) = (Mutex::new(Vec::new()), Lines::new([&layout], axis));
            lines.for_each_band(
                4,
                1,
                || (),
                |_, band| {
                    assert!((1..=4).contains(&band.width));
                    let starts = (0..band.width).map(|l| band.at[0] + l * lines.step[0]);
                    seen.lock().unwrap().extend(starts);
                },
            );
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            let (dims, strides) = (layout.dims(), layout.strides());
            let starts = (0..105).filter(|i| [i / 35, i / 5 % 7, i % 5][axis] == 0);
            let mut want: Vec<usize> = starts.map(|i| layout.position(i)).collect();
            want.sort_unstable();
            assert_eq!(seen, want, "{axis} {dims:?} {strides:?}");
        }
    }
}
