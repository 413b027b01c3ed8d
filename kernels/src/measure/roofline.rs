//! The roofline model (Williams, Waterman & Patterson 2009, doi:10.1145/1498765.1498785), measured.
//!
//! A kernel that must do `F` floating-point operations and move `B` bytes takes at least
//!
//! `max(F / peak, B / bandwidth)`,
//!
//! the peak being that of its dtype, and the bandwidth that of the level of memory where its arguments fit. The quotient of
//! that and the time it took is the fraction of the roof it reaches: 1 is perfect, and more means that the arguments were
//! closer than their size suggests. Where to read next: `peak.rs`, `bandwidth.rs`.

use super::{bandwidth, peak};
use crate::element::DType;
use crate::registry::Cost;
use crate::{par, simd};
use std::time::Duration;

/// Time for each single measurement that [`super::roofline()`] uses.
pub const USUAL: Duration = Duration::from_millis(60);

/// Sizes whose bandwidth is measured, in MiB. From the first on, all is in a core's own caches; the last is more than any
/// cache holds.
const SIZES_MIB: [usize; 5] = [1, 4, 16, 64, 256];

/// Bytes per second when so many bytes are gone through again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// All arrays together.
    pub bytes: f64,
    /// Reading only.
    pub read: f64,
    /// Two arrays read, a third written.
    pub triad: f64,
}

impl Level {
    /// The faster of the two: no pattern may be let off because another is slow.
    pub fn bandwidth(&self) -> f64 {
        self.read.max(self.triad)
    }
}

/// What bounds every kernel on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Roofline {
    /// Threads it holds for.
    pub threads: usize,
    /// Vector instructions it holds for.
    pub simd: simd::Simd,
    /// f32 multiply-adds, in FLOP/s.
    pub f32_flops: f64,
    /// bf16 products summed in f32, in FLOP/s, where there is an instruction for that.
    pub bf16_flops: Option<f64>,
    /// Bandwidths, small working sets first.
    pub levels: Vec<Level>,
}

