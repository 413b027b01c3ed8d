//! The registry of differentiable operations, and the runner that checks each of them on a device with no code per operation.
//!
//! Apart from `autograd`, so that the engine is what one reads to understand differentiation and this is what one reads to
//! understand why to believe it. Reading order: [`registry`], `run.rs`, `agreement.rs`.
//!
//! For every operation × sample × dtype × magnitude × layout: draw inputs and a seed gradient (`case.rs`), apply the operation
//! on a tape and sweep back (`run.rs`), find the size of what every result is a sum of (`terms.rs`), and compare (`agreement.rs`,
//! `conduct.rs`):
//!
//! | check | passes when |
//! |---|---|
//! | `value`, `gradient` | the device is within `half an ulp + (tolerance·2⁻²⁴ + roundings·u)·Σabs(terms)` of the f64 reference, all elements, in every accepted layout |
//! | `differences` | the reference's gradient equals central differences of the reference in f64, every element of every input |
//! | `used twice` | two uses of every input on one tape double the gradient |
//! | `shapes` | outputs have the reference's shapes, gradients those of their inputs |
//! | `one output` | each of several outputs seeded alone gives the gradient it should |
//! | `same variable` | one variable in all places gets the sum of the places' gradients |
//! | `needs` | tracking only some inputs leaves their gradients as they were |
//! | `constants record nothing` | without tracked inputs nothing gets onto a tape |
//! | `composite` | the fused operation equals its composition of small ones, value and gradient |
//! | `same bits` | a second run, one thread and two give the same bits |
//! | `nan`, `infinity` | a NaN reaches what it reaches on the reference; what an infinity makes infinite or NaN there is not finite here |
//! | `leaks` | after all of these no storage is left |
//! | `inputs unchanged`, `layout refused` | as they say |
//!
//! `nanochat selftest` and this crate's tests call [`verify_ops`].

mod agreement;
mod case;
mod conduct;
pub mod registry;
mod run;
pub mod terms;
#[cfg(test)]
mod tests;

pub use kernels::verify::{Budget, CheckResult, Row, Summary, Worst};

use crate::registry::{OPS, OpInfo, OpSample};
use agreement::Report;
use case::{Case, Kind};
use tensor::{Device, memory};

/// Check the operations whose name contains `filter` (all without one) on `device`; `on_result` hears of every check.
pub fn verify_ops(
    device: Device,
    filter: Option<&str>,
    budget: Budget,
    on_result: &mut dyn FnMut(&CheckResult),
) -> Summary {
    let chosen = OPS.iter().copied().filter(|op| filter.is_none_or(|part| op.name.contains(part)));
    verify_these(chosen, device, budget, on_result)
}

/// Check these operations: [`verify_ops`] for a list of one's own.
pub fn verify_these<'o>(
    ops: impl IntoIterator<Item = &'o OpInfo>,
    device: Device,
    budget: Budget,
    on_result: &mut dyn FnMut(&CheckResult),
) -> Summary {
    let mut summary = Summary::default();
    for info in ops {
        let mut sink = |result: CheckResult| {
            summary.add(&result);
            on_result(&result);
        };
        for (number, sample) in (info.samples)().into_iter().enumerate() {
            if sample.numel() > budget.max_elements {
                continue;
            }
            for &dtype in info.dtypes {
                let sample = OpSample { dtype, ..sample.clone() };
                for (step, &scale) in info.scales.iter().enumerate() {
                    for seed in 0..budget.seeds {
                        let seed = seed << 32 | (number as u64) << 8 | step as u64;
                        let before = memory::live_here();
                        let mut report =
                            Report { device, info, sample: &sample, scale, seed, sink: &mut sink };
                        verify_case(&mut report, step == 0);
                        report.leaks(before);
                    }
                }
            }
        }
    }
    summary
}

fn verify_case(report: &mut Report<'_>, first: bool) {
    let (info, sample, device) = (report.info, report.sample, report.device);
    let case = Case::draw(info, sample, report.scale, report.seed);
    let prepared = report.seeds(&case).and_then(|dy| {
        let want = report.expected(&case, &dy)?;
        let here = report.outcome(info.apply, &case, &dy, Kind::Dense, device, 1)?;
        Ok((dy, want, here))
    });
    let (dy, want, here) = match prepared {
        Ok(prepared) => prepared,
        Err(e) => return report.say("value", Kind::Dense, Err(e)),
    };
    if !want.is_finite() {
        return report.say("value", Kind::Dense, Ok(Err("the definition is not finite".into())));
    }
    for &kind in Kind::accepted(info.layouts) {
        if kind != Kind::Repeated {
            report.agreement(&case, &dy, &want, kind);
            continue;
        }
        let case = case.repeated(sample);
        match report.expected(&case, &dy) {
            Ok(want) => report.agreement(&case, &dy, &want, kind),
            Err(e) => report.say("value", kind, Err(e)),
        }
    }
    report.used_twice(&case, &dy, &want);
    report.one_output(&case, &dy, &want);
    report.same_bits(&case, &dy, &here);
    report.differences(&dy, &want);
    report.composite(&case, &dy, &want);
    report.same_variable(&case, &dy);
    if first {
        report.needs(&case, &dy, &here);
        report.extremes(&case, &dy);
        report.refused_layouts(&case);
    }
}
