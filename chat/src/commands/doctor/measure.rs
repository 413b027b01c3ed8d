//! Two quick measurements: the matrix product, which bounds training, and main memory, which bounds generation.

use super::{Fact, Section};
use crate::profile::Roofline;
use kernels::{Cpu, View, ViewMut, matmul, par, simd};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long each measurement may repeat itself.
const BUDGET: Duration = Duration::from_millis(350);
/// Numbers in each array of the memory test: far more than caches hold.
const ARRAY: usize = 16 << 20;
/// Numbers per task of the memory test.
const CHUNK: usize = 1 << 16;

/// The section of measurements.
pub fn section() -> Section {
    let (gflops, size) = matmul_gflops();
    let gflops_text = match gflops {
        Some(g) => format!("{g:.0} GFLOP/s ({size} × {size}, best of several)"),
        None => "unknown".into(),
    };
    let bandwidth = bandwidth();
    let memory_text = format!("{bandwidth:.1} GB/s (a[i] = b[i] + s·c[i], best of several)");
    let facts = vec![
        Fact::new("f32_matrix_product", json!({ "gflops": gflops, "size": size }), gflops_text),
        Fact::new("memory_bandwidth", json!({ "gb_per_s": bandwidth }), memory_text),
    ];
    Section { title: "Measured", key: "measured", facts }
}

/// What bounds a kernel on this machine; `None` if the product cannot be measured.
pub fn roofline() -> Option<Roofline> {
    let (gflops, _) = matmul_gflops();
    Some(Roofline { flops: 1e9 * gflops?, bytes: 1e9 * bandwidth() })
}

/// The shortest of as many runs as fit into the budget, at least one after a first that is not counted.
fn best(mut run: impl FnMut()) -> Duration {
    run();
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while best == Duration::MAX || start.elapsed() < BUDGET {
        let begun = Instant::now();
        run();
        best = best.min(begun.elapsed());
    }
    best
}

/// GFLOP/s of the f32 matrix product, and the size used: a small one where the machine (or the build) is slow.
fn matmul_gflops() -> (Option<f64>, usize) {
    let mut result = (None, 0);
    for size in [256, 1024] {
        let (a, b) = (vec![1.0f32; size * size], vec![0.5f32; size * size]);
        let mut c = vec![0.0f32; size * size];
        let mut fine = true;
        let time = best(|| fine &= multiply(&a, &b, &mut c, size).is_ok());
        if fine {
            result = (Some(2.0 * (size as f64).powi(3) / time.as_secs_f64() / 1e9), size);
        }
        if time > BUDGET / 100 {
            break; // 64 times the work would take too long
        }
    }
    result
}

fn multiply(a: &[f32], b: &[f32], c: &mut [f32], n: usize) -> kernels::Result<()> {
    let dims = [n, n];
    let out = ViewMut::from_slice(c, &dims)?;
    matmul::matmul(&Cpu, View::from_slice(a, &dims)?, View::from_slice(b, &dims)?, out, 1.0, 0.0)
}

/// GB/s of reading two arrays and writing a third.
fn bandwidth() -> f64 {
    let (b, c) = (vec![1.0f32; ARRAY], vec![2.0f32; ARRAY]);
    let mut a = vec![0.0f32; ARRAY];
    let time = best(|| {
        par::for_each_rows(&mut a, 1, CHUNK, |first, chunk| {
            let (b, c) = (&b[first..], &c[first..]);
            simd::vectorize(
                #[inline(always)]
                || {
                    for ((a, b), c) in chunk.iter_mut().zip(b).zip(c) {
                        *a = b + 3.0 * c;
                    }
                },
            );
        })
    });
    std::hint::black_box(&a);
    (3 * ARRAY * size_of::<f32>()) as f64 / time.as_secs_f64() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_that_is_timed_is_the_right_one() {
        let mut c = vec![0.0; 4];
        multiply(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 1.0, 1.0], &mut c, 2).unwrap();
        assert_eq!(c, [3.0, 2.0, 7.0, 4.0]);
    }

    #[test]
    fn the_first_run_does_not_count_and_at_least_one_follows() {
        let mut runs = 0;
        let time = best(|| {
            runs += 1;
            std::thread::sleep(BUDGET);
        });
        assert_eq!(runs, 2);
        assert!(time >= BUDGET);
    }
}
