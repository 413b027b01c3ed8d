//! Whole numbers of any size, just enough of them for the calculator.
//!
//! Python's integers never overflow, so `100000000000*100000000000` must come out exactly. A number here is a
//! sign and a magnitude; zero is never negative. The arithmetic on magnitudes is in `limbs.rs`.
//!
//! The rounding to `f64` lives here too: [`BigInt::to_f64`] and [`BigInt::true_div`] are rounded once, to
//! nearest, ties to even, the way Python does. Next: `value.rs`, the arithmetic on top.

use std::cmp::Ordering;

use super::limbs::{
    self, add_limbs, bit_length, cmp_limbs, div_rem_limbs, shift_left, shift_right, sub_limbs, trim,
};

/// A signed integer of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigInt {
    negative: bool,
    /// Base 2³² digits, least significant first, the last one nonzero.
    limbs: Vec<u32>,
}

impl BigInt {
    /// Reads digits of the given base (2 to 16); `None` if one of them is not a digit of that base.
    pub fn from_digits(digits: &str, base: u32) -> Option<Self> {
        let mut limbs = Vec::new();
        for c in digits.chars() {
            limbs::mul_add_small(&mut limbs, base, c.to_digit(base)?);
        }
        Some(Self::new(false, limbs))
    }

    fn new(negative: bool, mut limbs: Vec<u32>) -> Self {
        trim(&mut limbs);
        Self { negative: negative && !limbs.is_empty(), limbs }
    }

    /// Is this zero?
    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// The value as an `i64`, or `None` if it does not fit.
    pub fn to_i64(&self) -> Option<i64> {
        if self.limbs.len() > 2 {
            return None;
        }
        let magnitude = self.limbs.iter().rev().fold(0i128, |acc, &limb| (acc << 32) | i128::from(limb));
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }

    /// `-self`.
    pub fn neg(&self) -> Self {
        Self::new(!self.negative, self.limbs.clone())
    }

    /// `self + other`.
    pub fn add(&self, other: &Self) -> Self {
        if self.negative == other.negative {
            return Self::new(self.negative, add_limbs(&self.limbs, &other.limbs));
        }
        match cmp_limbs(&self.limbs, &other.limbs) {
            Ordering::Less => Self::new(other.negative, sub_limbs(&other.limbs, &self.limbs)),
            _ => Self::new(self.negative, sub_limbs(&self.limbs, &other.limbs)),
        }
    }

    /// `self - other`.
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    /// `self · other`.
    pub fn mul(&self, other: &Self) -> Self {
        Self::new(self.negative != other.negative, limbs::mul_limbs(&self.limbs, &other.limbs))
    }

    /// `⌊self / other⌋`, rounded towards minus infinity; `None` if `other` is zero.
    pub fn div_floor(&self, other: &Self) -> Option<Self> {
        let (quotient, remainder) = div_rem_limbs(&self.limbs, &other.limbs)?;
        let negative = self.negative != other.negative;
        let quotient = Self::new(negative, quotient);
        if negative && !remainder.is_empty() {
            return Some(quotient.sub(&Self::from(1)));
        }
        Some(quotient)
    }

    /// The nearest `f64`, ties to even; `None` if that is beyond the largest finite one.
    pub fn to_f64(&self) -> Option<f64> {
        // The top 66 bits are the value, everything below only says "a little more".
        let drop = bit_length(&self.limbs).saturating_sub(66);
        let sticky = (0..drop).any(|i| self.limbs[i / 32] >> (i % 32) & 1 == 1);
        round_to_f64(self.negative, limbs::low_u128(&shift_right(&self.limbs, drop)), sticky, drop as i64)
    }

    /// `self / other` as the nearest `f64`, ties to even; `None` on overflow or if `other` is zero.
    ///
    /// A quotient of zero keeps the sign of the operands, so `0/-5` is `-0.0`, as in Python.
    pub fn true_div(&self, other: &Self) -> Option<f64> {
        // Scale so that the integer quotient has 66 or 67 bits: 53 for the result, the rest to round it.
        let shift = 66 + bit_length(&other.limbs) as i64 - bit_length(&self.limbs) as i64;
        let scaled = |limbs: &[u32], by: i64| shift_left(limbs, by.max(0) as usize);
        let (quotient, remainder) =
            div_rem_limbs(&scaled(&self.limbs, shift), &scaled(&other.limbs, -shift))?;
        let negative = self.negative != other.negative;
        round_to_f64(negative, limbs::low_u128(&quotient), !remainder.is_empty(), -shift)
    }

    /// The decimal digits with a leading `-` if negative; `None` if there are more than `max_digits` of them.
    pub fn to_decimal(&self, max_digits: usize) -> Option<String> {
        // 10 bits hold more than 3 digits, so this bound refuses monsters before the quadratic loop.
        if bit_length(&self.limbs) > max_digits.saturating_mul(4) {
            return None;
        }
        let mut rest = self.limbs.clone();
        let mut groups = Vec::new(); // nine digits each, least significant first
        while !rest.is_empty() {
            groups.push(limbs::div_small(&mut rest, 1_000_000_000));
        }
        let mut digits = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            digits.push_str(&format!("{group:09}"));
        }
        (digits.len() <= max_digits).then(|| if self.negative { format!("-{digits}") } else { digits })
    }
}