impl Roofline {
    /// Measure, with `budget` for each of a dozen measurements.
    pub fn measure(budget: Duration) -> Roofline {
        let level = |mib: usize| {
            let bytes = mib << 20;
            Level {
                bytes: bytes as f64,
                read: bandwidth::read(bytes, budget),
                triad: bandwidth::triad(bytes, budget),
            }
        };
        Roofline {
            threads: par::threads(),
            simd: simd::level(),
            f32_flops: peak::f32_flops(budget),
            bf16_flops: peak::bf16_flops(budget),
            levels: SIZES_MIB.map(level).to_vec(),
        }
    }
    /// Raised to what fewer threads reached: more of them have at least that, whatever a busy machine says.
    pub fn at_least(mut self, fewer: &Roofline) -> Roofline {
        self.f32_flops = self.f32_flops.max(fewer.f32_flops);
        self.bf16_flops = self.bf16_flops.zip(fewer.bf16_flops).map(|(a, b)| a.max(b));
        for (level, fewer) in self.levels.iter_mut().zip(&fewer.levels) {
            (level.read, level.triad) = (level.read.max(fewer.read), level.triad.max(fewer.triad));
        }
        self
    }
    /// FLOP/s that a kernel on numbers of `dtype` could reach: sums are f32 or wider everywhere, so bf16 is faster only
    /// where the machine multiplies it directly.
    pub fn peak(&self, dtype: DType) -> f64 {
        match (dtype, self.bf16_flops) {
            (DType::Bf16, Some(flops)) => flops.max(self.f32_flops),
            _ => self.f32_flops,
        }
    }
    /// Bytes per second for a working set of `bytes`: between two measured sizes, in proportion on a logarithmic scale.
    pub fn bandwidth(&self, bytes: f64) -> f64 {
        let (mut below, mut above) = (None, None);
        for level in &self.levels {
            match level.bytes <= bytes {
                true => below = Some(level),
                false => above = above.or(Some(level)),
            }
        }
        match (below, above) {
            (Some(a), Some(b)) => {
                let part = (bytes / a.bytes).ln() / (b.bytes / a.bytes).ln();
                a.bandwidth() + part * (b.bandwidth() - a.bandwidth())
            }
            (Some(one), None) | (None, Some(one)) => one.bandwidth(),
            (None, None) => f64::NAN,
        }
    }
    /// The bandwidth of main memory: that of the largest working set.
    pub fn memory(&self) -> f64 {
        self.bandwidth(f64::INFINITY)
    }
    /// The least seconds in which a call of this cost can be done on arguments of `working_set` bytes.
    pub fn least_seconds(&self, cost: Cost, dtype: DType, working_set: f64) -> f64 {
        (cost.flops / self.peak(dtype)).max(cost.bytes / self.bandwidth(working_set))
    }
    /// Is it the bytes that take longest, not the arithmetic?
    pub fn memory_bound(&self, cost: Cost, dtype: DType, working_set: f64) -> bool {
        cost.bytes / self.bandwidth(working_set) >= cost.flops / self.peak(dtype)
    }
    /// The fraction of the roof that a call reaches which took `seconds`.
    pub fn fraction(&self, cost: Cost, dtype: DType, working_set: f64, seconds: f64) -> f64 {
        self.least_seconds(cost, dtype, working_set) / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Simd;

    fn roof() -> Roofline {
        let level = |bytes, read| Level { bytes, read, triad: read / 2.0 };
        Roofline {
            threads: 1,
            simd: Simd::Scalar,
            f32_flops: 100.0,
            bf16_flops: Some(200.0),
            levels: vec![level(1.0, 80.0), level(4.0, 40.0), level(16.0, 10.0)],
        }
    }

    #[test]
    fn bandwidth_goes_down_from_level_to_level_and_stays_at_both_ends() {
        let bandwidths = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 1e9].map(|bytes| roof().bandwidth(bytes));
        assert_eq!(bandwidths, [80.0, 80.0, 60.0, 40.0, 25.0, 10.0, 10.0]);
        assert_eq!(roof().memory(), 10.0);
        assert!(Roofline { levels: Vec::new(), ..roof() }.bandwidth(1.0).is_nan());
    }

    #[test]
    fn the_longer_of_arithmetic_and_movement_is_the_bound() {
        let (roof, little, much) =
            (roof(), Cost { flops: 10.0, bytes: 20.0 }, Cost { flops: 1e3, bytes: 20.0 });
        assert_eq!(roof.least_seconds(little, DType::F32, 16.0), 2.0);
        assert_eq!(roof.least_seconds(much, DType::F32, 16.0), 10.0);
        assert_eq!(roof.least_seconds(much, DType::Bf16, 16.0), 5.0);
        assert_eq!([little, much].map(|c| roof.memory_bound(c, DType::F32, 16.0)), [true, false]);
        assert_eq!(roof.fraction(little, DType::F32, 16.0, 8.0), 0.25);
        let without = Roofline { bf16_flops: None, ..roof };
        assert_eq!(without.peak(DType::Bf16), 100.0);
    }

    #[test]
    fn more_threads_have_at_least_the_roof_of_fewer() {
        let busy =
            Roofline { threads: 2, f32_flops: 7.0, bf16_flops: Some(300.0), levels: Vec::new(), ..roof() };
        let raised = busy.at_least(&roof());
        assert_eq!((raised.threads, raised.f32_flops, raised.bf16_flops), (2, 100.0, Some(300.0)));
        let slow = Roofline { levels: vec![Level { bytes: 1.0, read: 1.0, triad: 90.0 }], ..roof() };
        let level = slow.at_least(&roof()).levels[0];
        assert_eq!((level.read, level.triad), (80.0, 90.0));
    }

    #[test]
    fn this_machine_has_a_roof() {
        let roof = Roofline::measure(Duration::ZERO);
        assert!(roof.f32_flops > 1e8 && roof.memory() > 1e8, "{roof:?}");
        assert!(roof.levels.iter().all(|l| l.read > 1e8 && l.triad > 1e8), "{roof:?}");
        assert_eq!((roof.threads, roof.simd), (par::threads(), simd::level()));
    }
}
