//! The matrix product as a ladder: from three loops to the kernel of the engine, each rung with the measured gain over the one
//! below.
//!
//! Every rung computes the same: `C = A·B` in f32, A (m, k), B (k, n) and C (m, n) row by row. The rungs written here, in
//! safe Rust, are for reading; the last ones are the product of `kernels`. The chapter "Matmul on a CPU" of the book
//! climbs it; `ladder` in `src/bin` measures it.

mod loops;
mod measure;
mod tile;

pub use measure::{Rung, climb};

/// Sizes of a product.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rows of A and C.
    pub m: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Columns of B and C.
    pub n: usize,
}

/// One way to compute `C = A·B`.
pub type Product = fn(Sizes, &[f32], &[f32], &mut [f32]);

/// The rungs that are written here: what is new on each, and its code.
pub const RUNGS: [(&str, Product); 6] = [
    ("three loops, dot products", loops::dots),
    ("loops exchanged: along the rows of B", loops::rows),
    ("wide vectors, fused multiply-adds", loops::wide),
    ("tiles of C in registers", tile::unpacked),
    ("A and B packed for the tiles", tile::packed),
    ("packed in blocks that fit into the caches", tile::blocked),
];

/// Do the instructions in use have a fused multiply-add? Without them one would be a call of a slow function.
fn fused() -> bool {
    kernels::simd::level() != kernels::simd::Simd::Scalar
}

/// `x · y + sum`, rounded once if `FUSED`, else twice.
#[inline(always)]
fn multiply_add<const FUSED: bool>(x: f32, y: f32, sum: f32) -> f32 {
    if FUSED { x.mul_add(y, sum) } else { x * y + sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `len` numbers from -1 to 1 that repeat late.
    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    #[test]
    fn every_rung_gives_the_product_for_whole_and_ragged_sizes() {
        for (m, k, n) in
            [(1, 1, 1), (8, 256, 32), (9, 257, 33), (131, 300, 70), (3, 5, 520), (4, 0, 3), (7, 64, 31)]
        {
            let (sizes, a, b) = (Sizes { m, k, n }, numbers(m * k, 1), numbers(k * n, 2));
            for (name, product) in RUNGS {
                let mut c = vec![f32::NAN; m * n];
                product(sizes, &a, &b, &mut c);
                for i in 0..m {
                    for j in 0..n {
                        let terms = (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j]));
                        let (sum, size) = terms.fold((0.0, 0.0), |(s, t), x| (s + x, t + x.abs()));
                        let error = (f64::from(c[i * n + j]) - sum).abs();
                        assert!(
                            error <= 8.0 * f64::from(f32::EPSILON) * size,
                            "{name} {sizes:?} at {i}, {j}"
                        );
                    }
                }
            }
        }
    }
}
