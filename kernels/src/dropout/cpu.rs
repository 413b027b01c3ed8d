//! Dropout on the CPU. A task takes [`CHUNK`] consecutive elements, wherever rows begin and end, and makes their random numbers
//! in one go: 64 per round, one Philox block per vector lane. Making the numbers takes longer than reading the memory.

use super::{Dropout, DropoutMask};
use crate::check::host;
use crate::random::cpu::fill;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl Dropout for Cpu {
    fn dropout(&self, x: View, mask: DropoutMask, y: ViewMut, accumulate: bool) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => run::<Bf16>(&x, mask, y, accumulate),
            _ => run::<f32>(&x, mask, y, accumulate),
        }
    }
}

/// Elements per task; a multiple of the 64 numbers that are made together.
const CHUNK: usize = 4096;

fn run<T: Float>(x: &View, mask: DropoutMask, mut y: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "dropout";
    let (numel, c) = (x.numel(), x.layout().rows().1);
    let (x_layout, y_layout) = (*x.layout(), *y.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    // The numbers are multiples of 2⁻²⁴, and so is this: the same decision as by comparing with p itself.
    let least = ((mask.p * 16_777_216.0).ceil() / 16_777_216.0) as f32;
    let scale = planted!("dropout.unscaled", (1.0 / (1.0 - mask.p)) as f32 => 1.0);
    par::for_each_task(numel.div_ceil(CHUNK), |task| {
        let (mut at, end) = (task * CHUNK, numel.min((task + 1) * CHUNK));
        let mut numbers = [0.0; CHUNK];
        let numbers = &mut numbers[..end - at];
        let first = planted!("dropout.mask_by_task", at => 0) as u64;
        simd::vectorize(
            #[inline(always)]
            || fill(mask.seed, mask.stream, first, numbers),
        );
        let mut numbers = &*numbers;
        while at < end {
            let n = (c - at % c).min(end - at); // to the end of the row
            let (own, rest) = numbers.split_at(n);
            let x = &x[x_layout.row_position(at / c) + at % c..][..n];
            let y_at = y_layout.row_position(at / c) + at % c;
            // SAFETY: pieces of rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(y_at), n) };
            simd::vectorize(
                #[inline(always)]
                || drop_row(x, own, least, scale, y, accumulate),
            );
            (numbers, at) = (rest, at + n);
        }
    });
    Ok(())
}

#[inline(always)]
fn drop_row<T: Float>(x: &[T], numbers: &[f32], least: f32, scale: f32, y: &mut [T], accumulate: bool) {
    for ((y, x), number) in y.iter_mut().zip(x).zip(numbers) {
        let value = if *number >= least { x.to_f32() * scale } else { 0.0 };
        *y = T::from_f32(if accumulate { y.to_f32() + value } else { value });
    }
}

#[cfg(test)]
mod tests {
    use crate::dropout::{DropoutMask, dropout};
    use crate::{Cpu, KernelError, View, ViewMut};

    fn ones(p: f64, stream: u64, dims: [usize; 2]) -> crate::Result<Vec<f32>> {
        let (x, mut y) = (vec![1.0f32; dims[0] * dims[1]], vec![0.0f32; dims[0] * dims[1]]);
        let mask = DropoutMask { p, seed: 7, stream };
        dropout(&Cpu, View::from_slice(&x, &dims)?, mask, ViewMut::from_slice(&mut y, &dims)?, false)?;
        Ok(y)
    }

    #[test]
    fn the_share_of_dropped_elements_is_p_and_the_mean_stays() {
        let n = 100_000.0;
        for p in [0.1, 0.5, 0.9] {
            let y = ones(p, 1, [100, 1000]).unwrap();
            let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / n;
            let sigma = (p * (1.0 - p) / n).sqrt();
            assert!((dropped - p).abs() <= 4.0 * sigma, "{p}: {dropped}");
            let mean = y.iter().map(|&y| y as f64).sum::<f64>() / n;
            assert!((mean - 1.0).abs() <= 4.0 * sigma / (1.0 - p) + 1e-6, "{p}: {mean}");
        }
    }

    #[test]
    fn the_mask_depends_on_the_stream_and_not_on_the_shape() {
        let y = ones(0.5, 1, [100, 60]).unwrap();
        assert_eq!(y, ones(0.5, 1, [8, 750]).unwrap());
        assert_ne!(y, ones(0.5, 2, [100, 60]).unwrap());
    }

    #[test]
    fn a_probability_outside_zero_to_one_is_refused() {
        for p in [1.0, -0.1, f64::NAN] {
            assert!(matches!(ones(p, 1, [2, 2]), Err(KernelError::Parameter { .. })), "{p}");
        }
        assert_eq!(ones(0.0, 1, [2, 2]).unwrap(), [1.0; 4]);
    }
}
