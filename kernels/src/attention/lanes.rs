//! A vector register as a type: what the attention kernels need beyond loops that the compiler vectorises by itself.
//!
//! Code is written once, generic over [`Lanes`], as a [`Work`]; [`run`] compiles it for every instruction set and picks one.
//! Multiplication and addition are fused where the hardware can, so results differ in the last bits between levels.

use crate::simd::{Simd, level};
use crate::{Bf16, DType, Float};

/// A vector register of f32. Pointers need no alignment.
pub(crate) trait Lanes: Copy {
    /// Numbers in it.
    const WIDTH: usize;
    /// Are there 32 of them, or 16?
    const MANY: bool;
    fn splat(v: f32) -> Self;
    /// # Safety
    /// `WIDTH` elements must be readable.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `WIDTH` elements must be readable.
    unsafe fn load_bf16(from: *const Bf16) -> Self;
    /// # Safety
    /// `WIDTH` elements must be writable.
    unsafe fn store(self, to: *mut f32);
    /// `x·y + self`
    fn add_product(self, x: Self, y: Self) -> Self;
    /// All lanes, halves added to each other again and again.
    fn sum(self) -> f32;
    /// [`Lanes::sum`] of each, bit for bit; four together may need fewer instructions.
    #[inline(always)]
    fn sums(of: [Self; 4]) -> [f32; 4] {
        of.map(Self::sum)
    }

    /// Load and widen.
    ///
    /// # Safety
    /// `WIDTH` elements must be readable.
    #[inline(always)]
    unsafe fn load_wide<T: Float>(from: *const T) -> Self {
        // SAFETY: promised by the caller; T is the type its DTYPE names.
        unsafe {
            if T::DTYPE == DType::Bf16 { Self::load_bf16(from.cast()) } else { Self::load(from.cast()) }
        }
    }
}

/// Something to compute with registers of any kind. Mark the implementation `#[inline(always)]`, and what it calls, too.
pub(crate) trait Work {
    fn run<V: Lanes>(self);
}

/// Do the work with the vector instructions in use.
#[inline]
pub(crate) fn run(work: impl Work) {
    at(level(), work)
}

/// Do the work at a level that this machine has.
#[inline(always)]
fn at(level: Simd, work: impl Work) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `level` never exceeds what the machine was found to have.
        Simd::Avx512 => unsafe { x86::avx512(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { x86::avx2(work) },
        #[cfg(target_arch = "aarch64")]
        Simd::Neon => work.run::<std::arch::aarch64::float32x4_t>(),
        _ => work.run::<[f32; 4]>(),
    }
}

