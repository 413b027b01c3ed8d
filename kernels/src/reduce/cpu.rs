//! Reductions on the CPU.
//!
//! Axes of the input are sorted into kept and reduced ones. Three ways to meet the terms of a result, all in the order of
//! `order.rs`: dense rows (the innermost reduced axis has stride 1), columns (a kept axis has stride 1: 64 neighbouring
//! results at a time, so that whole cache lines are used), and gathering a block of scattered terms first. Long reductions
//! are cut into parts of [`PART`] terms that threads share.

use super::order::{self, BLOCK, Fold, LANES, Max, Min, Pairwise, SumSquares, Wide, WideSum, block};
use super::{Reduce, ReduceOp};
use crate::check::host;
use crate::elementwise::Source;
use crate::view::MAX_RANK;
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, simd};
use std::ops::Range;

impl Reduce for Cpu {
    fn reduce(&self, op: ReduceOp, x: View, mut y: ViewMut) -> Result<()> {
        match y.dtype() {
            DType::Bf16 => run::<Bf16>(op, &x, &mut y),
            _ => run::<f32>(op, &x, &mut y),
        }
    }
}

fn run<Y: Float>(op: ReduceOp, x: &View, y: &mut ViewMut) -> Result<()> {
    let layout = *y.layout();
    let y = par::SharedPtr::new(host("reduce", "y", y.base_mut::<Y>())?);
    let store = |result: usize, value: f64| {
        // SAFETY: in bounds, and each result is written once, by the task that owns it.
        unsafe { *y.get().add(layout.position(result)) = Y::from_f64(value) };
    };
    match op {
        ReduceOp::Sum => reduce::<WideSum>(x, layout.dims(), &store),
        ReduceOp::Max => reduce::<Max>(x, layout.dims(), &store),
        ReduceOp::Min => reduce::<Min>(x, layout.dims(), &store),
        ReduceOp::SumSquares => reduce::<SumSquares>(x, layout.dims(), &store),
    }
}

/// Called with every result, once, from any thread.
type Store<'a> = &'a (dyn Fn(usize, f64) + Sync);

/// Terms that one task folds: 64 blocks, a subtree of the tree over blocks.
const PART: usize = 64 * BLOCK;
/// Neighbouring results folded together in the column path.
const COLUMNS: usize = 64;

/// Some axes of the input, walked in row-major order.
#[derive(Clone, Copy)]
struct Axes {
    dims: [usize; MAX_RANK],
    strides: [usize; MAX_RANK],
    rank: usize,
    numel: usize,
}

impl Axes {
    /// The axes of `x` for which `wanted` holds; neighbours that make one line of memory are merged.
    fn of(x: &Layout, wanted: impl Fn(usize) -> bool) -> Axes {
        let mut axes = Axes { dims: [1; MAX_RANK], strides: [0; MAX_RANK], rank: 0, numel: 1 };
        for axis in (0..x.rank()).filter(|&axis| wanted(axis)) {
            let (dim, stride) = (x.dims()[axis], x.strides()[axis]);
            axes.numel *= dim;
            if axes.rank > 0 && axes.strides[axes.rank - 1] == dim * stride {
                axes.dims[axes.rank - 1] *= dim;
                axes.strides[axes.rank - 1] = stride;
            } else if dim != 1 {
                (axes.dims[axes.rank], axes.strides[axes.rank]) = (dim, stride);
                axes.rank += 1;
            }
        }
        axes.rank = axes.rank.max(1); // of no axes: one axis of one element
        axes
    }
    fn position(&self, mut index: usize) -> usize {
        let mut at = 0;
        for axis in (0..self.rank).rev() {
            at += index % self.dims[axis] * self.strides[axis];
            index /= self.dims[axis];
        }
        at
    }
    /// Are they one line of neighbours in memory?
    fn dense(&self) -> bool {
        self.rank == 1 && self.strides[0] == 1
    }
    /// Call `f(index, position, length)` for pieces of the innermost axis that make up `range`.
    fn for_each_run(&self, range: Range<usize>, mut f: impl FnMut(usize, usize, usize)) {
        let inner = self.dims[self.rank - 1];
        let mut index = range.start;
        while index < range.end {
            let n = (inner - index % inner).min(range.end - index);
            f(index, self.position(index), n);
            index += n;
        }
    }
}

