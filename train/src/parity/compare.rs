//! The distance between two lists of numbers. NaN on either side is never close.

use super::report::Tolerance;

/// How far apart two lists are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    /// `max |a − b|`; NaN if any difference is.
    pub max_abs: f64,
    /// `‖a − b‖ / ‖b‖`; 0 for two zeros, infinite if only `b` is zero.
    pub rel_l2: f64,
}

/// Compares lists of equal length.
pub(super) fn difference(ours: &[f64], theirs: &[f64]) -> Difference {
    let (mut max_abs, mut square, mut size) = (0.0f64, 0.0, 0.0);
    for (a, b) in ours.iter().zip(theirs) {
        let d = (a - b).abs();
        // `f64::max` would forget a NaN.
        max_abs = if d.is_nan() || max_abs.is_nan() { f64::NAN } else { max_abs.max(d) };
        square += d * d;
        size += b * b;
    }
    let rel_l2 = if square == 0.0 { 0.0 } else { (square / size).sqrt() };
    Difference { max_abs, rel_l2 }
}

impl Difference {
    /// Close enough?
    pub(super) fn within(&self, tolerance: Tolerance) -> bool {
        let number = !self.max_abs.is_nan() && !self.rel_l2.is_nan();
        number
            && match tolerance {
                Tolerance::Exact => self.max_abs == 0.0,
                Tolerance::MaxAbs(most) => self.max_abs <= most,
                Tolerance::RelL2(most) => self.rel_l2 <= most,
                Tolerance::Informational => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_textbook_ones() {
        let d = difference(&[3.0, 0.0], &[3.0, 4.0]);
        assert_eq!((d.max_abs, d.rel_l2), (4.0, 0.8));
        assert!(d.within(Tolerance::MaxAbs(4.0)) && !d.within(Tolerance::RelL2(0.79)));
        assert!(difference(&[], &[]).within(Tolerance::Exact));
    }

    #[test]
    fn a_zero_reference_accepts_only_zero() {
        assert_eq!(difference(&[0.0], &[0.0]).rel_l2, 0.0);
        assert_eq!(difference(&[1e-30], &[0.0]).rel_l2, f64::INFINITY);
    }

    #[test]
    fn nan_and_infinity_are_within_no_tolerance() {
        for (a, b) in [(f64::NAN, 0.0), (0.0, f64::NAN), (f64::INFINITY, f64::INFINITY)] {
            for (ours, theirs) in [([a, 1.0], [b, 1.0]), ([1.0, a], [1.0, b])] {
                assert!(!difference(&ours, &theirs).within(Tolerance::Informational), "{ours:?} {theirs:?}");
            }
        }
        assert!(!difference(&[f64::INFINITY], &[0.0]).within(Tolerance::MaxAbs(1e9)));
    }
}
