//! The number types kernels work on, and how numbers are rounded into them.
//!
//! Storage is f32, bf16, i32 (ids and positions) or, on the reference backend alone, f64. Arithmetic is f32 or wider
//! everywhere; a result is rounded once, to nearest with ties to even. Read next: [`crate::view`].

use crate::planted;
use std::fmt;

/// What one element of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE binary32.
    F32,
    /// The upper half of a binary32: 8 exponent bits, 7 mantissa bits.
    Bf16,
    /// Signed 32-bit integers: token ids, positions, page numbers.
    I32,
    /// IEEE binary64, on the reference backend only.
    F64,
}

impl DType {
    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bf16 => 2,
            DType::F32 | DType::I32 => 4,
            DType::F64 => 8,
        }
    }
    /// Is this a type that carries gradients?
    pub const fn is_float(self) -> bool {
        !matches!(self, DType::I32)
    }
    /// Half the spacing of numbers near 1: the largest relative error of one rounding.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            DType::F32 => 1.0 / (1u64 << 24) as f64,
            DType::Bf16 => 1.0 / 256.0,
            DType::I32 => 0.0,
            DType::F64 => 1.0 / (1u64 << 53) as f64,
        }
    }
    /// Half the spacing of this dtype's numbers around `v >= 0`, subnormals included: the error of one correct rounding.
    pub fn half_ulp(self, v: f64) -> f64 {
        let smallest_normal = if self == DType::F64 { -1022 } else { -126 }; // f32 and bf16 have the same exponents
        let exponent = ((v.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        if v.is_finite() { self.unit_roundoff() * 2f64.powi(exponent.max(smallest_normal)) } else { 0.0 }
    }
    /// `v` rounded into this dtype and read back.
    pub fn round(self, v: f64) -> f64 {
        match self {
            DType::F32 => v as f32 as f64,
            DType::Bf16 => Bf16::from_f64(v).to_f32() as f64,
            DType::I32 => v as i32 as f64,
            DType::F64 => v,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::I32 => "i32",
            DType::F64 => "f64",
        })
    }
}

/// bfloat16, as its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Bf16 {
    /// Round to nearest, ties to even; NaN stays NaN (made quiet), overflow becomes infinity.
    #[inline(always)]
    pub fn from_f32(v: f32) -> Self {
        // Adding 0x7fff plus the lowest kept bit carries into the kept half exactly when rounding up is right. Both choices
        // are blends: a loop over this is vector code, five operations per vector.
        Bf16((Bf16::rounded(v) >> 16) as u16)
    }
    /// The same in the upper half of a word; the lower half is of no meaning.
    #[inline(always)]
    fn rounded(v: f32) -> u32 {
        let bits = v.to_bits();
        let even = bits.wrapping_add(0x7fff);
        let rounded = if bits & 0x1_0000 == 0 { even } else { even.wrapping_add(1) };
        if v.is_nan() { bits | 0x40_0000 } else { rounded }
    }
    /// Round an f64 once. Going through a nearest-rounded f32 would round twice, so the f32 in between is rounded *to odd*:
    /// truncated, with its lowest bit set if anything was lost. That bit is far below bf16's and decides no tie wrongly.
    #[inline(always)]
    pub fn from_f64(v: f64) -> Self {
        let near = v as f32;
        let inexact = planted!("element.rounds_twice", (near as f64 != v) & near.is_finite() => false);
        let bits = near.to_bits();
        let truncated = bits.wrapping_sub(((near as f64).abs() > v.abs()).into());
        Bf16::from_f32(f32::from_bits(if inexact { truncated | 1 } else { bits })) // blends, so that loops are vectors
    }
    /// Exact.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        f32::from_bits((self.0 as u32) << 16)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i32 {}
    impl Sealed for super::Bf16 {}
}

/// A Rust type that a buffer can hold. Every bit pattern of these types is a valid value.
pub trait Element: sealed::Sealed + Copy + Send + Sync + Default + 'static {
    /// The matching run-time tag.
    const DTYPE: DType;
    /// Widen exactly.
    fn to_f64(self) -> f64;
    /// Round once, to nearest even.
    fn from_f64(v: f64) -> Self;
}

