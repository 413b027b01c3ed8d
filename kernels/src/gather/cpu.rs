//! Picking on the CPU.
//!
//! Forward is an elementwise walk in which `x` has stride 0 along the axis and the index says how far to go along it; where
//! the index is the same all along a run, the run is a copy. Backward walks lines: a band of neighbouring lines of `dx` is
//! widened to f32, the terms are added in order, and it is rounded and stored once. Bands share nothing, so which ids
//! collide does not matter to the threads.

use super::Gather;
use crate::check::host;
use crate::lines::{Band, Lines};
use crate::runs::Runs;
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, planted, simd};

impl Gather for Cpu {
    fn gather_fwd(&self, axis: usize, x: View, index: View, mut y: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => forward::<Bf16>(axis, &x, &index, &mut y),
            _ => forward::<f32>(axis, &x, &index, &mut y),
        }
    }
    fn gather_bwd(&self, axis: usize, dy: View, index: View, mut dx: ViewMut) -> Result<()> {
        match (dy.dtype(), dx.dtype()) {
            (DType::Bf16, DType::Bf16) => backward::<Bf16, Bf16>(axis, &dy, &index, &mut dx),
            (DType::Bf16, _) => backward::<Bf16, f32>(axis, &dy, &index, &mut dx),
            _ => backward::<f32, f32>(axis, &dy, &index, &mut dx),
        }
    }
}

fn forward<T: Float>(axis: usize, x: &View, index: &View, y: &mut ViewMut) -> Result<()> {
    const OP: &str = "gather_fwd";
    let (mut strides, along) = (x.strides().to_vec(), x.strides()[axis]);
    strides[axis] = 0;
    let start = Layout::strided(y.dims(), &strides, x.layout().offset())?;
    let runs = Runs::new([y.layout(), index.layout(), &start]);
    let (x, index) = (host(OP, "x", x.base::<T>())?, host(OP, "index", index.base::<i32>())?);
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    runs.for_each(|run| {
        let ([to, id, from], [step, step_id, step_from]) = (run.at, run.step);
        if (step, step_id, step_from) == (1, 0, 1) {
            let x = &x[from + index[id] as usize * along..][..run.len];
            // SAFETY: runs of an output are disjoint (it is injective, checked), in bounds, and each belongs to one task.
            unsafe { std::slice::from_raw_parts_mut(y.get().add(to), run.len) }.copy_from_slice(x);
            return;
        }
        if (step, step_id) == (1, 1) {
            let index = &index[id..][..run.len];
            // SAFETY: as above.
            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(to), run.len) };
            let all = y.iter_mut().zip(index).enumerate();
            all.for_each(|(i, (y, id))| *y = x[from + i * step_from + *id as usize * along]);
            return;
        }
        for i in 0..run.len {
            let picked = x[from + i * step_from + index[id + i * step_id] as usize * along];
            // SAFETY: as above.
            unsafe { *y.get().add(to + i * step) = picked };
        }
    });
    Ok(())
}

/// Lines summed together where they are neighbours in memory.
const WIDTH: usize = 64;
/// Elements of a band that stay in the second-level cache, widened.
const CACHED: usize = 1 << 16;

