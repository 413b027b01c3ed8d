//! The most multiply-adds per second: a loop of nothing else, on registers alone.
//!
//! Each of several independent sums gets one multiply-add per round. There are more sums than multiply-adds in flight (two
//! units times a latency of four or five cycles), so no unit ever waits for a result; and few enough to stay in registers.
//! On the portable path, which does not fuse, it is a multiplication and an addition on the vectors that every x86-64 has.

use super::clock::best;
use crate::par;
use crate::simd::{self, Simd};
use std::hint::black_box;
use std::time::Duration;

/// Tasks per thread: a thread that was late takes fewer.
const TASKS: usize = 8;
/// Rounds per task: some tens of microseconds.
const ROUNDS: usize = 20_000;

/// One loop: run so many rounds, return something that depends on all of them. Unsafe: the machine must have the instructions.
type Loop = unsafe fn(usize) -> f32;

/// FLOP/s of f32 multiply-adds at the vector level in use, all threads together.
pub(super) fn f32_flops(budget: Duration) -> f64 {
    let (flops_per_round, run): (usize, Loop) = match simd::level() {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => (x86::SUMS_512 * 16 * 2, x86::fma_avx512),
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => (x86::SUMS_256 * 8 * 2, x86::fma_avx2),
        #[cfg(target_arch = "aarch64")]
        Simd::Neon => (arm::SUMS * 4 * 2, arm::fma),
        _ => (SUMS * LANES * 2, portable),
    };
    measure(budget, flops_per_round, run)
}

/// FLOP/s of bf16 products summed in f32 pairs (`vdpbf16ps`), where the level in use and the machine have that.
pub(super) fn bf16_flops(budget: Duration) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if simd::multiplies_bf16() {
        return Some(measure(budget, x86::SUMS_512 * 32 * 2, x86::dot_bf16));
    }
    let _ = budget;
    None
}

fn measure(budget: Duration, flops_per_round: usize, run: Loop) -> f64 {
    let tasks = TASKS * par::threads();
    let seconds = best(budget, || {
        par::for_each_task(tasks, |_| {
            // SAFETY: the callers chose the loop by what the machine has.
            black_box(unsafe { run(black_box(ROUNDS)) });
        })
    });
    (tasks * ROUNDS * flops_per_round) as f64 / seconds
}

/// Independent sums and their width on the portable path: 10 of 16 vector registers.
const SUMS: usize = 10;
const LANES: usize = 4;

/// `s ← s·m + c`, rounded twice. Safe on any machine.
fn portable(rounds: usize) -> f32 {
    let (m, c) = (black_box([0.5f32; LANES]), black_box([1.0f32; LANES]));
    let mut sums = black_box([[1.0f32; LANES]; SUMS]);
    for _ in 0..rounds {
        for sum in &mut sums {
            for lane in 0..LANES {
                sum[lane] = sum[lane] * m[lane] + c[lane];
            }
        }
    }
    sums.iter().flatten().sum()
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;
    use std::hint::black_box;

    /// Sums in 128-bit registers, of which there are 32; up to four multiply-adds begin in a cycle.
    pub const SUMS: usize = 24;

    pub fn fma(rounds: usize) -> f32 {
        // SAFETY: part of the baseline.
        unsafe {
            let (m, c) = (vdupq_n_f32(black_box(0.5)), vdupq_n_f32(black_box(1.0)));
            let mut sums = black_box([vdupq_n_f32(0.0); SUMS]);
            for _ in 0..rounds {
                for sum in &mut sums {
                    *sum = vfmaq_f32(c, *sum, m);
                }
            }
            sums.iter().map(|s| vaddvq_f32(*s)).sum()
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Sums in 512-bit registers, of which there are 32.
    pub const SUMS_512: usize = 16;
    /// Sums in 256-bit registers, of which there are 16.
    pub const SUMS_256: usize = 12;

    #[target_feature(enable = "avx512f")]
    pub fn fma_avx512(rounds: usize) -> f32 {
        let (m, c) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(1.0)));
        let mut sums = black_box([_mm512_setzero_ps(); SUMS_512]);
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, m, c);
            }
        }
        sums.iter().map(|s| _mm512_reduce_add_ps(*s)).sum()
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn fma_avx2(rounds: usize) -> f32 {
        let (m, c) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(1.0)));
        let mut sums = black_box([_mm256_setzero_ps(); SUMS_256]);
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, m, c);
            }
        }
        sums.iter().map(|s| _mm_cvtss_f32(_mm256_castps256_ps128(*s))).sum()
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn dot_bf16(rounds: usize) -> f32 {
        let x = _mm512_set1_ps(black_box(0.01));
        let (a, b) = (_mm512_cvtne2ps_pbh(x, x), _mm512_cvtne2ps_pbh(x, x));
        let mut sums = black_box([_mm512_setzero_ps(); SUMS_512]);
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, a, b);
            }
        }
        sums.iter().map(|s| _mm512_reduce_add_ps(*s)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loops_compute_what_they_claim() {
        // s ← s/2 + 1 tends to 2 in every lane.
        assert_eq!(portable(60), 2.0 * (SUMS * LANES) as f32);
        #[cfg(target_arch = "aarch64")]
        assert_eq!(arm::fma(60), 2.0 * (arm::SUMS * 4) as f32);
        #[cfg(target_arch = "x86_64")]
        {
            if simd::detected() == Simd::Avx512 {
                // SAFETY: the machine has the instructions.
                assert_eq!(unsafe { x86::fma_avx512(60) }, 2.0 * (x86::SUMS_512 * 16) as f32);
            }
            if simd::detected() >= Simd::Avx2 {
                // SAFETY: as above. One lane of each sum is returned.
                assert_eq!(unsafe { x86::fma_avx2(60) }, 2.0 * x86::SUMS_256 as f32);
            }
            if simd::detected_bf16() {
                // SAFETY: as above. Each round adds two products of 0.01, as bf16 has it, to each lane.
                let sum = unsafe { x86::dot_bf16(100) };
                let want = 200.0 * 0.01f32.powi(2) * (x86::SUMS_512 * 16) as f32;
                assert!((sum - want).abs() <= 0.01 * want, "{sum}, not {want}");
            }
        }
    }
}
