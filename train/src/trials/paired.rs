//! Pairs of results that share everything but one choice: how large is the difference, and could it be chance?
//!
//! Runs of one seed share their data and their order, so the difference within a seed varies less than the results do. With
//! differences d₁ … dₙ: mean `m = Σd/n`, standard deviation `s = √(Σ(d−m)²/(n−1))`, and the mean is known to within
//! `t·s/√n`, where t is Student's 97.5 % quantile for n−1 degrees of freedom (Student 1908). Few seeds make a wide interval; that
//! is the honest thing about it.

/// Mean and spread of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of a sample; 0 of a single number.
    pub deviation: f64,
    /// The mean lies within this of what many more would have, 95 times of 100; infinite of a single number.
    pub margin: f64,
}

/// 97.5 % quantiles of Student's distribution for 1, 2, 3, … degrees of freedom.
const STUDENT: [f64; 15] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
];
/// For more of them: a little more than the normal distribution's.
const STUDENT_MORE: f64 = 2.13;

/// Of at least one number; `None` of none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0).max(1.0);
    let deviation = variance.sqrt();
    let margin = match n {
        1 => f64::INFINITY,
        _ => STUDENT.get(n - 2).copied().unwrap_or(STUDENT_MORE) * deviation / (n as f64).sqrt(),
    };
    Some(Spread { n, mean, deviation, margin })
}

impl Spread {
    /// Is the mean further from 0 than its margin?
    pub fn is_clear(&self) -> bool {
        self.mean.abs() > self.margin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_have_the_spread_of_a_sample_and_a_wide_margin() {
        let s = spread(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((s.n, s.mean, s.deviation), (3, 2.0, 1.0));
        assert!((s.margin - 4.303 / 3f64.sqrt()).abs() < 1e-12 && !s.is_clear());
        assert!(spread(&[1.0, 1.1, 1.05]).unwrap().is_clear());
    }

    #[test]
    fn one_number_proves_nothing() {
        let s = spread(&[5.0]).unwrap();
        assert_eq!((s.mean, s.deviation), (5.0, 0.0));
        assert!(!s.is_clear());
        assert!(spread(&[]).is_none());
    }
}