fn reduce<F: Fold>(x: &View, dims: &[usize], store: Store) -> Result<()> {
    let reduced = Axes::of(x.layout(), |axis| x.dims()[axis] != dims[axis]);
    let kept = Axes::of(x.layout(), |axis| x.dims()[axis] == dims[axis]);
    let (offset, x) = (x.layout().offset(), Source::of("reduce", ("x", x))?);
    let inner = |axes: &Axes| axes.strides[axes.rank - 1];
    if inner(&reduced) > 1 && inner(&kept) == 1 && kept.numel > 1 {
        columns::<F>(x, offset, &kept, &reduced, store);
        return Ok(());
    }
    let per_task = par::rows_per_task(reduced.numel);
    par::for_each_task(kept.numel.div_ceil(per_task), |task| {
        let mut buffer = [0.0; BLOCK];
        for result in task * per_task..((task + 1) * per_task).min(kept.numel) {
            let first = offset + kept.position(result);
            if reduced.numel <= PART {
                store(result, F::finish(part::<F>(x, first, &reduced, 0..reduced.numel, &mut buffer)));
                continue;
            }
            let parts = par::map_blocks(reduced.numel, PART, |range| {
                part::<F>(x, first, &reduced, range, &mut [0.0; BLOCK])
            });
            let mut tree = Pairwise::<F>::NEW;
            parts.iter().for_each(|acc| tree.push(acc));
            store(result, F::finish(*tree.finish()));
        }
    });
    Ok(())
}

/// Terms `range` of the result that begins at `first`.
fn part<F: Fold>(
    x: Source,
    first: usize,
    reduced: &Axes,
    range: Range<usize>,
    buffer: &mut [f32; BLOCK],
) -> F::Acc {
    let mut tree = Pairwise::<F>::NEW;
    for start in range.clone().step_by(BLOCK) {
        let range = start..range.end.min(start + BLOCK);
        let at = first + range.start;
        tree.push(&match (x, reduced.dense()) {
            (Source::F32(x), true) => one_block::<F, f32>(&x[at..][..range.len()]),
            (Source::Bf16(x), true) => one_block::<F, Bf16>(&x[at..][..range.len()]),
            _ => one_block::<F, f32>(gather(x, first, reduced, range, buffer)),
        });
    }
    *tree.finish()
}

fn one_block<F: Fold, T: Float>(terms: &[T]) -> F::Acc {
    simd::vectorize(
        #[inline(always)]
        || block::<F, T>(terms),
    )
}

/// Terms `range`, collected in the buffer.
fn gather<'a>(
    x: Source,
    first: usize,
    reduced: &Axes,
    range: Range<usize>,
    buffer: &'a mut [f32; BLOCK],
) -> &'a [f32] {
    let (step, buffer) = (reduced.strides[reduced.rank - 1], &mut buffer[..range.len()]);
    reduced.for_each_run(range.clone(), |index, at, n| {
        x.load_into(first + at, step, &mut buffer[index - range.start..][..n]);
    });
    buffer
}

/// Partial results of neighbouring columns.
type Columns<F> = Wide<F, COLUMNS>;

/// Results that are neighbours in memory, up to 64 at a time.
fn columns<F: Fold>(x: Source, offset: usize, kept: &Axes, reduced: &Axes, store: Store) {
    let across = kept.dims[kept.rank - 1];
    let bands = across.div_ceil(COLUMNS);
    par::for_each_task(kept.numel / across.max(1) * bands, |task| {
        let first = task / bands * across + task % bands * COLUMNS;
        let width = COLUMNS.min(across - task % bands * COLUMNS);
        let at = offset + kept.position(first);
        let mut tree = Pairwise::<Columns<F>>::NEW;
        let part = |range: Range<usize>| {
            let mut tree = Pairwise::<Columns<F>>::NEW;
            for start in range.clone().step_by(BLOCK) {
                let mut lanes = [[F::EMPTY; COLUMNS]; LANES];
                let range = start..range.end.min(start + BLOCK);
                match x {
                    Source::F32(x) => column_block::<F, f32>(x, at, width, reduced, range, &mut lanes),
                    Source::Bf16(x) => column_block::<F, Bf16>(x, at, width, reduced, range, &mut lanes),
                }
                tree.push(&lanes[0]);
            }
            *tree.finish()
        };
        par::map_blocks(reduced.numel, PART, part).into_iter().for_each(|acc| tree.push(&acc));
        for (column, acc) in tree.finish()[..width].iter().enumerate() {
            store(first + column, F::finish(*acc));
        }
    });
}