impl From<u64> for BigInt {
    fn from(n: u64) -> Self {
        Self::new(false, vec![n as u32, (n >> 32) as u32])
    }
}

/// `±(mantissa + a little more if sticky) · 2^exponent` rounded to the nearest `f64`, ties to even. `None` on
/// overflow. `mantissa` must have at least 55 bits when `sticky` is set, so that "a little more" only breaks
/// ties.
fn round_to_f64(negative: bool, mantissa: u128, sticky: bool, exponent: i64) -> Option<f64> {
    let bits = 128 - i64::from(mantissa.leading_zeros());
    let sign = if negative { -1.0 } else { 1.0 };
    // The last place of the result: 53 bits below the top, but never below 2^-1074, the smallest subnormal.
    let last_place = (exponent + bits - 53).max(-1074);
    let drop = last_place - exponent;
    if mantissa == 0 || drop > 127 {
        return Some(sign * 0.0);
    }
    let mut kept = if drop > 0 { mantissa >> drop } else { mantissa };
    if drop > 0 {
        let rest = mantissa & ((1u128 << drop) - 1);
        let half = 1u128 << (drop - 1);
        if rest > half || rest == half && (sticky || kept & 1 == 1) {
            kept += 1;
        }
    }
    let place = if drop > 0 { last_place } else { exponent };
    // `kept` is at most 2^53, so every factor is exact. Two steps, because 2^place itself may be out of range.
    let half_way = place / 2;
    let value = kept as f64 * 2f64.powi(half_way as i32) * 2f64.powi((place - half_way) as i32);
    value.is_finite().then_some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn big(text: &str) -> BigInt {
        match text.strip_prefix('-') {
            Some(digits) => BigInt::from_digits(digits, 10).unwrap().neg(),
            None => BigInt::from_digits(text, 10).unwrap(),
        }
    }

    #[test]
    fn small_numbers_agree_with_i128() {
        let samples: Vec<i128> = [0, 1, 2, 7, 4294967295, 4294967296, 4294967297, 987654321987654321]
            .iter()
            .flat_map(|&x| [x, -x])
            .collect();
        let decimal = |x: BigInt| x.to_decimal(4300).unwrap();
        for &x in &samples {
            for &y in &samples {
                let (bx, by) = (big(&x.to_string()), big(&y.to_string()));
                assert_eq!(decimal(bx.add(&by)), (x + y).to_string());
                assert_eq!(decimal(bx.sub(&by)), (x - y).to_string());
                assert_eq!(decimal(bx.mul(&by)), (x * y).to_string());
                let floor = (y != 0)
                    .then(|| (x.div_euclid(y) - i128::from(y < 0 && x.rem_euclid(y) != 0)).to_string());
                assert_eq!(bx.div_floor(&by).map(decimal), floor, "{x} // {y}");
            }
        }
    }

    #[test]
    fn rounding_to_f64_is_to_nearest_ties_to_even() {
        assert_eq!(big("9007199254740993").to_f64(), Some(9007199254740992.0));
        assert_eq!(big("9007199254740995").to_f64(), Some(9007199254740996.0));
        assert_eq!(big("-9007199254740993").to_f64(), Some(-9007199254740992.0));
        // One bit far below the tie decides.
        let tie =
            big("9007199254740993").mul(&BigInt::from_digits(&format!("1{}", "0".repeat(200)), 2).unwrap());
        let above = tie.add(&BigInt::from(1));
        assert_eq!(tie.to_f64(), Some(9007199254740992.0 * 2f64.powi(200)));
        assert_eq!(above.to_f64(), Some(9007199254740994.0 * 2f64.powi(200)));
    }

    #[test]
    fn too_large_for_f64_is_none_and_too_small_is_zero() {
        let huge = big(&format!("1{}", "0".repeat(400)));
        assert_eq!(huge.to_f64(), None);
        assert_eq!(huge.true_div(&big("3")), None);
        assert_eq!(big("1").true_div(&huge), Some(0.0));
        assert!(big("-1").true_div(&huge).is_some_and(|x| x == 0.0 && x.is_sign_negative()));
        assert_eq!(huge.true_div(&big("0")), None);
        let smallest = big(&format!("1{}", "0".repeat(324)));
        assert_eq!(big("5").true_div(&smallest), Some(5e-324));
        assert_eq!(
            big("22250738585072011").true_div(&big(&format!("1{}", "0".repeat(324)))),
            Some(2.225_073_858_507_201e-308)
        );
    }

    #[test]
    fn decimal_digits_are_limited() {
        assert_eq!(big("999").to_decimal(3).as_deref(), Some("999"));
        assert_eq!(big("1000").to_decimal(3), None);
        assert_eq!(big("-999").to_decimal(3).as_deref(), Some("-999"));
        assert_eq!(BigInt::from(0).to_decimal(1).as_deref(), Some("0"));
    }
}
