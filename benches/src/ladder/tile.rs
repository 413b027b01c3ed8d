//! Products by tiles: some elements of C stay in registers for the whole sum, so that a number which was read is used
//! often. First over the matrices as they lie, then over packed copies.

use super::{Sizes, fused, multiply_add};

/// Rows of a tile.
const ROWS: usize = 4;
/// Columns of a tile: a vector of sixteen. More of either, and the compiler no longer keeps all sums in registers.
const COLS: usize = 16;

/// Sums that live in registers.
type Sums = [[f32; COLS]; ROWS];

// ANCHOR: tile
/// `sums += column · row` for each of the steps: A has `ROWS` numbers per step, its rows `a_row` and its steps `a_step` apart;
/// B has `COLS` neighbours per step, `b_step` apart.
#[inline(always)]
fn outer_products<const FUSED: bool>(
    a: &[f32],
    (a_row, a_step): (usize, usize),
    b: &[f32],
    b_step: usize,
    steps: usize,
) -> Sums {
    let mut sums = [[0.0; COLS]; ROWS];
    for l in 0..steps {
        let row: &[f32; COLS] = b[l * b_step..].first_chunk().unwrap_or(&[0.0; COLS]);
        for r in 0..ROWS {
            let x = a[r * a_row + l * a_step];
            for v in 0..COLS {
                sums[r][v] = multiply_add::<FUSED>(x, row[v], sums[r][v]);
            }
        }
    }
    sums
}
// ANCHOR_END: tile

/// Tile by tile, reading A and B where they lie. What does not fill a tile is done element by element.
pub fn unpacked(sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    kernels::simd::vectorize(
        #[inline(always)]
        || match fused() {
            true => unpacked_tiles::<true>(sizes, a, b, c),
            false => unpacked_tiles::<false>(sizes, a, b, c),
        },
    );
}

#[inline(always)]
fn unpacked_tiles<const FUSED: bool>(Sizes { m, k, n }: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    let (whole_m, whole_n) = (m / ROWS * ROWS, n / COLS * COLS);
    for j in (0..whole_n).step_by(COLS) {
        for i in (0..whole_m).step_by(ROWS) {
            let sums = outer_products::<FUSED>(&a[i * k..], (k, 1), &b[j..], n, k);
            for (r, sums) in sums.iter().enumerate() {
                c[(i + r) * n + j..][..COLS].copy_from_slice(sums);
            }
        }
    }
    let dot = |i: usize, j: usize| {
        (0..k).fold(0.0, |sum, l| multiply_add::<FUSED>(a[i * k + l], b[l * n + j], sum))
    };
    for i in 0..m {
        for j in if i < whole_m { whole_n } else { 0 }..n {
            c[i * n + j] = dot(i, j);
        }
    }
}

/// Tile by tile over packed copies of all of A and B.
pub fn packed(sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    in_blocks::<{ usize::MAX }, { usize::MAX }>(sizes, a, b, c);
}

/// Terms of a packed block.
const K_BLOCK: usize = 256;
/// Rows of A in a packed block: 128 KiB with 256 terms, a part of the second-level cache.
const M_BLOCK: usize = 128;

/// The same in blocks: the packed part of A stays in the second-level cache while the tiles of B come by, one after the other,
/// and each of those in the first.
pub fn blocked(sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    in_blocks::<K_BLOCK, M_BLOCK>(sizes, a, b, c);
}

fn in_blocks<const K: usize, const M: usize>(sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
    kernels::simd::vectorize(
        #[inline(always)]
        || match fused() {
            true => packed_tiles::<true, K, M>(sizes, a, b, c),
            false => packed_tiles::<false, K, M>(sizes, a, b, c),
        },
    );
}

// ANCHOR: packed
#[inline(always)]
fn packed_tiles<const FUSED: bool, const K: usize, const M: usize>(
    Sizes { m, k, n }: Sizes,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
) {
    c.fill(0.0);
    for first in (0..k).step_by(K) {
        let steps = K.min(k - first);
        // All columns of B over these terms, tile after tile; what is missing of the last tile is zero.
        let b = pack::<COLS>(n, steps, |l, j| b[(first + l) * n + j]);
        for top in (0..m).step_by(M) {
            let rows = M.min(m - top);
            let a = pack::<ROWS>(rows, steps, |l, i| a[(top + i) * k + first + l]);
            for (j, b) in b.chunks_exact(steps * COLS).enumerate() {
                for (i, a) in a.chunks_exact(steps * ROWS).enumerate() {
                    let sums = outer_products::<FUSED>(a, (1, ROWS), b, COLS, steps);
                    let cols = COLS.min(n - j * COLS);
                    for (r, sums) in sums.iter().enumerate().take(rows - i * ROWS) {
                        let c = &mut c[(top + i * ROWS + r) * n + j * COLS..][..cols];
                        c.iter_mut().zip(sums).for_each(|(c, sum)| *c += sum);
                    }
                }
            }
        }
    }
}

/// `lanes` lanes of `steps` numbers, W lanes side by side for each step, zeros where there is no lane.
#[inline(always)]
fn pack<const W: usize>(lanes: usize, steps: usize, at: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut packed = Vec::with_capacity(lanes.div_ceil(W) * W * steps);
    for tile in (0..lanes).step_by(W) {
        for l in 0..steps {
            packed.extend((tile..tile + W).map(|lane| if lane < lanes { at(l, lane) } else { 0.0 }));
        }
    }
    packed
}
// ANCHOR_END: packed
