//! Cumulative sums on the CPU. A sum has to wait for the one before it, so several lines are summed at the same time: 64
//! neighbouring columns as vectors, or 8 rows as 8 chains that hide each other's latency. Both are then bound by memory.

use super::CumSum;
use crate::check::host;
use crate::lines::{Band, Lines};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl CumSum for Cpu {
    fn cumsum(&self, axis: usize, reverse: bool, x: View, mut y: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => run::<Bf16>(axis, reverse, &x, &mut y),
            _ => run::<f32>(axis, reverse, &x, &mut y),
        }
    }
}

/// Columns summed at once.
const COLUMNS: usize = 64;
/// Rows summed at once.
const ROWS: usize = 8;

fn run<T: Float>(axis: usize, reverse: bool, x: &View, y: &mut ViewMut) -> Result<()> {
    const OP: &str = "cumsum";
    let (n, strides) = (x.dims()[axis], [x.strides()[axis], y.strides()[axis]]);
    let lines = Lines::new([x.layout(), y.layout()], axis);
    let x = host(OP, "x", x.base::<T>())?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    let width = if lines.step == [1, 1] { COLUMNS } else { ROWS };
    lines.for_each_band(
        width,
        n,
        || (),
        |_, Band { at, width }| {
            let place = |i: usize| if reverse { n - 1 - i } else { i };
            let add = |sum: &mut f64, x: T| {
                *sum += x.to_f64();
                *sum = planted!("cumsum.sum_kept_in_f32", *sum => f64::from(*sum as f32));
                T::from_f64(*sum)
            };
            simd::vectorize(
                #[inline(always)]
                || {
                    let mut sums = [0.0; COLUMNS];
                    for i in 0..n {
                        let (from, to) = (at[0] + place(i) * strides[0], at[1] + place(i) * strides[1]);
                        if lines.step == [1, 1] {
                            // SAFETY: in bounds; lines of an output are disjoint (checked), and each belongs to one task.
                            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(to), width) };
                            let all = sums.iter_mut().zip(&x[from..]).zip(y);
                            all.for_each(|((sum, x), y)| *y = add(sum, *x));
                            continue;
                        }
                        for (line, sum) in sums[..width].iter_mut().enumerate() {
                            let value = add(sum, x[from + line * lines.step[0]]);
                            // SAFETY: as above.
                            unsafe { *y.get().add(to + line * lines.step[1]) = value };
                        }
                    }
                },
            );
        },
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cumsum::cumsum;
    use crate::{Bf16, Cpu, View, ViewMut};

    #[test]
    fn small_terms_are_not_lost_beside_a_large_sum() {
        let x: Vec<Bf16> =
            [vec![256.0f32], vec![0.25; 64]].concat().into_iter().map(Bf16::from_f32).collect();
        let mut y = vec![Bf16::default(); 65];
        let out = ViewMut::from_slice(&mut y, &[65]).unwrap();
        cumsum(&Cpu, 0, false, View::from_slice(&x, &[65]).unwrap(), out).unwrap();
        assert_eq!((y[1].to_f32(), y[64].to_f32()), (256.0, 272.0));
    }

    #[test]
    fn the_forward_and_the_reverse_sum_meet_in_the_total() {
        let (x, mut up, mut down) = ([1.5f32, -2.0, 0.25], [0.0f32; 3], [0.0f32; 3]);
        let x = View::from_slice(&x, &[3]).unwrap();
        cumsum(&Cpu, 0, false, x, ViewMut::from_slice(&mut up, &[3]).unwrap()).unwrap();
        cumsum(&Cpu, 0, true, x, ViewMut::from_slice(&mut down, &[3]).unwrap()).unwrap();
        assert_eq!((up, down), ([1.5, -0.5, -0.25], [-0.25, -1.75, 0.25]));
    }
}
