//! Comparison on the CPU: chunks are widened to f32 as in [`crate::elementwise`], one vector comparison per lane.
//! Bound by memory bandwidth.

use super::{Compare, CompareOp};
use crate::check::host;
use crate::elementwise::Source;
use crate::runs::{Runs, write_piece};
use crate::{Cpu, Result, View, ViewMut, par, planted, simd};

impl Compare for Cpu {
    fn compare(&self, op: CompareOp, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let y = &mut y;
        match op {
            CompareOp::Lt => run(&a, &b, y, |a, b| a < b),
            CompareOp::Le => {
                run(&a, &b, y, |a, b| planted!("compare.nan_is_below", a <= b => a <= b || a.is_nan()))
            }
            CompareOp::Gt => run(&a, &b, y, |a, b| a > b),
            CompareOp::Ge => run(&a, &b, y, |a, b| a >= b),
            CompareOp::Eq => run(&a, &b, y, |a, b| a == b),
            CompareOp::Ne => run(&a, &b, y, |a, b| a != b),
        }
    }
}

/// Elements per chunk.
const CHUNK: usize = 1024;

fn run(a: &View, b: &View, y: &mut ViewMut, holds: impl Fn(f32, f32) -> bool + Copy + Sync) -> Result<()> {
    const OP: &str = "compare";
    let runs = Runs::new([y.layout(), a.layout(), b.layout()]);
    let (a, b) = (Source::of(OP, ("a", a))?, Source::of(OP, ("b", b))?);
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<i32>())?);
    runs.for_each_with(
        || ([[0.0; CHUNK]; 2], [0; CHUNK]),
        |([buffer_a, buffer_b], buffer_y), run| {
            for first in (0..run.len).step_by(CHUNK) {
                let n = CHUNK.min(run.len - first);
                let [at, at_a, at_b] = std::array::from_fn(|v| run.at[v] + first * run.step[v]);
                let a = a.load(at_a, run.step[1], &mut buffer_a[..n]);
                let b = b.load(at_b, run.step[2], &mut buffer_b[..n]);
                let fill = |y: &mut [i32]| {
                    simd::vectorize(
                        #[inline(always)]
                        move || y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = holds(*a, *b).into()),
                    );
                };
                // SAFETY: runs of an output are disjoint (it is injective, checked), in bounds, and each belongs to one
                // task.
                unsafe { write_piece(y, at, run.step[0], &mut buffer_y[..n], fill) };
            }
        },
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::compare::{CompareOp, compare};
    use crate::{Cpu, View, ViewMut};

    #[test]
    fn with_nan_only_unequal_holds_and_the_two_zeros_are_equal() {
        let (a, b) = ([f32::NAN, 1.0, f32::NAN, -0.0], [1.0, f32::NAN, f32::NAN, 0.0]);
        let holds = |op| {
            let mut y = [7; 4];
            let (a, b) = (View::from_slice(&a, &[4]).unwrap(), View::from_slice(&b, &[4]).unwrap());
            compare(&Cpu, op, a, b, ViewMut::from_slice(&mut y, &[4]).unwrap()).unwrap();
            y
        };
        for op in [CompareOp::Lt, CompareOp::Gt] {
            assert_eq!(holds(op), [0; 4], "{op:?}");
        }
        for op in [CompareOp::Le, CompareOp::Ge, CompareOp::Eq] {
            assert_eq!(holds(op), [0, 0, 0, 1], "{op:?}");
        }
        assert_eq!(holds(CompareOp::Ne), [1, 1, 1, 0]);
    }
}
