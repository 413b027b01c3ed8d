//! Places of extreme elements on the CPU. Along dense rows: the extreme value of a block by vector code, and only where it
//! beats what came before a search for its place, which happens a few times per row. Across them: a band of neighbouring
//! columns is walked at once, each with its best value and place in a lane.

use super::{ArgOp, ArgReduce};
use crate::check::host;
use crate::elementwise::Source;
use crate::lines::Lines;
use crate::reduce::order::{BLOCK, Fold, Max, Min, block};
use crate::{Cpu, Result, View, ViewMut, par, planted, simd};

impl ArgReduce for Cpu {
    fn arg_reduce(&self, op: ArgOp, axis: usize, x: View, mut y: ViewMut) -> Result<()> {
        match op {
            ArgOp::Max => run::<Max>(axis, &x, &mut y, |new, old| new > old),
            ArgOp::Min => run::<Min>(axis, &x, &mut y, |new, old| new < old),
        }
    }
}

/// Columns walked at once.
const COLUMNS: usize = 64;

fn run<F: Fold<Acc = f32>>(
    axis: usize,
    x: &View,
    y: &mut ViewMut,
    beats: impl Fn(f32, f32) -> bool + Copy + Sync,
) -> Result<()> {
    const OP: &str = "arg_reduce";
    let (n, stride) = (x.dims()[axis], x.strides()[axis]);
    let lines = Lines::new([x.layout(), y.layout()], axis);
    let x = Source::of(OP, ("x", x))?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<i32>())?);
    // A later element must be better, or the first NaN.
    let wins = move |new: f32, old: f32| {
        let or_equal = planted!("arg_reduce.last_of_ties", false => new == old);
        !old.is_nan() && (beats(new, old) || or_equal || new.is_nan())
    };
    let store = |at: usize, place: i32| {
        // SAFETY: in bounds, and each result is written once, by the task that owns it.
        unsafe { *y.get().add(at) = place };
    };
    if stride == 1 || lines.step[0] != 1 {
        lines.for_each_band(
            1,
            n,
            || [0.0; BLOCK],
            |buffer, band| {
                let mut best = (f32::NAN, 0);
                for first in (0..n).step_by(BLOCK) {
                    let buffer = &mut buffer[..BLOCK.min(n - first)];
                    let x = x.load(band.at[0] + first * stride, stride, buffer);
                    let value = simd::vectorize(
                        #[inline(always)]
                        || block::<F, f32>(x),
                    );
                    if first == 0 || wins(value, best.0) {
                        let place = x.iter().position(|&x| x == value || x.is_nan());
                        best = (value, (first + place.unwrap_or(0)) as i32);
                    }
                }
                store(band.at[1], best.1);
            },
        );
        return Ok(());
    }
    lines.for_each_band(
        COLUMNS,
        n,
        || [[0.0; COLUMNS]; 2],
        |[buffer, best], band| {
            let mut places = [0; COLUMNS];
            let (best, places) = (&mut best[..band.width], &mut places[..band.width]);
            for j in 0..n {
                let x = x.load(band.at[0] + j * stride, 1, &mut buffer[..band.width]);
                simd::vectorize(
                    #[inline(always)]
                    || {
                        for ((x, best), place) in x.iter().zip(best.iter_mut()).zip(places.iter_mut()) {
                            let taken = j == 0 || wins(*x, *best);
                            *best = if taken { *x } else { *best };
                            *place = if taken { j as i32 } else { *place };
                        }
                    },
                );
            }
            places.iter().enumerate().for_each(|(l, &place)| store(band.at[1] + l * lines.step[1], place));
        },
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::arg_reduce::{ArgOp, arg_reduce};
    use crate::{Cpu, KernelError, View, ViewMut};

    #[test]
    fn the_first_of_equal_elements_wins_and_the_first_nan_before_all() {
        let nan = f32::NAN;
        let x = [1.0, 3.0, 3.0, -2.0, -2.0, 0.0, 7.0, nan, nan, -0.0, 0.0, -0.0];
        let place = |op, dims: &[usize], axis| {
            let mut y = vec![-1; 12 / dims[axis]];
            let kept: Vec<usize> =
                dims.iter().enumerate().map(|(a, &d)| if a == axis { 1 } else { d }).collect();
            let x = View::from_slice(&x, dims).unwrap();
            arg_reduce(&Cpu, op, axis, x, ViewMut::from_slice(&mut y, &kept).unwrap()).unwrap();
            y
        };
        assert_eq!(place(ArgOp::Max, &[4, 3], 1), [1, 2, 1, 0]);
        assert_eq!(place(ArgOp::Min, &[4, 3], 1), [0, 0, 1, 0]);
        assert_eq!(place(ArgOp::Max, &[4, 3], 0), [2, 2, 2]);
    }

    #[test]
    fn an_axis_without_elements_has_no_largest_one() {
        let (x, mut y) = (View::from_slice::<f32>(&[], &[2, 0]).unwrap(), [0; 2]);
        let y = ViewMut::from_slice(&mut y, &[2, 1]).unwrap();
        assert!(matches!(arg_reduce(&Cpu, ArgOp::Max, 1, x, y), Err(KernelError::Parameter { .. })));
    }
}