/// An element that the fast kernels load into, and round from, f32.
pub trait Float: Element {
    /// Widen exactly.
    fn to_f32(self) -> f32;
    /// Round once, to nearest even.
    fn from_f32(v: f32) -> Self;
    /// `y[i] = f(a[i], b[i], y[i])` for slices of one length, widened before and rounded after: the loop that becomes vector
    /// code inside [`crate::simd::vectorize`].
    #[inline(always)]
    fn each(y: &mut [Self], a: &[Self], b: &[Self], f: impl Fn(f32, f32, f32) -> f32) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = Self::from_f32(f(a.to_f32(), b.to_f32(), y.to_f32()));
        }
    }
    /// `y[i] = f(a[i], b[i])`, or that added to what `y` holds, with one rounding either way.
    #[inline(always)]
    fn put(y: &mut [Self], a: &[Self], b: &[Self], accumulate: bool, f: impl Fn(f32, f32) -> f32) {
        if accumulate {
            Self::each(
                y,
                a,
                b,
                #[inline(always)]
                |a, b, old| old + f(a, b),
            );
        } else {
            Self::each(
                y,
                a,
                b,
                #[inline(always)]
                |a, b, _| f(a, b),
            );
        }
    }
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    fn to_f64(self) -> f64 {
        self as f64
    }
    fn from_f64(v: f64) -> Self {
        v as f32
    }
}
impl Float for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_f32(v: f32) -> Self {
        v
    }
}
impl Element for Bf16 {
    const DTYPE: DType = DType::Bf16;
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.to_f32() as f64
    }
    #[inline(always)]
    fn from_f64(v: f64) -> Self {
        Bf16::from_f64(v)
    }
}
impl Float for Bf16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        Bf16::to_f32(self)
    }
    #[inline(always)]
    fn from_f32(v: f32) -> Self {
        Bf16::from_f32(v)
    }
    /// Two neighbours at a time, as one word: the first is its lower half, to be shifted up, the second is its upper half as
    /// it stands. No element then moves between the lanes of a vector, which costs more than the arithmetic.
    #[inline(always)]
    fn each(y: &mut [Self], a: &[Self], b: &[Self], f: impl Fn(f32, f32, f32) -> f32) {
        let n = y.len().min(a.len()).min(b.len());
        let words = if cfg!(target_endian = "little") { n / 2 } else { 0 };
        let (y_words, a_words, b_words) =
            (y.as_mut_ptr().cast::<u32>(), a.as_ptr().cast::<u32>(), b.as_ptr().cast::<u32>());
        let low = |word: u32| f32::from_bits(word << 16);
        let high = |word: u32| f32::from_bits(word & 0xffff_0000);
        for i in 0..words {
            // SAFETY: word `i` is the elements 2i and 2i + 1 of each slice, which have at least twice as many elements as
            // there are words; unaligned reads and writes need no more.
            unsafe {
                let (a, b) = (a_words.add(i).read_unaligned(), b_words.add(i).read_unaligned());
                let old = y_words.add(i).read_unaligned();
                let first = Bf16::rounded(f(low(a), low(b), low(old)));
                let second = Bf16::rounded(f(high(a), high(b), high(old)));
                y_words.add(i).write_unaligned(first >> 16 | second & 0xffff_0000);
            }
        }
        for i in 2 * words..n {
            y[i] = Bf16::from_f32(f(a[i].to_f32(), b[i].to_f32(), y[i].to_f32()));
        }
    }
}
impl Element for f64 {
    const DTYPE: DType = DType::F64;
    fn to_f64(self) -> f64 {
        self
    }
    fn from_f64(v: f64) -> Self {
        v
    }
}
impl Element for i32 {
    const DTYPE: DType = DType::I32;
    fn to_f64(self) -> f64 {
        self as f64
    }
    fn from_f64(v: f64) -> Self {
        v as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bf16_survives_a_round_trip() {
        for bits in 0..=u16::MAX {
            let wide = Bf16(bits).to_f32();
            let back = Bf16::from_f32(wide);
            assert_eq!(back, Bf16::from_f64(wide as f64));
            if wide.is_nan() {
                assert!(back.to_f32().is_nan());
            } else {
                assert_eq!(back.0, bits);
            }
        }
    }

    #[test]
    fn ties_between_neighbours_go_to_the_even_one() {
        for bits in 0..0x7f7fu16 {
            let (lo, hi) = (Bf16(bits).to_f32() as f64, Bf16(bits + 1).to_f32() as f64);
            let tie = 0.5 * (lo + hi);
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            assert_eq!(Bf16::from_f64(tie).0, even);
            assert_eq!(Bf16::from_f32(tie as f32).0, even);
            // A hair on either side of the tie, finer than f32 can hold, decides.
            assert_eq!(Bf16::from_f64(tie - tie * 1e-15).0, bits);
            assert_eq!(Bf16::from_f64(tie + tie * 1e-15).0, bits + 1);
        }
    }

    #[test]
    fn pairs_are_rounded_as_single_numbers_are() {
        for n in 0..7 {
            for start in 0..2 {
                let a: Vec<Bf16> = (0..n + start).map(|i| Bf16(0x3f81 + 77 * i as u16)).collect();
                let b: Vec<Bf16> = (0..n + start).map(|i| Bf16(0xbf13 - 5 * i as u16)).collect();
                let mut y: Vec<Bf16> = (0..n + start).map(|i| Bf16(0x4000 + i as u16)).collect();
                let f = |a: f32, b: f32, y: f32| 1.37 * a - b * y;
                let want = |i: usize| Bf16::from_f32(f(a[i].to_f32(), b[i].to_f32(), y[i].to_f32()));
                let want: Vec<Bf16> = (start..n + start).map(want).collect();
                Bf16::each(&mut y[start..], &a[start..], &b[start..], f);
                assert_eq!(y[start..], want);
                let nan = Bf16(0xff81); // signalling: becomes quiet, keeps its sign
                let mut y = vec![Bf16(0); n];
                Bf16::each(&mut y, &vec![nan; n], &vec![nan; n], |a, _, _| a);
                assert!(y.iter().all(|y| y.0 == 0xffc1));
            }
        }
    }

    #[test]
    fn half_an_ulp_is_the_distance_of_a_tie_from_its_neighbours() {
        assert_eq!([1.0, 1.99, 2.0].map(|v| DType::Bf16.half_ulp(v) * 256.0), [1.0, 1.0, 2.0]);
        assert_eq!(DType::F32.half_ulp(0.0), 2f64.powi(-150));
        assert_eq!(DType::Bf16.half_ulp(1e-45), 2f64.powi(-134));
        assert_eq!(DType::I32.half_ulp(7.0), 0.0);
    }

    #[test]
    fn overflow_is_infinity_and_nan_stays_nan() {
        assert_eq!(Bf16::from_f32(f32::MAX).to_f32(), f32::INFINITY);
        assert_eq!(Bf16::from_f64(1e300).to_f32(), f32::INFINITY);
        assert!(Bf16::from_f32(f32::from_bits(0x7f80_0001)).to_f32().is_nan());
    }
}
