//! Products without any thought for registers: what the order of three loops does, and what wider instructions add.

use super::{Sizes, fused, multiply_add};

// ANCHOR: dots
/// Each element of C in turn, as the definition says it. The innermost loop walks down a column of B.
pub fn dots(Sizes { m, k, n }: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in 0..m {
        for j in 0..n {
            let mut sum = 0.0;
            for l in 0..k {
                sum += a[i * k + l] * b[l * n + j];
            }
            c[i * n + j] = sum;
        }
    }
}
// ANCHOR_END: dots

/// The inner two loops exchanged: a row of C is a sum of rows of B, and the innermost loop walks along both.
pub fn rows(sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    along_rows::<false>(sizes, a, b, c);
}

/// [`rows`], compiled for the widest vectors of this machine, and with fused multiply-adds where it has them.
pub fn wide(sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    kernels::simd::vectorize(
        #[inline(always)]
        || match fused() {
            true => along_rows::<true>(sizes, a, b, c),
            false => along_rows::<false>(sizes, a, b, c),
        },
    );
}

// ANCHOR: rows
#[inline(always)]
fn along_rows<const FUSED: bool>(Sizes { m, k, n }: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    c.fill(0.0);
    for i in 0..m {
        let c = &mut c[i * n..(i + 1) * n];
        for l in 0..k {
            let x = a[i * k + l];
            for (c, &b) in c.iter_mut().zip(&b[l * n..(l + 1) * n]) {
                *c = multiply_add::<FUSED>(x, b, *c); // c + x·b
            }
        }
    }
}
// ANCHOR_END: rows
