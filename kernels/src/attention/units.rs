//! What a packed tile is made of: *units* of 32 bits that hold `TERMS` neighbouring terms of a sum.
//!
//! One term: an f32, into which bf16 is widened. Two terms: a pair of bf16, the first in the lower half, where the machine
//! multiplies such pairs itself (`vdpbf16ps`, twice the speed). Then the weights, which are made here and not read, are
//! rounded to bf16 as well, as FlashAttention does on tensor cores: the one rounding besides that of the result.
//!
//! The instruction takes numbers below 2⁻¹²⁶ for zeros. Where all of an operand is tiny it is multiplied by [`LIFT`] first,
//! and the result divided by it, both exactly; of an operand that holds larger numbers too, the tiny ones are lost.

use crate::simd;
use crate::{Bf16, DType, Float};

/// Are products of `T` made of pairs?
pub(super) fn in_pairs<T: Float>() -> bool {
    T::DTYPE == DType::Bf16 && simd::multiplies_bf16()
}

/// A pair.
#[inline(always)]
pub(super) fn pair(first: Bf16, second: Bf16) -> f32 {
    f32::from_bits(u32::from(first.0) | u32::from(second.0) << 16)
}

/// The halves of pairs, one after the other.
pub(super) fn halves_mut(pairs: &mut [f32]) -> &mut [Bf16] {
    // SAFETY: an f32 is as long as two bf16 and aligned more strictly, and all bits of both mean something.
    unsafe { std::slice::from_raw_parts_mut(pairs.as_mut_ptr().cast(), 2 * pairs.len()) }
}

/// Term `term % TERMS` of a unit.
pub(super) fn part<const TERMS: usize>(unit: f32, term: usize) -> f32 {
    match TERMS {
        1 => unit,
        _ if term.is_multiple_of(2) => f32::from_bits(unit.to_bits() << 16),
        _ => f32::from_bits(unit.to_bits() & 0xffff_0000),
    }
}

/// No infinity and no NaN in `x`?
pub(super) fn all_finite<const TERMS: usize>(x: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    let is_odd = |bits: u32| u32::from(bits & EXPONENT == EXPONENT);
    let mut odd = 0;
    simd::vectorize(
        #[inline(always)]
        || {
            for x in x {
                let bits = x.to_bits();
                odd |= is_odd(bits) | if TERMS == 2 { is_odd(bits << 16) } else { 0 };
            }
        },
    );
    odd == 0
}

/// Factor of operands that are all below [`TINY`].
pub(super) const LIFT: f32 = (1u128 << 64) as f32;
/// What is not tiny.
const TINY: f32 = 1.0 / LIFT;

/// The factor that keeps rows from being taken for zeros: 1 as soon as a number is found that is not tiny.
pub(super) fn lift<'a, T: Float, const TERMS: usize>(mut rows: impl Iterator<Item = &'a [T]>) -> f32 {
    let ordinary = |row: &[T]| row.iter().any(|x| x.to_f32().abs() >= TINY || x.to_f32().is_nan());
    if TERMS == 1 || rows.any(ordinary) { 1.0 } else { LIFT }
}

/// Multiply the halves of pairs by a power of two.
pub(super) fn scale_pairs(pairs: &mut [f32], factor: f32) {
    if factor != 1.0 {
        halves_mut(pairs).iter_mut().for_each(|x| *x = Bf16::from_f32(x.to_f32() * factor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_its_first_term_in_the_lower_half() {
        let mut unit = [pair(Bf16::from_f32(1.5), Bf16::from_f32(-3.0))];
        assert_eq!([0, 1, 2].map(|i| part::<2>(unit[0], i)), [1.5, -3.0, 1.5]);
        assert_eq!(part::<1>(7.0, 1), 7.0);
        scale_pairs(&mut unit, 2.0);
        assert_eq!(halves_mut(&mut unit).iter().map(|x| x.to_f32()).collect::<Vec<_>>(), [3.0, -6.0]);
    }

    #[test]
    fn one_infinity_or_nan_is_found() {
        let mut x = vec![1e38f32; 64];
        assert!(all_finite::<1>(&x));
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            x[37] = bad;
            assert!(!all_finite::<1>(&x));
            for pair_of in [[bad, 1.0], [-1.0, bad]] {
                let [first, second] = pair_of.map(Bf16::from_f32);
                assert!(!all_finite::<2>(&[0.0, pair(first, second)]));
            }
        }
        assert!(all_finite::<2>(&[pair(Bf16(0x7f7f), Bf16(0xff7f))]));
    }

    #[test]
    fn only_rows_that_are_tiny_throughout_are_lifted() {
        let tiny = [Bf16(1), Bf16(0)];
        assert_eq!(lift::<_, 2>([&tiny[..], &tiny].into_iter()), LIFT);
        assert_eq!(lift::<_, 2>([&tiny[..], &[Bf16::from_f32(-1e-3)]].into_iter()), 1.0);
        assert_eq!(lift::<_, 1>([&tiny[..]].into_iter()), 1.0);
    }
}