/// The same with a multiply-add that takes pairs of bf16, on a machine that has one ([`crate::simd::multiplies_bf16`]).
#[inline]
pub(crate) fn run_pairs(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    {
        assert!(crate::simd::detected_bf16() && crate::simd::detected() == Simd::Avx512);
        // SAFETY: just checked.
        unsafe { x86::avx512_bf16(work) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    run(work);
}

impl Lanes for [f32; 4] {
    const WIDTH: usize = 4;
    const MANY: bool = false;
    #[inline(always)]
    fn splat(v: f32) -> Self {
        [v; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const Bf16) -> Self {
        // SAFETY: promised by the caller.
        unsafe { from.cast::<[Bf16; 4]>().read_unaligned() }.map(Bf16::to_f32)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self) }
    }
    #[inline(always)]
    fn add_product(self, x: Self, y: Self) -> Self {
        [x[0] * y[0] + self[0], x[1] * y[1] + self[1], x[2] * y[2] + self[2], x[3] * y[3] + self[3]]
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        (self[0] + self[2]) + (self[1] + self[3])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Bf16, Lanes, Work};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub unsafe fn avx512(work: impl Work) {
        work.run::<__m512>();
    }
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
    pub unsafe fn avx512_bf16(work: impl Work) {
        work.run::<Pairs>();
    }
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(work: impl Work) {
        work.run::<__m256>();
    }

    #[inline(always)]
    unsafe fn sum_128(x: __m128) -> f32 {
        // SAFETY: the baseline has these.
        unsafe {
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    /// The additions of four `sum`s, four or two of them in one instruction.
    #[inline(always)]
    unsafe fn four_sums([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        // SAFETY: only for those who have the instructions.
        unsafe {
            // Lower half plus upper half of a and of b.
            let halves =
                |a, b| _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xEE>(a, b));
            let (ab, cd) = (halves(a, b), halves(c, d));
            let (low, high) = (_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xDD>(ab, cd));
            let x = _mm512_add_ps(low, high); // four numbers left of each
            let x = _mm512_add_ps(x, _mm512_permute_ps::<0b01_00_11_10>(x));
            let x = _mm512_add_ps(x, _mm512_permute_ps::<0b10_11_00_01>(x));
            let mut sums = [0.0; 4];
            _mm_storeu_ps(sums.as_mut_ptr(), _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, x)));
            sums
        }
    }

    /// A register of f32 to add to, and of pairs of bf16 to multiply.
    #[derive(Clone, Copy)]
    pub struct Pairs(__m512);

    impl Lanes for Pairs {
        const WIDTH: usize = 16;
        const MANY: bool = true;
        #[inline(always)]
        fn splat(v: f32) -> Self {
            Pairs(Lanes::splat(v))
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: promised by the caller.
            Pairs(unsafe { Lanes::load(from) })
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const Bf16) -> Self {
            // SAFETY: promised by the caller.
            Pairs(unsafe { Lanes::load_bf16(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: promised by the caller.
            unsafe { self.0.store(to) }
        }
        /// Both products of each pair, exactly, and the sum rounded once or twice.
        #[inline(always)]
        fn add_product(self, x: Self, y: Self) -> Self {
            // SAFETY: all bits of these types mean something; see the note on the macro.
            unsafe {
                let [x, y] = [x.0, y.0].map(|v| std::mem::transmute::<__m512, __m512bh>(v));
                Pairs(_mm512_dpbf16_ps(self.0, x, y))
            }
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            self.0.sum()
        }
    }

    // Only the three functions above bring these types into play, and they enable the instructions used below.
    macro_rules! lanes {
        ($register:ty, $width:expr, $many:expr, $splat:ident, $load:ident, $store:ident, $fma:ident,
         |$from:ident| $bf16:expr, |$x:ident| $sum:expr, |$of:ident| $sums:expr) => {
            impl Lanes for $register {
                const WIDTH: usize = $width;
                const MANY: bool = $many;
                #[inline(always)]
                fn splat(v: f32) -> Self {
                    // SAFETY: see the note on the macro.
                    unsafe { $splat(v) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: as above; the caller vouches for the elements.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn load_bf16($from: *const Bf16) -> Self {
                    // SAFETY: as above; the caller vouches for the elements.
                    unsafe { $bf16 }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: as above; the caller vouches for the elements.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                fn add_product(self, x: Self, y: Self) -> Self {
                    // SAFETY: see the note on the macro.
                    unsafe { $fma(x, y, self) }
                }
                #[inline(always)]
                fn sum(self) -> f32 {
                    let $x = self;
                    // SAFETY: see the note on the macro.
                    unsafe { $sum }
                }
                #[inline(always)]
                fn sums($of: [Self; 4]) -> [f32; 4] {
                    $sums
                }
            }
        };
    }
    lanes!(
        __m256,
        8,
        false,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        |from| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(
            from.cast()
        )))),
        |x| sum_128(_mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x))),
        |of| of.map(Lanes::sum)
    );
    lanes!(
        __m512,
        16,
        true,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps,
        |from| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
            from.cast()
        )))),
        |x| _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x)).sum(),
        // SAFETY: see the note on the macro.
        |of| unsafe { four_sums(of) }
    );
}

/// Do the work at one of [`crate::simd::levels`], whatever is in use.
#[cfg(test)]
pub(crate) fn run_at(level: Simd, work: impl Work) {
    at(level.min(crate::simd::detected()), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Widens, stores, and sums WIDTH numbers.
    struct Probe<'a, T>(&'a [T; 16], &'a mut [f32; 16], &'a mut f32);
    impl<T: Float> Work for Probe<'_, T> {
        fn run<V: Lanes>(self) {
            for at in (0..16).step_by(V::WIDTH) {
                // SAFETY: WIDTH divides 16.
                let x = unsafe { V::load_wide(self.0.as_ptr().add(at)) };
                let twice = x.add_product(x, V::splat(1.0));
                // SAFETY: as above.
                unsafe { twice.store(self.1.as_mut_ptr().add(at)) };
                *self.2 += x.sum();
                let each = [x, twice, x.add_product(twice, x), twice.add_product(x, x)];
                assert_eq!(V::sums(each).map(f32::to_bits), each.map(|v| v.sum().to_bits()));
            }
        }
    }

    fn lanes_keep_their_places<T: Float>() {
        let x: [T; 16] = std::array::from_fn(|i| T::from_f32(i as f32 - 3.0));
        for level in crate::simd::levels() {
            let (mut twice, mut sum) = ([0.0; 16], 0.0);
            run_at(level, Probe(&x, &mut twice, &mut sum));
            assert_eq!(twice, std::array::from_fn(|i| 2.0 * i as f32 - 6.0), "{level:?}");
            assert_eq!(sum, 72.0, "{level:?}");
        }
    }

    #[test]
    fn lanes_keep_their_places_and_sums_miss_none() {
        lanes_keep_their_places::<f32>();
        lanes_keep_their_places::<Bf16>();
    }
}
