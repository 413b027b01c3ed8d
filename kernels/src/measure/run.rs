//! Timing kernels on the real shapes that the registry names.
//!
//! [`cases`] lists what there is to time; a [`Bench`] holds the arguments of one case in memory and calls the kernel as
//! often as it is asked to. Arguments are laid out and filled as the checks do it ([`crate::verify`]); what is updated is
//! updated again by every call. A [`Measured`] puts time, cost and roof together. [`ReferenceRate`] says how long the
//! definition would take: it is timed where that is bearable, and scaled.

use super::clock::{Limits, Timing, repeat};
use super::roofline::Roofline;
use crate::backend::{Backend, Reference};
use crate::element::DType;
use crate::registry::{Cost, KernelInfo, Role, Sample};
use crate::verify::case::{Case as Drawn, stored_as};
use crate::verify::place::{Arguments, Kind};
use crate::verify::run::call;
use std::collections::BTreeSet;

/// Normal numbers that differ in an argument. A prime, so that rows differ.
const DIFFERENT: usize = 65_521;

/// A kernel, a shape, a dtype.
#[derive(Clone)]
pub struct Case {
    /// Which kernel.
    pub info: &'static KernelInfo,
    /// One of its bench samples.
    pub sample: Sample,
    /// Of the case.
    pub dtype: DType,
}

/// Every case of these kernels, in the registry's order. Samples that differ only in what is kept in f32 are one in f32.
pub fn cases(kernels: impl IntoIterator<Item = &'static KernelInfo>) -> Vec<Case> {
    let mut cases = Vec::new();
    for info in kernels {
        let mut seen = BTreeSet::new();
        for &dtype in info.dtypes {
            for sample in (info.bench)() {
                let arg = |a: &crate::registry::Arg| (a.dims.clone(), stored_as(&a.draw, dtype).to_string());
                let args: Vec<_> = sample.args.iter().map(arg).collect();
                let scalars: Vec<u64> = sample.scalars.iter().map(|s| s.to_bits()).collect();
                if seen.insert((dtype.to_string(), args, scalars)) {
                    cases.push(Case { info, sample, dtype });
                }
            }
        }
    }
    cases
}

impl Case {
    /// `rms_norm_fwd/d12.hidden`: what filters look at.
    pub fn name(&self) -> String {
        format!("{}/{}", self.info.name, self.sample.label)
    }
    /// Shapes of the arguments that are large enough to matter, `8×512×768 → 8×512`.
    pub fn shape(&self) -> String {
        let most = self.sample.args.iter().map(|a| a.numel()).max().unwrap_or(0);
        let of = |out: bool| {
            let matters = |a: &&crate::registry::Arg| (a.role != Role::In) == out && a.numel() * 1000 >= most;
            let times = |dims: &[usize]| dims.iter().map(|d| d.to_string()).collect::<Vec<_>>().join("×");
            let mut shapes: Vec<String> =
                self.sample.args.iter().filter(matters).map(|a| times(&a.dims)).collect();
            let mut seen = BTreeSet::new();
            shapes.retain(|shape| seen.insert(shape.clone()));
            shapes.join(", ")
        };
        [of(false), of(true)].iter().filter(|s| !s.is_empty()).cloned().collect::<Vec<_>>().join(" → ")
    }
    /// Work of one call.
    pub fn cost(&self) -> Cost {
        (self.info.cost)(&self.sample, self.dtype.size() as f64)
    }
    /// Bytes among which one call moves: of large tables only what it touches.
    pub fn working_set(&self) -> f64 {
        self.sample.footprint(self.dtype.size() as f64).min(self.cost().bytes)
    }
}

/// A case in memory, ready to be called.
pub struct Bench {
    case: Case,
    arguments: Arguments,
}

impl Bench {
    /// Draw the arguments. The error is the kernel's refusal, as text.
    pub fn new(case: &Case) -> Result<Bench, String> {
        let (case, scale) = (case.clone(), case.info.scales.first().copied().unwrap_or(1.0));
        let drawn = Drawn::draw_some(&case.sample, scale, case.dtype, 0, DIFFERENT);
        let placed = Arguments::place(&case.sample, &drawn, Kind::Contiguous, case.info.layouts, false);
        let arguments = placed.map_err(|e| format!("{}: {e}", case.name()))?;
        Ok(Bench { case, arguments })
    }
    /// One call. The error is a refusal or a panic, as text.
    pub fn call(&mut self, b: &dyn Backend) -> Result<(), String> {
        let Bench { case, arguments } = self;
        match call(b, case.info, &case.sample, arguments, None) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(format!("{}: {refusal}", case.name())),
            Err(panic) => Err(format!("{}: panicked: {panic}", case.name())),
        }
    }
    /// Call it again and again; `go_on` is asked before each call and ends everything by an error.
    pub fn time(
        &mut self,
        b: &dyn Backend,
        limits: Limits,
        mut go_on: impl FnMut() -> Result<(), String>,
    ) -> Result<Timing, String> {
        repeat(limits, || {
            go_on()?;
            self.call(b)
        })
    }
}

/// What a timed case comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Seconds per call.
    pub timing: Timing,
    /// Work per call.
    pub cost: Cost,
    /// Fraction of the roof that the median reaches.
    pub fraction: f64,
    /// Is the roof the bandwidth?
    pub memory_bound: bool,
}

