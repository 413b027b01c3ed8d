//! Products of small matrices that fit the cache: the inner loop of attention on the CPU.
//!
//! Operands are made of units (`units.rs`): f32, or pairs of bf16 where one multiply-add takes two terms; sums are f32.
//! A block of `ROWS × (VECTORS·lanes)` of the result lives in registers while the whole inner dimension passes by: per step,
//! VECTORS loads of `b`, ROWS broadcasts of `a`, and their ROWS·VECTORS fused multiply-adds. With 4 × 4 vectors of 16
//! lanes the arithmetic, not the loads, is the limit. Each element is one sum in index order: its bits do not depend on
//! the block it falls into. Full-size matrices, where packing and cache blocking matter, are [`crate::matmul`]'s.

use super::lanes::{Lanes, Work, run, run_pairs};

/// `c = a·b`, or `c += a·b`: `a` is m × k units, `b` is k × n, `c` is m × n; m and n are multiples of [`GRAIN`].
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
    /// Compute it, on the calling thread, with units of so many terms: two only where [`in_pairs`](super::units::in_pairs).
    pub fn run<const TERMS: usize>(self) {
        if TERMS == 2 { run_pairs(self) } else { run(self) }
    }
}

impl Work for Product<'_> {
    /// Blocks of as many vectors as the registers hold, and narrower ones at the right edge.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        assert!(self.m.is_multiple_of(GRAIN) && self.n.is_multiple_of(GRAIN));
        assert!(self.c.len() >= (self.m - 1) * self.c_row + self.n);
        if self.k > 0 {
            assert!(self.a.len() > (self.m - 1) * self.a_step.0 + (self.k - 1) * self.a_step.1);
            assert!(self.b.len() >= (self.k - 1) * self.b_row + self.n);
        }
        let c = self.c.as_mut_ptr();
        for row in (0..self.m).step_by(ROWS) {
            let mut column = 0;
            while column < self.n {
                let vectors = (self.n - column) / V::WIDTH;
                // SAFETY: all m × n × k elements exist (just checked); GRAIN is a multiple of ROWS and WIDTH.
                column += unsafe {
                    if vectors >= 4 && V::MANY {
                        block::<V, 4>(&self, c, row, column)
                    } else if vectors >= 2 {
                        block::<V, 2>(&self, c, row, column)
                    } else {
                        block::<V, 1>(&self, c, row, column)
                    }
                };
            }
        }
    }
}

/// Rows of a block.
const ROWS: usize = 4;

/// One block of ROWS × VECTORS vectors; returns its width in elements.
///
/// # Safety
/// The block and its rows of `a` and columns of `b` must exist.
#[inline(always)]
unsafe fn block<V: Lanes, const VECTORS: usize>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::lanes::run_at;
    use crate::attention::units::pair;

    /// Small integers, so that every sum is exact in any order.
    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| (crate::philox::word(seed, 0, i as u64) % 7) as f32 - 3.0).collect()
    }

    #[test]
    fn products_of_pairs_are_those_of_their_halves() {
        if !crate::simd::detected_bf16() {
            return; // no kernel to test
        }
        let (m, n, k) = (16, 80, 6);
        let narrow = |x: Vec<f32>| x.into_iter().map(crate::Bf16::from_f32).collect::<Vec<_>>();
        let (a, b) = (narrow(numbers(m * k, 1)), narrow(numbers(k * n, 2)));
        let units = |first: usize, second: usize, x: &[crate::Bf16]| pair(x[first], x[second]);
        let a_units: Vec<f32> = (0..m * k / 2).map(|i| units(2 * i, 2 * i + 1, &a)).collect();
        let b_units: Vec<f32> =
            (0..k / 2 * n).map(|i| units(i / n * 2 * n + i % n, (i / n * 2 + 1) * n + i % n, &b)).collect();
        let mut c = vec![1.0; m * n];
        let product = Product {
            m,
            n,
            k: k / 2,
            a: &a_units,
            a_step: (k / 2, 1),
            b: &b_units,
            b_row: n,
            c: &mut c,
            c_row: n,
            add: true,
        };
        product.run::<2>();
        for (at, c) in c.iter().enumerate() {
            let term = |p: usize| a[at / n * k + p].to_f32() * b[p * n + at % n].to_f32();
            assert_eq!(*c, 1.0 + (0..k).map(term).sum::<f32>());
        }
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
                for level in crate::simd::levels() {
                    let mut c = old.clone();
                    run_at(
                        level,
                        Product { m, n, k, a: &a, a_step, b: &b, b_row: n, c: &mut c, c_row: n, add },
                    );
                    assert_eq!(c, want, "{level:?}");
                }
            }
        }
    }
}
