//! Other people's f32 matrix products, called the way their users call them, with as many threads as ours.
//!
//! | name | crate | threads |
//! |---|---|---|
//! | `gemm` | gemm 0.19, with its AVX-512 kernels | rayon's global pool |
//! | `faer` | faer 0.24 | rayon's global pool |
//! | `matrixmultiply` | matrixmultiply 0.3 | its own, as `MATMUL_NUM_THREADS` says (all cores, 4 at most) |

use benches::product::Product;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::num::NonZeroUsize;

/// Matrices of one product: small random numbers, the same for everybody.
pub struct Operands {
    product: Product,
    threads: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    /// The result.
    pub c: Vec<f32>,
}

/// Makes the product once.
pub type Call = fn(&mut Operands);

/// The baselines: name and call.
pub const ALL: &[(&str, Call)] =
    &[("gemm", Operands::gemm), ("faer", Operands::faer), ("matrixmultiply", Operands::matrixmultiply)];

impl Operands {
    /// For `product`, with so many threads.
    pub fn new(product: &Product, threads: usize) -> Operands {
        let (m, n, k) = (product.m, product.n, product.k);
        let numbers =
            |len: usize, step: usize| (0..len).map(|i| ((i * step % 251) as f32 - 125.0) / 125.0).collect();
        Operands {
            product: product.clone(),
            threads,
            a: numbers(m * k, 7),
            b: numbers(k * n, 11),
            c: vec![0.0; m * n],
        }
    }
    /// How far `c` is from the product of these matrices: the largest difference on some of its elements, in units of
    /// the sum of their terms' sizes.
    pub fn error(&self) -> f64 {
        let p = &self.product;
        let mut worst = 0.0f64;
        for at in (0..p.m * p.n).step_by((p.m * p.n / 97).max(1)) {
            let (i, j) = (at / p.n, at % p.n);
            let (mut sum, mut size) = (0.0, 1e-30);
            for l in 0..p.k {
                let x = self.a[i * p.a[0] + l * p.a[1]] as f64 * self.b[l * p.b[0] + j * p.b[1]] as f64;
                (sum, size) = (sum + x, size + x.abs());
            }
            worst = worst.max((self.c[at] as f64 - sum).abs() / size);
        }
        worst
    }
    fn gemm(&mut self) {
        let p = &self.product;
        let [(a_rows, a_cols), (b_rows, b_cols)] = [p.a, p.b].map(|s| (s[0] as isize, s[1] as isize));
        let threads = gemm::Parallelism::Rayon(self.threads);
        let beta = if p.add { 1.0 } else { 0.0 };
        // SAFETY: the sizes and strides are those with which the three vectors were made. gemm computes alpha·C + beta·A·B.
        unsafe {
            gemm::gemm(
                p.m,
                p.n,
                p.k,
                self.c.as_mut_ptr(),
                1,
                p.n as isize,
                p.add,
                self.a.as_ptr(),
                a_cols,
                a_rows,
                self.b.as_ptr(),
                b_cols,
                b_rows,
                beta,
                1.0f32,
                false,
                false,
                false,
                threads,
            );
        }
    }
    fn faer(&mut self) {
        let p = &self.product;
        let view = |data, rows, cols, strides: [usize; 2]| match strides[1] {
            1 => MatRef::from_row_major_slice(data, rows, cols),
            _ => MatRef::from_column_major_slice(data, rows, cols),
        };
        let (a, b) = (view(&self.a, p.m, p.k, p.a), view(&self.b, p.k, p.n, p.b));
        let c = MatMut::from_row_major_slice_mut(&mut self.c, p.m, p.n);
        let accum = if p.add { Accum::Add } else { Accum::Replace };
        let threads = NonZeroUsize::new(self.threads).filter(|n| n.get() > 1).map_or(Par::Seq, Par::Rayon);
        matmul(c, accum, a, b, 1.0f32, threads);
    }
    fn matrixmultiply(&mut self) {
        let p = &self.product;
        let [(a_rows, a_cols), (b_rows, b_cols)] = [p.a, p.b].map(|s| (s[0] as isize, s[1] as isize));
        let (beta, c) = (if p.add { 1.0 } else { 0.0 }, self.c.as_mut_ptr());
        let (a, b, c_rows) = (self.a.as_ptr(), self.b.as_ptr(), p.n as isize);
        // SAFETY: the sizes and strides are those with which the three vectors were made.
        unsafe {
            matrixmultiply::sgemm(
                p.m, p.k, p.n, 1.0, a, a_rows, a_cols, b, b_rows, b_cols, beta, c, c_rows, 1,
            );
        }
    }
}
