//! Random numbers on the CPU: sixteen Philox blocks side by side, one per vector lane, every word of them used.

use super::Random;
use crate::check::host;
use crate::philox::{philox4x32, unit_f32};
use crate::{Cpu, Result, ViewMut, par, planted, simd};

impl Random for Cpu {
    fn uniform(&self, seed: u64, stream: u64, first: u64, mut y: ViewMut) -> Result<()> {
        let y = host("uniform", "y", y.as_mut_slice::<f32>())?;
        par::for_each_rows(y, 1, 16384, |start, y| {
            simd::vectorize(
                #[inline(always)]
                || {
                    fill(
                        seed,
                        stream,
                        planted!("random.every_task_begins_anew", first + start as u64 => first),
                        y,
                    )
                },
            );
        });
        Ok(())
    }
}

/// Blocks made together.
const LANES: usize = 16;

#[inline(always)]
pub(crate) fn fill(seed: u64, stream: u64, first: u64, y: &mut [f32]) {
    let mut done = 0;
    while done < y.len() {
        let index = first + done as u64;
        let numbers = blocks(seed, stream, index / 4);
        let skip = (index % 4) as usize;
        let n = (numbers.len() - skip).min(y.len() - done);
        y[done..done + n].copy_from_slice(&numbers[skip..skip + n]);
        done += n;
    }
}

/// The numbers of blocks `first..first + 16`.
#[inline(always)]
fn blocks(seed: u64, stream: u64, first: u64) -> [f32; 4 * LANES] {
    let mut words = [[0; LANES]; 4];
    for lane in 0..LANES {
        let block = first.wrapping_add(lane as u64);
        let ctr = [block as u32, (block >> 32) as u32, stream as u32, (stream >> 32) as u32];
        let out = philox4x32(ctr, [seed as u32, (seed >> 32) as u32]);
        (0..4).for_each(|w| words[w][lane] = out[w]);
    }
    std::array::from_fn(|i| unit_f32(words[i % 4][i / 4]))
}
