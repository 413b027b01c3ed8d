//! Checks every kernel of the registry on a device against its definition, with no code per kernel.
//!
//! For every [`KernelInfo`] × sample × dtype × magnitude × layout: draw inputs (`case.rs`), lay them out (`place.rs`), run the
//! kernel on the device and the definition on [`crate::Reference`] in f64 (`run.rs`), and compare all elements (`checks.rs`):
//!
//! | check | passes when |
//! |---|---|
//! | `value` | `abs(got − want) <= half an ulp of the result + tolerance·2⁻²⁴·Σabs(terms) + roundings·u·Σabs(terms)`; NaN and ±∞ where the definition has them, nowhere else |
//! | `memory` | inputs keep their bits, and so does the memory around every output |
//! | `same bits` | a second call, one thread and two threads give the same bits |
//! | `rows alike` | inputs that repeat along the first axis give outputs that repeat to the bit, wherever the definition's do |
//! | `nan` | one NaN in an input reaches the outputs it reaches in the definition, and no others |
//! | `infinity` | what one infinity makes infinite or NaN in the definition is not finite, and has no other sign |
//! | `denormal` | as `value`, with inputs below the normal range |
//! | `layout refused` | strides that the kernel does not declare are refused with `NonContiguous` |
//! | `shape refused` | every argument of a wrong shape is refused, along at least one of its axes |
//!
//! Outputs are full of NaN before the call, so a forgotten element is seen; whatever is refused must not have written
//! anything. `nanochat selftest` and this crate's tests call [`verify`].

pub mod case;
mod checks;
mod devices;
mod extremes;
pub mod place;
mod report;
pub(crate) mod run;
#[cfg(test)]
mod tests;

pub use devices::{Apart, apart};
pub use extremes::tells;
pub use report::{Budget, CheckResult, Row, Summary, Worst};

use crate::backend::Backend;
use crate::registry::{KernelInfo, Layouts, Sample};
use case::Case;
use checks::Report;
use place::Kind;
use run::Expected;
use std::collections::BTreeMap;

/// Check the kernels whose name contains `filter` (all without one) on `backend`; `on_result` hears of every check.
pub fn verify(
    backend: &dyn Backend,
    filter: Option<&str>,
    budget: Budget,
    on_result: &mut dyn FnMut(&CheckResult),
) -> Summary {
    let chosen = |info: &&KernelInfo| filter.is_none_or(|part| info.name.contains(part));
    verify_kernels(crate::kernels().filter(chosen), backend, budget, on_result)
}

/// Check these kernels: [`verify`] for a table of one's own.
pub fn verify_kernels<'k>(
    kernels: impl IntoIterator<Item = &'k KernelInfo>,
    backend: &dyn Backend,
    budget: Budget,
    on_result: &mut dyn FnMut(&CheckResult),
) -> Summary {
    let mut summary = Summary::default();
    for info in kernels {
        let mut sink = |result: CheckResult| {
            summary.add(&result);
            on_result(&result);
        };
        verify_kernel(info, backend, budget, &mut sink);
    }
    summary
}

fn verify_kernel(
    info: &KernelInfo,
    backend: &dyn Backend,
    budget: Budget,
    sink: &mut dyn FnMut(CheckResult),
) {
    let mut wrong_shapes = BTreeMap::new();
    for (number, sample) in (info.samples)().iter().enumerate() {
        if sample.elements() > budget.max_elements as f64 {
            continue;
        }
        for (d, &dtype) in info.dtypes.iter().enumerate() {
            for (step, &scale) in info.scales.iter().enumerate() {
                for seed in 0..budget.seeds {
                    // A large sample takes turns through the magnitudes; the small ones see all of them.
                    if !is_small(info, sample)
                        && step as u64 != (number as u64 + d as u64 + seed) % info.scales.len() as u64
                    {
                        continue;
                    }
                    // Another seed per sample and magnitude, or all would have their means in the same places.
                    let seed = seed << 32 | (number as u64) << 8 | step as u64;
                    let mut report = Report { backend, info, sample, dtype, scale, seed, sink: &mut *sink };
                    verify_case(&mut report, step == 0, &mut wrong_shapes);
                }
            }
        }
    }
    let Some(sample) = (info.samples)().into_iter().next() else { return };
    for name in wrong_shapes.iter().filter(|(_, refused)| !**refused).map(|(name, _)| name) {
        let (dtype, scale) = (info.dtypes[0], info.scales[0]);
        let mut report = Report { backend, info, sample: &sample, dtype, scale, seed: 0, sink: &mut *sink };
        let what = format!("{name} longer or shorter than the other arguments allow was never refused");
        report.say("shape refused", Kind::Contiguous, None, what);
    }
}

/// All checks of one case. Those about refusals and NaN do not depend on the magnitude and are made at the `first` one.
fn verify_case(report: &mut Report<'_>, first: bool, wrong_shapes: &mut BTreeMap<&'static str, bool>) {
    let (info, sample) = (report.info, report.sample);
    let case = Case::draw(sample, report.scale, report.dtype, report.seed);
    let expected = match Expected::new(info, sample, &case) {
        Ok(expected) => expected,
        Err(what) => return report.say("value", Kind::Contiguous, None, what),
    };
    for &kind in Kind::accepted(info.layouts) {
        if kind != Kind::Repeated {
            report.value(&case, &expected, kind);
        } else if case.can_repeat(sample) {
            let case = case.repeated(sample);
            match Expected::new(info, sample, &case) {
                Ok(expected) => report.value(&case, &expected, kind),
                Err(what) => report.say("value", kind, None, what),
            }
        }
    }
    report.same_bits(&case, &expected, Kind::Contiguous);
    if info.layouts != Layouts::Contiguous {
        report.same_bits(&case, &expected, Kind::Mixed);
    }
    if first && is_small(info, sample) {
        report.extremes(&case, &expected);
        report.denormals();
        report.refused_layouts(&case);
        if sample.args.len() > 1 && sample.args.iter().all(|arg| arg.numel() > 0) {
            report.refused_shapes(&case, wrong_shapes);
        }
    }
}

/// Can the definition, which takes its time, be run often on this sample?
fn is_small(info: &KernelInfo, sample: &Sample) -> bool {
    sample.elements() < 1e5 && (info.cost)(sample, 4.0).flops < 5e5
}
