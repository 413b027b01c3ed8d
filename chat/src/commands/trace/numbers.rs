//! Mean, standard deviation, smallest and largest element of a tensor, and how they are printed.
//!
//! Large tensors are read in pieces, and the logits are never there as a whole, so the statistics of parts can be merged.
//! All arithmetic is f64; integers are widened first.

use tensor::{Result, Tensor};

/// Elements read at a time.
const PIECE: usize = 1 << 18;

/// Statistics of a set of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    count: u64,
    mean: f64,
    /// Σ(x − mean)².
    squares: f64,
    /// The smallest; NaN if any is NaN.
    pub min: f64,
    /// The largest; NaN if any is NaN.
    pub max: f64,
    /// Elements that are 0.
    pub zeros: u64,
    /// Elements below 0.
    pub negative: u64,
}

impl Default for Stats {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Stats { count: 0, mean: 0.0, squares: 0.0, min, max, zeros: 0, negative: 0 }
    }
}

impl Stats {
    /// Of all elements.
    pub fn of(t: &Tensor) -> Result<Stats> {
        Stats::of_mapped(t, |v| v)
    }
    /// Of `f` of all elements.
    pub fn of_mapped(t: &Tensor, f: impl Fn(f64) -> f64) -> Result<Stats> {
        let flat = t.contiguous()?.reshape(&[t.numel()])?;
        let mut all = Stats::default();
        for start in (0..flat.numel()).step_by(PIECE) {
            let mut piece = flat.narrow(0, start, PIECE.min(flat.numel() - start))?.to_f64_vec();
            piece.iter_mut().for_each(|v| *v = f(*v));
            all.merge(&Stats::of_slice(&piece));
        }
        Ok(all)
    }
    /// Of a slice: the mean first, then the squared distances from it.
    pub fn of_slice(x: &[f64]) -> Stats {
        let mut stats = Stats { count: x.len() as u64, ..Stats::default() };
        if x.is_empty() {
            return stats;
        }
        stats.mean = x.iter().sum::<f64>() / x.len() as f64;
        for &v in x {
            stats.squares += (v - stats.mean) * (v - stats.mean);
            stats.min = smaller(stats.min, v);
            stats.max = -smaller(-stats.max, -v);
            stats.zeros += u64::from(v == 0.0);
            stats.negative += u64::from(v < 0.0);
        }
        stats
    }
    /// Add the numbers behind `other` (Chan, Golub & LeVeque 1983).
    pub fn merge(&mut self, other: &Stats) {
        let count = self.count + other.count;
        if other.count > 0 {
            let (apart, part) = (other.mean - self.mean, other.count as f64 / count as f64);
            self.squares += other.squares + apart * apart * self.count as f64 * part;
            self.mean += apart * part;
        }
        self.count = count;
        self.min = smaller(self.min, other.min);
        self.max = -smaller(-self.max, -other.max);
        self.zeros += other.zeros;
        self.negative += other.negative;
    }
    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.count
    }
    /// Their mean; NaN of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }
    /// Their sample standard deviation, `√(Σ(x − mean)²/(N − 1))`; NaN of fewer than two.
    pub fn std(&self) -> f64 {
        if self.count < 2 { f64::NAN } else { (self.squares / (self.count - 1) as f64).sqrt() }
    }
    /// Are all of them exactly 0?
    pub fn is_zero(&self) -> bool {
        self.count > 0 && self.zeros == self.count
    }
}

/// The smaller of two; unlike `f64::min`, NaN wins.
fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || a < b { a } else { b }
}

/// Six decimals; `nan` and `inf` in small letters.
pub fn six(v: f64) -> String {
    if v.is_nan() { "nan".into() } else { format!("{v:.6}") }
}

/// A shape as a tuple: `(1, 1024, 256)`, `(1,)`, `()`.
pub fn tuple(dims: &[usize]) -> String {
    match dims {
        [one] => format!("({one},)"),
        many => format!("({})", many.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::Device;

    #[test]
    fn the_standard_deviation_divides_by_one_less_than_the_count() {
        let s = Stats::of_slice(&[1.0, 2.0, 4.0]);
        assert_eq!(six(s.mean()), "2.333333");
        assert_eq!(six(s.std()), "1.527525"); // √(14/3 / 2)
        assert_eq!((s.min, s.max, s.zeros), (1.0, 4.0, 0));
    }

    #[test]
    fn a_single_number_has_no_standard_deviation() {
        let s = Stats::of_slice(&[11.090355]);
        assert_eq!(
            [s.mean(), s.std(), s.min, s.max].map(six),
            ["11.090355", "nan", "11.090355", "11.090355"]
        );
        let none = Stats::of_slice(&[]);
        assert_eq!([none.mean(), none.std()].map(six), ["nan", "nan"]);
    }

    #[test]
    fn a_nan_anywhere_shows_in_every_statistic() {
        for x in [[f64::NAN, 1.0, 2.0], [1.0, 2.0, f64::NAN]] {
            let s = Stats::of_slice(&x);
            assert_eq!([s.mean(), s.std(), s.min, s.max].map(six), ["nan"; 4]);
        }
        assert_eq!(six(f64::NEG_INFINITY), "-inf");
        assert_eq!(six(-1e-9), "-0.000000");
    }

    #[test]
    fn parts_merge_into_the_whole() {
        let x: Vec<f64> = (0..1000).map(|i| ((i * i) % 37) as f64 - 1e4).collect();
        let whole = Stats::of_slice(&x);
        for cut in [0, 1, 400, 1000] {
            let mut merged = Stats::of_slice(&x[..cut]);
            merged.merge(&Stats::of_slice(&x[cut..]));
            assert!((merged.mean() - whole.mean()).abs() < 1e-9 && (merged.std() - whole.std()).abs() < 1e-9);
            assert_eq!((merged.min, merged.max, merged.count()), (whole.min, whole.max, 1000));
            assert_eq!((merged.zeros, merged.negative), (whole.zeros, whole.negative));
        }
    }

    #[test]
    fn strided_and_integer_tensors_are_read_in_full() {
        let t = Tensor::from_slice(&[1i32, 2, 3, 4, 5, 6], &[2, 3], Device::Cpu).unwrap();
        let s = Stats::of(&t.transpose(0, 1).unwrap().narrow(0, 1, 2).unwrap()).unwrap();
        assert_eq!((s.count(), s.mean(), s.min, s.max), (4, 4.0, 2.0, 6.0));
    }

    #[test]
    fn shapes_print_as_tuples() {
        assert_eq!([tuple(&[1, 16, 8]), tuple(&[1]), tuple(&[])], ["(1, 16, 8)", "(1,)", "()"]);
    }
}
