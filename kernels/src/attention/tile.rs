//! Products of small f32 matrices that fit the cache: the inner loop of attention on the CPU.
//!
//! A block of `ROWS × (VECTORS·lanes)` of the result lives in registers while the whole inner dimension passes by: per step,
//! VECTORS loads of `b`, ROWS broadcasts of `a`, and their ROWS·VECTORS fused multiply-adds. With 4 × 4 vectors of 16
//! lanes the arithmetic, not the loads, is the limit. Each element is one sum in index order: its bits do not depend on
//! the block it falls into. Full-size matrices, where packing and cache blocking matter, are [`crate::matmul`]'s.

use crate::simd::{Simd, level};

/// `c = a·b`, or `c += a·b`: `a` is m × k, `b` is k × n, `c` is m × n; m and n are multiples of [`GRAIN`].
pub(super) struct Product<'a> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Element (i, p) of `a` lies at `i·a_step.0 + p·a_step.1`: either may be 1, so a transposed `a` costs nothing.
    pub a: &'a [f32],
    pub a_step: (usize, usize),
    /// Rows of `b` are dense and `b_row` apart.
    pub b: &'a [f32],
    pub b_row: usize,
    /// Rows of `c` are dense and `c_row` apart.
    pub c: &'a mut [f32],
    pub c_row: usize,
    /// Add to `c`, or replace it.
    pub add: bool,
}

/// Sizes of results are multiples of this; buffers are padded with zeros.
pub(super) const GRAIN: usize = 16;

impl Product<'_> {
    /// Compute it, on the calling thread.
    pub fn run(self) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        assert!(self.m.is_multiple_of(GRAIN) && self.n.is_multiple_of(GRAIN));
        assert!(self.c.len() >= (self.m - 1) * self.c_row + self.n);
        if self.k > 0 {
            assert!(self.a.len() > (self.m - 1) * self.a_step.0 + (self.k - 1) * self.a_step.1);
            assert!(self.b.len() >= (self.k - 1) * self.b_row + self.n);
        }
        match level() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `level` never exceeds what the machine has; sizes were checked above.
            Simd::Avx512 => unsafe { x86::avx512(self) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Simd::Avx2 => unsafe { x86::avx2(self) },
            // SAFETY: sizes were checked above.
            _ => unsafe { blocks::<[f32; 4], 4, 2>(self) },
        }
    }
}

/// A vector register.
trait Lanes: Copy {
    const WIDTH: usize;
    fn splat(v: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `x·y + self`
    fn add_product(self, x: Self, y: Self) -> Self;
}

/// Blocks of ROWS × WIDE vectors, and narrower ones at the right edge.
#[inline(always)]
unsafe fn blocks<V: Lanes, const ROWS: usize, const WIDE: usize>(p: Product) {
    let c = p.c.as_mut_ptr();
    for row in (0..p.m).step_by(ROWS) {
        let mut column = 0;
        while column < p.n {
            let vectors = (p.n - column) / V::WIDTH;
            // SAFETY: the caller checked that all m × n × k elements exist; GRAIN is a multiple of ROWS and WIDTH.
            column += unsafe {
                if vectors >= WIDE {
                    block::<V, ROWS, WIDE>(&p, c, row, column)
                } else if vectors >= 2 {
                    block::<V, ROWS, 2>(&p, c, row, column)
                } else {
                    block::<V, ROWS, 1>(&p, c, row, column)
                }
            };
        }
    }
}

/// One block; returns its width in elements.
#[inline(always)]
unsafe fn block<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    p: &Product,
    c: *mut f32,
    row: usize,
    column: usize,
) -> usize {
    let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
    // SAFETY: all addresses are those of elements (row + i, q), (q, column + …) and (row + i, column + …), which exist.
    unsafe {
        let c = c.add(row * p.c_row + column);
        if p.add {
            for i in 0..ROWS {
                for j in 0..VECTORS {
                    sums[i][j] = V::load(c.add(i * p.c_row + j * V::WIDTH));
                }
            }
        }
        let mut a = p.a.as_ptr().add(row * p.a_step.0);
        let mut b = p.b.as_ptr().add(column);
        for _ in 0..p.k {
            let mut b_vectors = [V::splat(0.0); VECTORS];
            for j in 0..VECTORS {
                b_vectors[j] = V::load(b.add(j * V::WIDTH));
            }
            for i in 0..ROWS {
                let broadcast = V::splat(*a.add(i * p.a_step.0));
                for j in 0..VECTORS {
                    sums[i][j] = sums[i][j].add_product(broadcast, b_vectors[j]);
                }
            }
            a = a.wrapping_add(p.a_step.1);
            b = b.wrapping_add(p.b_row);
        }
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j].store(c.add(i * p.c_row + j * V::WIDTH));
            }
        }
    }
    VECTORS * V::WIDTH
}

impl Lanes for [f32; 4] {
    const WIDTH: usize = 4;
    #[inline(always)]
    fn splat(v: f32) -> Self {
        [v; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for four readable elements.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for four writable elements.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self) }
    }
    #[inline(always)]
    fn add_product(self, x: Self, y: Self) -> Self {
        std::array::from_fn(|i| x[i] * y[i] + self[i])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, Product, blocks};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub unsafe fn avx512(p: Product) {
        // SAFETY: the caller checked the sizes.
        unsafe { blocks::<__m512, 4, 4>(p) }
    }
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(p: Product) {
        // SAFETY: the caller checked the sizes.
        unsafe { blocks::<__m256, 4, 2>(p) }
    }

    macro_rules! lanes {
        ($register:ty, $width:expr, $splat:ident, $load:ident, $store:ident, $fma:ident) => {
            impl Lanes for $register {
                const WIDTH: usize = $width;
                #[inline(always)]
                fn splat(v: f32) -> Self {
                    // SAFETY: only the functions above use this type, and they enable its instructions.
                    unsafe { $splat(v) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: as above; the caller vouches for the elements.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: as above; the caller vouches for the elements.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                fn add_product(self, x: Self, y: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $fma(x, y, self) }
                }
            }
        };
    }
    lanes!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
    lanes!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, so that every sum is exact in any order.
    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| (crate::philox::word(seed, 0, i as u64) % 7) as f32 - 3.0).collect()
    }

    #[test]
    fn every_kernel_gives_the_product_of_the_naive_loop() {
        for (m, n, k) in [(16, 16, 1), (32, 48, 5), (16, 80, 64), (64, 64, 0)] {
            let (a, b, old) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            for (transposed, add) in [(false, false), (false, true), (true, true)] {
                let a_step = if transposed { (1, m) } else { (k, 1) };
                let want: Vec<f32> = (0..m * n)
                    .map(|at| {
                        let (i, j) = (at / n, at % n);
                        let sum: f32 = (0..k).map(|p| a[i * a_step.0 + p * a_step.1] * b[p * n + j]).sum();
                        if add { old[at] + sum } else { sum }
                    })
                    .collect();
                let check = |run: &dyn Fn(Product)| {
                    let mut c = old.clone();
                    run(Product { m, n, k, a: &a, a_step, b: &b, b_row: n, c: &mut c, c_row: n, add });
                    assert_eq!(c, want);
                };
                check(&|p| p.run());
                // SAFETY: the sizes are right, as `run` has just found.
                check(&|p| unsafe { blocks::<[f32; 4], 4, 2>(p) });
                #[cfg(target_arch = "x86_64")]
                if level() >= Simd::Avx2 {
                    // SAFETY: as above, and the level was just looked up.
                    check(&|p| unsafe { x86::avx2(p) });
                }
            }
        }
    }
}