fn backward<D: Float, X: Float>(axis: usize, dy: &View, index: &View, dx: &mut ViewMut) -> Result<()> {
    const OP: &str = "gather_bwd";
    let (n, m) = (dx.dims()[axis], dy.dims()[axis]);
    let along = [dx.strides()[axis], dy.strides()[axis], index.strides()[axis]];
    let lines = Lines::new([dx.layout(), dy.layout(), index.layout()], axis);
    let (dy, index) = (host(OP, "dy", dy.base::<D>())?, host(OP, "index", index.base::<i32>())?);
    let dx = par::SharedPtr::new(host(OP, "dx", dx.base_mut::<X>())?);
    let width = if lines.step[0] == 1 { WIDTH.min(CACHED / n).max(WIDTH / 4) } else { 1 };
    lines.for_each_band(width, n + m, Vec::new, |sums: &mut Vec<f32>, Band { at, width }| {
        // As rows of neighbours in memory: one per place on the axis, or the whole of a single dense line.
        let (count, len, apart) = if (width, along[0]) == (1, 1) { (1, n, n) } else { (n, width, along[0]) };
        // SAFETY: in bounds; lines of an output are disjoint (checked), and each belongs to one task.
        let row = |i: usize| unsafe { std::slice::from_raw_parts_mut(dx.get().add(at[0] + i * apart), len) };
        let add = |sum: &mut f32, dy: D| {
            *sum = planted!("gather.last_of_duplicates_stays", *sum => 0.0) + dy.to_f32();
        };
        sums.resize(n * width, 0.0);
        simd::vectorize(
            #[inline(always)]
            || {
                let rows = (0..count).zip(sums.chunks_exact_mut(len));
                rows.for_each(|(i, sums)| sums.iter_mut().zip(row(i)).for_each(|(s, x)| *s = x.to_f32()));
                for j in 0..m {
                    let (from, id) = (at[1] + j * along[1], at[2] + j * along[2]);
                    if width == 1 {
                        add(&mut sums[index[id] as usize], dy[from]);
                    } else if (lines.step[1], lines.step[2]) == (1, 0) {
                        let sums = &mut sums[index[id] as usize * width..][..width];
                        sums.iter_mut().zip(&dy[from..]).for_each(|(sum, dy)| add(sum, *dy));
                    } else {
                        for line in 0..width {
                            let row = index[id + line * lines.step[2]] as usize;
                            add(&mut sums[row * width + line], dy[from + line * lines.step[1]]);
                        }
                    }
                }
                let rows = (0..count).zip(sums.chunks_exact(len));
                rows.for_each(|(i, sums)| {
                    row(i).iter_mut().zip(sums).for_each(|(x, s)| *x = X::from_f32(*s))
                });
            },
        );
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::gather::{gather_bwd, gather_fwd};
    use crate::{Bf16, Cpu, KernelError, View, ViewMut, par};

    #[test]
    fn an_index_outside_the_axis_is_refused_before_anything_is_written() {
        let (x, dy) = ([1.0f32; 6], [1.0f32; 4]);
        for bad in [3, -1] {
            let (index, mut y, mut dx) = ([0, 0, 0, bad], [7.0f32; 4], [7.0f32; 6]);
            let index = View::from_slice(&index, &[2, 2]).unwrap();
            let (x, dy) = (View::from_slice(&x, &[2, 3]).unwrap(), View::from_slice(&dy, &[2, 2]).unwrap());
            let forward = gather_fwd(&Cpu, 1, x, index, ViewMut::from_slice(&mut y, &[2, 2]).unwrap());
            let backward = gather_bwd(&Cpu, 1, dy, index, ViewMut::from_slice(&mut dx, &[2, 3]).unwrap());
            for refused in [forward, backward] {
                assert!(matches!(refused, Err(KernelError::IndexOutOfRange { index: 3, limit: 3, .. })));
            }
            assert_eq!((y, dx), ([7.0; 4], [7.0; 6]));
        }
    }

    #[test]
    fn terms_that_meet_are_added_in_order_whatever_the_threads() {
        let (m, n, c) = (700, 5, 77);
        let index: Vec<i32> = (0..m * c).map(|i| (i * i % n) as i32).collect();
        let dy: Vec<f32> = (0..m * c).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut want = vec![0.5f32; n * c];
        (0..m * c).for_each(|i| want[index[i] as usize * c + i % c] += dy[i]);
        for threads in [1, 2, 3] {
            let mut dx = vec![0.5f32; n * c];
            let (dy, index) = (View::from_slice(&dy, &[m, c]), View::from_slice(&index, &[m, c]));
            let out = ViewMut::from_slice(&mut dx, &[n, c]).unwrap();
            par::with_threads(threads, || gather_bwd(&Cpu, 0, dy.unwrap(), index.unwrap(), out)).unwrap();
            assert_eq!(dx, want);
        }
    }

    #[test]
    fn many_small_terms_survive_in_a_bf16_gradient() {
        // Added one by one in bf16, 1/512 would vanish beside 1.
        let (dy, index, mut dx) =
            (vec![Bf16::from_f32(1.0 / 512.0); 512], vec![0; 512], [Bf16::from_f32(1.0)]);
        let (dy, index) = (View::from_slice(&dy, &[512]).unwrap(), View::from_slice(&index, &[512]).unwrap());
        gather_bwd(&Cpu, 0, dy, index, ViewMut::from_slice(&mut dx, &[1]).unwrap()).unwrap();
        assert_eq!(dx[0].to_f32(), 2.0);
    }
}