impl Measured {
    /// Of `case`, under `roof`.
    pub fn new(case: &Case, timing: Timing, roof: &Roofline) -> Measured {
        let (cost, working_set) = (case.cost(), case.working_set());
        Measured {
            timing,
            cost,
            fraction: roof.fraction(cost, case.dtype, working_set, timing.median),
            memory_bound: roof.memory_bound(cost, case.dtype, working_set),
        }
    }
    /// GFLOP/s.
    pub fn gflops(&self) -> f64 {
        self.cost.flops / self.timing.median / 1e9
    }
    /// GB/s.
    pub fn gbytes(&self) -> f64 {
        self.cost.bytes / self.timing.median / 1e9
    }
}

/// How long the definition of a kernel takes, per unit of work.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceRate {
    seconds: f64,
    /// Is the unit an operation? Otherwise a byte of f32, for kernels that only move.
    per_flop: bool,
}

impl ReferenceRate {
    /// Time it on the largest shape that the checks use. `None` where that has no work or is refused.
    pub fn measure(info: &KernelInfo) -> Option<ReferenceRate> {
        let cost = |s: &Sample| (info.cost)(s, DType::F32.size() as f64);
        let work = |s: &Sample| (cost(s).flops, cost(s).bytes);
        let largest =
            |a: &Sample, b: &Sample| work(a).partial_cmp(&work(b)).unwrap_or(std::cmp::Ordering::Equal);
        let sample = (info.samples)().into_iter().max_by(largest)?;
        let drawn = Drawn::draw(&sample, info.scales.first().copied()?, DType::F32, 0);
        let wide = Arguments::place(&sample, &drawn, Kind::Contiguous, info.layouts, true);
        let mut arguments = wide.ok()?;
        let limits = Limits { warm_up: 0, ..Limits::seconds(0.02) };
        let timing = repeat(limits, || match call(&Reference, info, &sample, &mut arguments, None) {
            Ok(Ok(())) => Ok(()),
            _ => Err(()),
        });
        let per_flop = cost(&sample).flops > 0.0;
        let work = if per_flop { cost(&sample).flops } else { cost(&sample).bytes };
        let seconds = timing.ok()?.median / work;
        seconds.is_finite().then_some(ReferenceRate { seconds, per_flop })
    }
    /// Seconds that the definition would take on `case`, in proportion to the work.
    pub fn seconds(&self, case: &Case) -> f64 {
        let cost = (case.info.cost)(&case.sample, DType::F32.size() as f64);
        self.seconds * if self.per_flop { cost.flops } else { cost.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn every_kernel_has_a_real_shape_named_by_its_depth_and_every_name_is_used_once() {
        for info in crate::kernels() {
            let samples = (info.bench)();
            assert!(!samples.is_empty(), "{}: no shape to measure", info.name);
            for s in &samples {
                assert!(
                    s.label.starts_with('d') && !s.label.contains([' ', '/']),
                    "{}: {}",
                    info.name,
                    s.label
                );
            }
        }
        let names: Vec<_> = cases(crate::kernels()).iter().map(|c| (c.name(), c.dtype.to_string())).collect();
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn a_cost_is_work_that_the_arguments_can_give() {
        for case in cases(crate::kernels()) {
            let (cost, width) = (case.cost(), case.dtype.size() as f64);
            let moved = case.sample.moved(width);
            assert!(cost.bytes > 0.0 && cost.bytes <= moved, "{}: {cost:?}, moved {moved}", case.name());
            assert!(cost.flops >= 0.0 && cost.flops.is_finite(), "{}: {cost:?}", case.name());
            assert!(case.working_set() <= case.sample.footprint(width), "{}", case.name());
            if case.dtype == DType::Bf16 {
                let wide = Case { dtype: DType::F32, ..case.clone() };
                assert_eq!(wide.cost().flops, cost.flops, "{}", case.name());
                assert!(wide.cost().bytes > cost.bytes, "{}: bf16 moves less", case.name());
            }
        }
    }

    #[test]
    fn a_case_can_be_called_timed_and_judged() {
        let info = crate::kernels().find(|info| info.name == "accumulate").unwrap();
        let all = cases([info]);
        let labels: Vec<_> = all.iter().map(|c| (c.dtype, c.sample.label)).collect();
        let [a, b] = ["d12.hidden", "d12.hidden.into_f32"];
        assert_eq!(labels, [(DType::F32, a), (DType::Bf16, a), (DType::Bf16, b)]);
        assert_eq!(all[0].shape(), "8×512×768 → 8×512×768");
        let mut bench = Bench::new(&all[0]).unwrap();
        let timing = bench.time(&Cpu, Limits::seconds(0.0), || Ok(())).unwrap();
        let stopped = bench.time(&Cpu, Limits::seconds(10.0), || Err("stopped".into()));
        assert_eq!((timing.runs, stopped), (1, Err("stopped".into())));
        let roof = Roofline {
            threads: 1,
            simd: crate::simd::Simd::Scalar,
            f32_flops: 1e15,
            bf16_flops: None,
            levels: vec![super::super::roofline::Level { bytes: 1.0, read: 1e9, triad: 0.0 }],
        };
        let measured = Measured::new(&all[0], Timing { median: 1.0, ..timing }, &roof);
        let bytes = 3.0 * 4.0 * (8 * 512 * 768) as f64;
        assert!(measured.memory_bound && measured.gbytes() == bytes / 1e9);
        assert!((measured.fraction - bytes / 1e9).abs() < 1e-12);
        let rate = ReferenceRate::measure(info).unwrap();
        assert!(rate.per_flop && rate.seconds(&all[0]) > 0.0);
        assert_eq!(rate.seconds(&all[0]), rate.seconds(&all[1]), "the definition has no dtype");
        let copy = crate::kernels().find(|info| info.name == "copy").unwrap();
        assert!(!ReferenceRate::measure(copy).unwrap().per_flop);
    }
}
