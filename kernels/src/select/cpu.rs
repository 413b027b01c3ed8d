//! Choice on the CPU: elements are moved as they are stored, dense ones by a vector blend. Bound by memory bandwidth.

use super::Select;
use crate::check::host;
use crate::runs::{Runs, piece, write_piece};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl Select for Cpu {
    fn select(&self, cond: View, a: View, b: View, mut y: ViewMut) -> Result<()> {
        match y.dtype() {
            DType::Bf16 => run::<Bf16>(&cond, &a, &b, &mut y),
            _ => run::<f32>(&cond, &a, &b, &mut y),
        }
    }
}

/// Elements per chunk.
const CHUNK: usize = 1024;

fn run<T: Float>(cond: &View, a: &View, b: &View, y: &mut ViewMut) -> Result<()> {
    const OP: &str = "select";
    let runs = Runs::new([y.layout(), cond.layout(), a.layout(), b.layout()]);
    let cond = host(OP, "cond", cond.base::<i32>())?;
    let (a, b) = (host(OP, "a", a.base::<T>())?, host(OP, "b", b.base::<T>())?);
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    runs.for_each_with(
        || ([0; CHUNK], [[T::default(); CHUNK]; 3]),
        |(buffer_cond, [buffer_a, buffer_b, buffer_y]), run| {
            for first in (0..run.len).step_by(CHUNK) {
                let n = CHUNK.min(run.len - first);
                let [at, at_cond, at_a, at_b] = std::array::from_fn(|v| run.at[v] + first * run.step[v]);
                let cond = piece(cond, at_cond, run.step[1], &mut buffer_cond[..n]);
                let a = piece(a, at_a, run.step[2], &mut buffer_a[..n]);
                let b = piece(b, at_b, run.step[3], &mut buffer_b[..n]);
                let fill = |y: &mut [T]| {
                    simd::vectorize(
                        #[inline(always)]
                        move || blend(cond, a, b, y),
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

#[inline(always)]
fn blend<T: Copy>(cond: &[i32], a: &[T], b: &[T], y: &mut [T]) {
    let taken = |cond: i32| planted!("select.one_is_the_only_truth", cond != 0 => cond == 1);
    y.iter_mut()
        .zip(cond)
        .zip(a)
        .zip(b)
        .for_each(|(((y, cond), a), b)| *y = if taken(*cond) { *a } else { *b });
}
