//! The loop that all elementwise CPU kernels share.
//!
//! Several views of one shape are walked together. Axes that are adjacent in all of them are merged and the output's
//! densest axis becomes the innermost, so contiguous tensors of any rank are one long run, and a transposed output is
//! written in the order of its memory. A run is a piece of the innermost axis: a start and a step for each view. Runs are
//! spread over the threads; elementwise results do not depend on how. Read next: [`crate::elementwise`], `copy/cpu.rs`.

use crate::par::{self, SharedPtr};
use crate::view::MAX_RANK;
use crate::{Layout, planted};

/// A piece of the innermost axis: in view `i`, elements `at[i] + j·step[i]` for `j` in `0..len`.
#[derive(Clone, Copy)]
pub(crate) struct Run<const N: usize> {
    pub at: [usize; N],
    pub step: [usize; N],
    pub len: usize,
}

/// Merged and reordered axes of `N` views of one shape; view 0 is the output.
pub(crate) struct Runs<const N: usize> {
    /// Sizes; the last axis is the innermost. At least one axis.
    dims: [usize; MAX_RANK],
    strides: [[usize; N]; MAX_RANK],
    rank: usize,
    offset: [usize; N],
}

/// Longest run.
const RUN: usize = 16384;
/// Longest run where a view strides across its dense axis.
const TILE: usize = 32;

impl<const N: usize> Runs<N> {
    /// Of views that all have the dims of the first.
    pub fn new(layouts: [&Layout; N]) -> Self {
        let out = layouts[0];
        let mut axes: Vec<usize> = (0..out.rank()).filter(|&a| out.dims()[a] != 1).collect();
        axes.sort_by_key(|&a| std::cmp::Reverse(out.strides()[a]));
        let mut runs = Runs {
            dims: [1; MAX_RANK],
            strides: [[0; N]; MAX_RANK],
            rank: 0,
            offset: layouts.map(|l| l.offset()),
        };
        for axis in axes {
            let (dim, strides) = (out.dims()[axis], layouts.map(|l| l.strides()[axis]));
            let mut views = planted!("runs.merges_axes_of_the_output_alone", 0..N => 0..1);
            let merges = runs.rank > 0 && views.all(|v| runs.strides[runs.rank - 1][v] == dim * strides[v]);
            if merges {
                runs.dims[runs.rank - 1] *= dim;
                runs.strides[runs.rank - 1] = strides;
            } else {
                (runs.dims[runs.rank], runs.strides[runs.rank]) = (dim, strides);
                runs.rank += 1;
            }
        }
        if runs.rank == 0 {
            (runs.rank, runs.strides[0]) = (1, [1; N]); // one element: a run of length 1
        }
        runs
    }

    /// Sizes of the merged axes, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Strides of the merged axes, outermost first, for each view.
    pub fn strides(&self) -> &[[usize; N]] {
        &self.strides[..self.rank]
    }

    /// The same with `axis` moved next to the innermost one.
    pub fn with_axis_second_last(&self, axis: usize) -> Self {
        let mut runs = Runs { ..*self };
        runs.dims[axis..self.rank - 1].rotate_left(1);
        runs.strides[axis..self.rank - 1].rotate_left(1);
        runs
    }

    /// Positions of the first element of row `row`.
    pub fn start(&self, mut row: usize) -> [usize; N] {
        let mut at = self.offset;
        for axis in (0..self.rank - 1).rev() {
            let index = row % self.dims[axis];
            row /= self.dims[axis];
            (0..N).for_each(|v| at[v] += index * self.strides[axis][v]);
        }
        at
    }

    /// Call `body` for runs that together cover everything once, in parallel.
    pub fn for_each(&self, body: impl Fn(Run<N>) + Sync + Send) {
        self.for_each_with(|| (), |_, run| body(run));
    }

    /// The same, with scratch memory made once per task.
    pub fn for_each_with<S>(&self, scratch: impl Fn() -> S + Sync, body: impl Fn(&mut S, Run<N>) + Sync) {
        let (runs, rows, longest) = match self.axis_to_tile() {
            Some(axis) => (&self.with_axis_second_last(axis), self.dims[axis], TILE),
            None => (self, 1, RUN),
        };
        let (lead, len) = (runs.dims[..runs.rank - 1].iter().product::<usize>(), runs.dims[runs.rank - 1]);
        let step = runs.strides[runs.rank - 1];
        if lead * len == 0 {
            return;
        }
        let columns = len.div_ceil(longest);
        let (pieces, per_task) = (lead * columns, par::rows_per_task(len.min(longest)));
        par::for_each_task(pieces.div_ceil(per_task), |task| {
            let mut scratch = scratch();
            for piece in task * per_task..((task + 1) * per_task).min(pieces) {
                let (row, column, lead) = (piece % rows, piece / rows % columns, piece / rows / columns);
                let (at, first) = (runs.start(lead * rows + row), column * longest);
                let at = std::array::from_fn(|v| at[v] + first * step[v]);
                body(&mut scratch, Run { at, step, len: longest.min(len - first) });
            }
        });
    }

    /// An axis along which some view is dense that strides along the innermost one. Then runs are short and follow each
    /// other along that axis, so that the cache lines fetched for one run serve the next ones.
    fn axis_to_tile(&self) -> Option<usize> {
        let inner = self.rank - 1;
        let strided = (0..N).filter(|&v| self.strides[inner][v] > 1);
        strided.flat_map(|v| (0..inner).find(|&axis| self.strides[axis][v] == 1)).next()
    }
}

/// Elements of a run that are read: `buffer.len()` of them from `at` on, `step` apart; in place where they are dense, else
/// copied into the buffer.
pub(crate) fn piece<'p, T: Copy>(data: &'p [T], at: usize, step: usize, buffer: &'p mut [T]) -> &'p [T] {
    match step {
        1 => return &data[at..][..buffer.len()],
        0 => buffer.fill(data[at]),
        _ => buffer.iter_mut().enumerate().for_each(|(i, to)| *to = data[at + i * step]),
    }
    buffer
}

/// Elements of a run that `f` writes, all of them: in place where they are dense, else from the buffer.
///
/// # Safety
/// `buffer.len()` elements from `at` on, `step` apart, are in bounds, and nobody else has access to the range they span.
pub(crate) unsafe fn write_piece<T: Copy>(
    data: SharedPtr<T>,
    at: usize,
    step: usize,
    buffer: &mut [T],
    f: impl FnOnce(&mut [T]),
) {
    // SAFETY: the caller's promise.
    let to = unsafe { std::slice::from_raw_parts_mut(data.get().add(at), (buffer.len() - 1) * step + 1) };
    if step == 1 {
        return f(to);
    }
    f(buffer);
    to.iter_mut().step_by(step).zip(buffer).for_each(|(to, v)| *to = *v);
}