/// One block of terms for `width` columns; the result is left in `lanes[0]`.
fn column_block<F: Fold, X: Float>(
    x: &[X],
    first: usize,
    width: usize,
    reduced: &Axes,
    range: Range<usize>,
    lanes: &mut [[F::Acc; COLUMNS]; LANES],
) {
    let step = reduced.strides[reduced.rank - 1];
    reduced.for_each_run(range.clone(), |index, at, n| {
        simd::vectorize(
            #[inline(always)]
            || {
                for i in 0..n {
                    let lane = &mut lanes[(index - range.start + i) % LANES][..width];
                    let x = &x[first + at + i * step..][..width];
                    lane.iter_mut().zip(x).for_each(|(acc, x)| *acc = F::add(*acc, x.to_f32()));
                }
            },
        );
    });
    order::tree::<Columns<F>>(lanes);
}

#[cfg(test)]
mod tests {
    use crate::philox::Philox;
    use crate::reduce::{ReduceOp, reduce};
    use crate::{Cpu, Layout, View, ViewMut, par};

    const OPS: [ReduceOp; 4] = [ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min, ReduceOp::SumSquares];

    fn bits(op: ReduceOp, x: View, dims: &[usize]) -> Vec<u32> {
        let mut y = vec![f32::NAN; dims.iter().product()];
        reduce(&Cpu, op, x, ViewMut::from_slice(&mut y, dims).unwrap()).unwrap();
        y.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn rows_columns_and_gathered_terms_are_summed_in_the_same_order() {
        for (n, c) in [(9000, 70), (140_000, 3), (31, 5)] {
            let mut rng = Philox::new(1, 0);
            let table: Vec<f32> = (0..n * c).map(|_| rng.normal() as f32).collect(); // (n, c)
            let turned: Vec<f32> = (0..n * c).map(|i| table[i % n * c + i / n]).collect(); // (c, n)
            let apart: Vec<f32> = table.iter().flat_map(|&v| [v, f32::NAN]).collect(); // (n, c, 2), half unused
            let spread = Layout::strided(&[n, c], &[2 * c, 2], 0).unwrap();
            for op in OPS {
                let columns = bits(op, View::from_slice(&table, &[n, c]).unwrap(), &[1, c]);
                let rows = bits(op, View::from_slice(&turned, &[c, n]).unwrap(), &[c, 1]);
                let gathered = bits(op, View::from_slice_strided(&apart, spread).unwrap(), &[1, c]);
                assert_eq!((&columns, &columns), (&rows, &gathered));
                let alone = bits(op, View::from_slice(&turned[..n], &[n]).unwrap(), &[1]);
                assert_eq!(alone[0], columns[0]);
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let mut rng = Philox::new(2, 0);
        let x: Vec<f32> = (0..300_000).map(|_| rng.normal() as f32).collect();
        for op in OPS {
            for (dims, to) in [([1, 300_000], [1, 1]), ([300, 1000], [300, 1]), ([3000, 100], [1, 100])] {
                let view = View::from_slice(&x, &dims).unwrap();
                let one = par::with_threads(1, || bits(op, view, &to));
                assert_eq!(one, par::with_threads(3, || bits(op, view, &to)));
            }
        }
    }

    #[test]
    fn empty_sums_are_zero_and_empty_extremes_the_infinities() {
        let none = View::from_slice::<f32>(&[], &[2, 0]).unwrap();
        assert_eq!(bits(ReduceOp::Sum, none, &[2, 1]), [0; 2]);
        assert_eq!(bits(ReduceOp::SumSquares, none, &[2, 1]), [0; 2]);
        assert_eq!(bits(ReduceOp::Max, none, &[2, 1]), [f32::NEG_INFINITY.to_bits(); 2]);
        assert_eq!(bits(ReduceOp::Min, none, &[2, 1]), [f32::INFINITY.to_bits(); 2]);
    }

    #[test]
    fn one_nan_anywhere_makes_the_result_nan() {
        for n in [1, 7, 33, 5000] {
            for at in [0, n / 2, n - 1] {
                let mut x = vec![1.0f32; n];
                x[at] = f32::NAN;
                for op in OPS {
                    assert!(f32::from_bits(bits(op, View::from_slice(&x, &[n]).unwrap(), &[1])[0]).is_nan());
                }
            }
        }
    }
}
