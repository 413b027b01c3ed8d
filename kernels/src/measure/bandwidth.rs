//! Bytes per second, by how much memory is gone through: small sets stay in the caches, large ones do not.
//!
//! Two patterns, each thread on its own part, as often as it takes to move a fair amount: a sum over one array (reads
//! only), and `a[i] = b[i] + s·c[i]` over three (two reads and a write). Bytes count once where they are named in the formula;
//! that a cache line is fetched before it is overwritten is the machine's own affair.

use super::clock::best;
use crate::{pages, par, simd};
use std::hint::black_box;
use std::time::Duration;

/// Bytes that one timed run moves at least.
const MOVED: usize = 32 << 20;
/// Numbers summed side by side: enough vectors that no addition waits for another.
const LANES: usize = 128;

/// Bytes per second of reading arrays of `bytes` in all.
pub(super) fn read(bytes: usize, budget: Duration) -> f64 {
    let threads = par::threads();
    let part = (bytes / size_of::<f32>() / threads / LANES).max(1) * LANES;
    let data = pages::filled(part * threads, 1.0f32);
    let (data, passes) = (&data[..], passes(part * threads * size_of::<f32>()));
    let seconds = best(budget, || {
        par::for_each_task(threads, |t| {
            for _ in 0..passes {
                black_box(sum(black_box(&data[t * part..][..part])));
            }
        })
    });
    (passes * data.len() * size_of::<f32>()) as f64 / seconds
}

/// Bytes per second of `a[i] = b[i] + s·c[i]` over arrays of `bytes` in all.
pub(super) fn triad(bytes: usize, budget: Duration) -> f64 {
    let threads = par::threads();
    let part = (bytes / 3 / size_of::<f32>() / threads).max(1);
    let n = part * threads;
    let (b, c) = (pages::filled(n, 1.0f32), pages::filled(n, 2.0f32));
    let (mut a, passes) = (pages::filled(n, 0.0f32), passes(3 * n * size_of::<f32>()));
    let seconds = best(budget, || {
        par::for_each_rows(&mut a, 1, part, |first, a| {
            for _ in 0..passes {
                let (b, c) = (black_box(&b[first..][..a.len()]), black_box(&c[first..][..a.len()]));
                add_scaled(black_box(&mut *a), b, c);
            }
        })
    });
    black_box(&a);
    (passes * 3 * n * size_of::<f32>()) as f64 / seconds
}

/// How often to go through `bytes` in one run.
fn passes(bytes: usize) -> usize {
    (MOVED / bytes.max(1)).max(1)
}

fn sum(data: &[f32]) -> f32 {
    simd::vectorize(
        #[inline(always)]
        || {
            let mut sums = [0.0f32; LANES];
            for chunk in data.chunks_exact(LANES) {
                for lane in 0..LANES {
                    sums[lane] += chunk[lane];
                }
            }
            sums.iter().sum()
        },
    )
}

fn add_scaled(a: &mut [f32], b: &[f32], c: &[f32]) {
    simd::vectorize(
        #[inline(always)]
        || {
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                *a = b + 3.0 * c;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compute_what_they_claim() {
        assert_eq!(sum(&[1.0; 5 * LANES]), (5 * LANES) as f32);
        let mut a = [0.0; 7];
        add_scaled(&mut a, &[1.0; 7], &[2.0; 7]);
        assert_eq!(a, [7.0; 7]);
    }

    #[test]
    fn any_size_and_any_number_of_threads_can_be_measured() {
        for threads in [1, 3] {
            par::with_threads(threads, || {
                for bytes in [1, 5000] {
                    let speeds = [read(bytes, Duration::ZERO), triad(bytes, Duration::ZERO)];
                    assert!(speeds.iter().all(|s| *s > 0.0 && s.is_finite()), "{speeds:?}");
                }
            });
        }
    }
}
