//! The innermost kernel, seen from outside: one entry per instruction set.
//!
//! A *tile* of C, small enough to live in registers, is the sum of K outer products of a column of packed A and a row of
//! packed B. All the arithmetic of the product happens here, and always in the same way: starting from zero, one
//! multiply-add per k in ascending order, then `c = alpha · sum + beta · c`. What differs between instruction sets is
//! only the size of the tile, and whether a multiply-add rounds once (fused) or twice (scalar).

use super::{kernel_scalar, pack};
use crate::simd::{self, Simd};

/// One call of the kernel.
pub(super) struct Tile {
    /// Rows of C, at most [`Micro::rows`].
    pub rows: usize,
    /// Columns of C, at most [`Micro::cols`].
    pub cols: usize,
    /// Terms of the sum.
    pub k: usize,
    /// Packed A: [`Micro::lanes`] numbers per k, of which `rows` are read.
    pub a: *const f32,
    /// Packed B: [`Micro::cols`] numbers per k, of which `cols` matter.
    pub b: *const f32,
    /// First element of the tile of C.
    pub c: *mut f32,
    /// Distance between rows of C; neighbours in a row are adjacent.
    pub c_row: usize,
    /// Factor of the sum.
    pub alpha: f32,
    /// Factor of the old C; 0 means that C is not read.
    pub beta: f32,
}

/// What one instruction set brings.
pub(super) struct Micro {
    /// Most rows of a tile.
    pub rows: usize,
    /// Most columns of a tile: a whole number of vectors.
    pub cols: usize,
    /// f32 in a vector, which is also the distance between k and k + 1 in packed A (at least `rows`).
    pub lanes: usize,
    /// Most rows for which `stream` exists.
    pub stream_rows: usize,
    /// The kernel for few rows on unpacked B whose terms are adjacent: the tile (its `b` is not used), the first column, the
    /// distance between columns, and whether it is f32 (else bf16). Unsafe like `run`.
    pub stream: Option<unsafe fn(&Tile, *const u8, usize, bool)>,
    /// The kernel. Unsafe: the pointers of the tile must be good for its sizes, and the machine must have the instructions.
    pub run: unsafe fn(&Tile),
    /// Packs up to `lanes` lanes of f32.
    pub strip_f32: pack::Strip<f32>,
    /// Packs up to `lanes` lanes of bf16, widened.
    pub strip_bf16: pack::Strip<crate::Bf16>,
}

/// The kernel of the level in use.
pub(super) fn micro() -> &'static Micro {
    #[cfg(target_arch = "x86_64")]
    match simd::level() {
        Simd::Avx512 => return &super::kernel_avx512::MICRO,
        Simd::Avx2 => return &super::kernel_avx2::MICRO,
        Simd::Scalar => {}
    }
    &kernel_scalar::MICRO
}

/// The kernels this machine can run, for tests that compare them.
#[cfg(test)]
pub(super) fn all() -> Vec<&'static Micro> {
    let mut all = vec![&kernel_scalar::MICRO];
    #[cfg(target_arch = "x86_64")]
    {
        all.extend((simd::detected() >= Simd::Avx2).then_some(&super::kernel_avx2::MICRO));
        all.extend((simd::detected() >= Simd::Avx512).then_some(&super::kernel_avx512::MICRO));
    }
    all
}
