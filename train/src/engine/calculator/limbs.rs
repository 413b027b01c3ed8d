//! Magnitudes: the arithmetic of `bigint.rs` without its signs.
//!
//! A magnitude is a list of *limbs*, digits in base 2³², least significant first. It is *trimmed* when its
//! last limb is not zero; zero has no limbs. The methods are the ones taught at school, with carry and
//! borrow; long division is Knuth's algorithm D (The Art of Computer Programming, volume 2, section 4.3.1).
//! The calculator limits the length of its input, so quadratic time is fine.

use std::cmp::Ordering;

/// Drops leading zero limbs.
pub fn trim(limbs: &mut Vec<u32>) {
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
}

/// Number of bits without leading zeros.
pub fn bit_length(limbs: &[u32]) -> usize {
    limbs.last().map_or(0, |top| limbs.len() * 32 - top.leading_zeros() as usize)
}

/// The value of at most four limbs.
pub fn low_u128(limbs: &[u32]) -> u128 {
    limbs.iter().rev().fold(0, |acc, &limb| (acc << 32) | u128::from(limb))
}

/// Compares trimmed magnitudes.
pub fn cmp_limbs(a: &[u32], b: &[u32]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

/// `a + b`.
pub fn add_limbs(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0u64;
    for i in 0..a.len().max(b.len()) {
        let at = |x: &[u32]| u64::from(x.get(i).copied().unwrap_or(0));
        let t = at(a) + at(b) + carry;
        out.push(t as u32);
        carry = t >> 32;
    }
    out.push(carry as u32);
    out
}

/// `a - b` where `a >= b`.
pub fn sub_limbs(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(a.len());
    let mut borrow = 0i64;
    for (i, &limb) in a.iter().enumerate() {
        let t = i64::from(limb) - i64::from(b.get(i).copied().unwrap_or(0)) - borrow;
        out.push(t as u32);
        borrow = i64::from(t < 0);
    }
    out
}

/// `a · b`.
pub fn mul_limbs(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = vec![0u32; a.len() + b.len()];
    for (i, &x) in a.iter().enumerate() {
        let mut carry = 0u64;
        for (j, &y) in b.iter().enumerate() {
            let t = u64::from(x) * u64::from(y) + u64::from(out[i + j]) + carry;
            out[i + j] = t as u32;
            carry = t >> 32;
        }
        out[i + b.len()] = carry as u32;
    }
    out
}

/// `limbs ← limbs · factor + addend`.
pub fn mul_add_small(limbs: &mut Vec<u32>, factor: u32, addend: u32) {
    let mut carry = u64::from(addend);
    for limb in limbs.iter_mut() {
        let t = u64::from(*limb) * u64::from(factor) + carry;
        *limb = t as u32;
        carry = t >> 32;
    }
    if carry > 0 {
        limbs.push(carry as u32);
    }
}

/// `limbs ← ⌊limbs / divisor⌋`; returns the remainder.
pub fn div_small(limbs: &mut Vec<u32>, divisor: u32) -> u32 {
    let mut remainder = 0u64;
    for limb in limbs.iter_mut().rev() {
        let t = (remainder << 32) | u64::from(*limb);
        *limb = (t / u64::from(divisor)) as u32;
        remainder = t % u64::from(divisor);
    }
    trim(limbs);
    remainder as u32
}

/// `limbs · 2^by`.
pub fn shift_left(limbs: &[u32], by: usize) -> Vec<u32> {
    let mut out = vec![0u32; by / 32];
    let mut carry = 0u64;
    for &limb in limbs {
        let t = (u64::from(limb) << (by % 32)) | carry;
        out.push(t as u32);
        carry = t >> 32;
    }
    out.push(carry as u32);
    trim(&mut out);
    out
}

/// `⌊limbs / 2^by⌋`.
pub fn shift_right(limbs: &[u32], by: usize) -> Vec<u32> {
    let kept = limbs.get(by / 32..).unwrap_or(&[]);
    let next = |i: usize| u64::from(kept.get(i + 1).copied().unwrap_or(0)) << 32;
    let mut out: Vec<u32> =
        kept.iter().enumerate().map(|(i, &limb)| ((next(i) | u64::from(limb)) >> (by % 32)) as u32).collect();
    trim(&mut out);
    out
}

/// Quotient and remainder of magnitudes, both trimmed; `None` if `b` is zero.
pub fn div_rem_limbs(a: &[u32], b: &[u32]) -> Option<(Vec<u32>, Vec<u32>)> {
    let (&top, n) = (b.last()?, b.len());
    if cmp_limbs(a, b) == Ordering::Less {
        return Some((Vec::new(), a.to_vec()));
    }
    if n == 1 {
        let mut quotient = a.to_vec();
        let mut remainder = vec![div_small(&mut quotient, top)];
        trim(&mut remainder);
        return Some((quotient, remainder));
    }
    // With the divisor's top bit set, a guess from the two leading limbs is at most two too large.
    let shift = top.leading_zeros() as usize;
    let b = shift_left(b, shift);
    let mut a = shift_left(a, shift);
    a.push(0);
    let mut quotient = vec![0u32; a.len() - n];
    for j in (0..quotient.len()).rev() {
        quotient[j] = long_division_digit(&mut a[j..], &b);
    }
    trim(&mut quotient);
    trim(&mut a);
    Some((quotient, shift_right(&a, shift)))
}

/// One digit of long division: the largest `q` with `q·b <= a[..=n]`, subtracted from `a` in place.
fn long_division_digit(a: &mut [u32], b: &[u32]) -> u32 {
    let n = b.len();
    let leading = (u64::from(a[n]) << 32) | u64::from(a[n - 1]);
    let mut q = leading / u64::from(b[n - 1]);
    let mut rest = leading % u64::from(b[n - 1]);
    while q >> 32 != 0 || q * u64::from(b[n - 2]) > (rest << 32 | u64::from(a[n - 2])) {
        q -= 1;
        rest += u64::from(b[n - 1]);
        if rest >> 32 != 0 {
            break;
        }
    }
    let (mut borrow, mut carry) = (0i64, 0u64);
    for i in 0..=n {
        let product = q * u64::from(b.get(i).copied().unwrap_or(0)) + carry;
        carry = product >> 32;
        let t = i64::from(a[i]) - borrow - i64::from(product as u32);
        a[i] = t as u32;
        borrow = i64::from(t < 0);
    }
    if borrow != 0 {
        // The guess was one too large after all: put one divisor back.
        q -= 1;
        let mut carry = 0u64;
        for i in 0..=n {
            let t = u64::from(a[i]) + u64::from(b.get(i).copied().unwrap_or(0)) + carry;
            a[i] = t as u32;
            carry = t >> 32;
        }
    }
    q as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotient_times_divisor_plus_remainder_is_the_dividend() {
        // Limbs of all ones and zeros are the ones that make the guess of long division wrong.
        let limbs = [0u32, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
        let mut seed = 1u64;
        let mut draw = |n: usize| -> Vec<u32> {
            let mut out: Vec<u32> = (0..n)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    limbs[(seed >> 33) as usize % limbs.len()]
                })
                .collect();
            out.push(limbs[1 + (seed >> 40) as usize % 4]);
            out
        };
        for round in 0..4000 {
            let (a, b) = (draw(2 + round % 7), draw(round % 5));
            let (q, r) = div_rem_limbs(&a, &b).unwrap();
            assert_eq!(cmp_limbs(&r, &b), Ordering::Less);
            let mut back = add_limbs(&mul_limbs(&q, &b), &r);
            trim(&mut back);
            assert_eq!(back, a);
        }
    }
}
