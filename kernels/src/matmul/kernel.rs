//! The innermost kernel, seen from outside: one entry per instruction set.
//!
//! A *tile* of C, small enough to live in registers, is the sum of outer products of a column of packed A and a row of
//! packed B. All the arithmetic of the product happens here, and always in the same way: starting from zero, one
//! multiply-add per unit of K in ascending order, then `new = alpha · sum + beta · old`.
//!
//! A *unit* is 32 bits: an f32, into which bf16 is widened; or, where the machine multiplies bf16 itself, a pair of bf16
//! that are neighbours in the sum, so that one multiply-add takes two terms. What differs between instruction sets is the
//! size of the tile, what a unit is, and whether a multiply-add rounds once (fused) or twice (scalar). All of this is the
//! same for every element of every product of one dtype.

use super::{kernel_scalar, pack};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::simd::{self, Simd};
use crate::{Bf16, DType};

/// Sums in memory: rows of f32 or bf16, neighbours in a row adjacent.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// First element.
    pub address: *mut u8,
    /// Distance between rows, in elements.
    pub row: usize,
    /// Bytes of an element: 4, or 2 for bf16.
    pub bytes: usize,
}

// SAFETY: an address is harmless; who writes there is up to those who use it.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    /// The element `rows` below and `cols` to the right of the first one.
    #[inline(always)]
    pub fn at(&self, rows: usize, cols: usize) -> *mut u8 {
        self.address.wrapping_add((rows * self.row + cols) * self.bytes)
    }
    /// bf16?
    #[inline(always)]
    pub fn is_narrow(&self) -> bool {
        self.bytes == 2
    }
    /// The part that begins there.
    pub fn from(self, rows: usize, cols: usize) -> Place {
        Place { address: self.at(rows, cols), ..self }
    }
}

/// The first `lanes` of a vector of old sums, the others zero. For instruction sets without masks.
///
/// # Safety
/// So many elements must be there, of the type that `narrow` tells.
#[inline(always)]
pub(super) unsafe fn load<const W: usize>(from: *const u8, narrow: bool, lanes: usize) -> [f32; W] {
    let mut sums = [0.0f32; W];
    // SAFETY: the caller's promise; both arrays are a vector long.
    unsafe {
        if narrow {
            let mut bits = [Bf16(0); W];
            std::ptr::copy_nonoverlapping(from.cast(), bits.as_mut_ptr(), lanes);
            sums = bits.map(Bf16::to_f32);
        } else {
            std::ptr::copy_nonoverlapping(from.cast(), sums.as_mut_ptr(), lanes);
        }
    }
    sums
}

/// Writes the first `lanes` of a vector of sums, as [`load`] reads them.
///
/// # Safety
/// As above.
#[inline(always)]
pub(super) unsafe fn store<const W: usize>(to: *mut u8, narrow: bool, lanes: usize, sums: [f32; W]) {
    // SAFETY: as above.
    unsafe {
        if narrow {
            std::ptr::copy_nonoverlapping(sums.map(Bf16::from_f32).as_ptr(), to.cast(), lanes);
        } else {
            std::ptr::copy_nonoverlapping(sums.as_ptr(), to.cast(), lanes);
        }
    }
}

/// One call of the kernel.
pub(super) struct Tile {
    /// Rows of C, at most [`Micro::rows`].
    pub rows: usize,
    /// Columns of C, at most [`Micro::cols`].
    pub cols: usize,
    /// Units of the sum.
    pub units: usize,
    /// Packed A: [`Micro::lanes`] units per step, of which `rows` are read.
    pub a: *const f32,
    /// Packed B: [`Micro::cols`] units per step, of which `cols` matter.
    pub b: *const f32,
    /// What the sum is added to.
    pub old: Place,
    /// Where the result goes; may be `old`.
    pub new: Place,
    /// Factor of the sum.
    pub alpha: f32,
    /// Factor of `old`; 0 means that it is not read.
    pub beta: f32,
}

/// Few rows times unpacked columns: the tile (its `b` is not used), the first column, the bytes between columns, the terms of
/// the sum.
pub(super) type Stream = unsafe fn(&Tile, *const u8, usize, usize);

/// What one instruction set brings.
pub(super) struct Micro {
    /// Most rows of a tile.
    pub rows: usize,
    /// Most columns of a tile: a whole number of vectors.
    pub cols: usize,
    /// Units in a vector, which is also the distance between steps in packed A (at least `rows`).
    pub lanes: usize,
    /// Terms of the sum in a unit: 1, or 2 for pairs of bf16.
    pub terms: usize,
    /// The kernel. Unsafe: the pointers of the tile must be good for its sizes, and the machine must have the instructions.
    pub run: unsafe fn(&Tile),
    /// Most rows for which the two kernels below exist.
    pub stream_rows: usize,
    /// The kernel for few rows and columns of f32 whose terms are adjacent. Unsafe like `run`.
    pub stream_f32: Option<Stream>,
    /// The same for columns of bf16.
    pub stream_bf16: Option<Stream>,
    /// Packs up to `lanes` lanes of f32. Not there where a unit is a pair of bf16.
    pub strip_f32: Option<pack::Strip<f32>>,
    /// Packs up to `lanes` lanes of bf16.
    pub strip_bf16: pack::Strip<Bf16>,
}

/// The kernel of the level in use for operands of this dtype.
pub(super) fn micro(dtype: DType) -> &'static Micro {
    #[cfg(target_arch = "x86_64")]
    match simd::level() {
        Simd::Avx512 if dtype == DType::Bf16 && simd::multiplies_bf16() => {
            return &super::kernel_avx512_bf16::MICRO;
        }
        Simd::Avx512 => return &super::kernel_avx512::MICRO,
        Simd::Avx2 => return &super::kernel_avx2::MICRO,
        Simd::Scalar | Simd::Neon => {}
    }
    #[cfg(target_arch = "aarch64")]
    if simd::level() == Simd::Neon {
        return &super::kernel_neon::MICRO;
    }
    let _ = dtype;
    &kernel_scalar::MICRO
}

/// The kernels this machine can run on operands of this dtype, for tests that compare them.
#[cfg(test)]
pub(super) fn all(dtype: DType) -> Vec<&'static Micro> {
    let mut all = vec![&kernel_scalar::MICRO];
    #[cfg(target_arch = "aarch64")]
    all.push(&super::kernel_neon::MICRO);
    #[cfg(target_arch = "x86_64")]
    {
        all.extend((simd::detected() >= Simd::Avx2).then_some(&super::kernel_avx2::MICRO));
        all.extend((simd::detected() >= Simd::Avx512).then_some(&super::kernel_avx512::MICRO));
        let pairs = dtype == DType::Bf16 && simd::detected_bf16();
        all.extend(pairs.then_some(&super::kernel_avx512_bf16::MICRO));
    }
    let _ = dtype;
    all
}
