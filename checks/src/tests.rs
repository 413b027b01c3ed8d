//! The operations under the runner, and the runner under deliberately wrong operations.

use super::*;
use crate::registry::{Bound, Input};
use autograd::{GradSlot, Op, Result, apply};
use kernels::registry::Layouts;
use tensor::{Bf16, DType, Tensor};

fn assert_all_pass(device: Device, budget: Budget, at_least: usize) {
    let mut failures = Vec::new();
    let summary = verify_ops(device, None, budget, &mut |r| {
        if !r.ok {
            failures.push(r.to_string());
        }
    });
    assert!(summary.checks > at_least && summary.rows.len() == OPS.len(), "{summary:?}");
    let shown = failures.iter().take(80).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {} checks failed:\n{shown}", failures.len(), summary.checks);
}

#[test]
fn every_op_agrees_with_the_f64_reference_and_its_finite_differences() {
    assert_all_pass(Device::Cpu, Budget::default(), 5_000);
}

#[test]
fn the_runner_accepts_the_reference_as_the_device_under_test() {
    assert_all_pass(Device::Reference, Budget { seeds: 1, max_elements: 200 }, 2_000);
}

/// `y = a·b`, with one thing wrong with it.
struct Faulty(Fault);

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    HalfTheGradient,
    GradientOfOneElementOff,
    OverwritesTheSlot,
    SavesTooLittle,
    DependsOnThreads,
    Truncates,
    SwallowsNan,
    IgnoresStrides,
    OneInputStandsForBoth,
}

impl Op<2, 1> for Faulty {
    const NAME: &'static str = "faulty";
    type Saved = [Tensor; 2];

    fn forward(&self, [a, b]: [&Tensor; 2], needs: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        let (mut y, on_device) = (a.mul(b)?, a.device() == Device::Cpu);
        match self.0 {
            Fault::DependsOnThreads if kernels::par::threads() == 1 => y = y.affine(1.0 + 1e-6, 0.0)?,
            Fault::Truncates if y.dtype() == DType::Bf16 => {
                let products = a.cast(DType::F32)?.mul(&b.cast(DType::F32)?)?.to_vec::<f32>()?;
                let cut: Vec<Bf16> = products.iter().map(|v| Bf16((v.to_bits() >> 16) as u16)).collect();
                y = Tensor::from_slice(&cut, y.dims(), Device::Cpu)?;
            }
            Fault::SwallowsNan if on_device => {
                let max: Vec<f64> = y.to_f64_vec().iter().map(|v| v.max(-1e30)).collect();
                y = Tensor::from_f64(&max, y.dims(), y.dtype(), y.device())?;
            }
            Fault::IgnoresStrides if on_device && !a.layout().is_contiguous() => y = y.affine(-1.0, 0.0)?,
            _ => {}
        }
        let b = if self.0 == Fault::SavesTooLittle && needs == [true, false] { a } else { b };
        Ok(([y], [a.clone(), b.clone()]))
    }
    fn vjp(&self, [a, b]: Self::Saved, [dy]: [Option<&Tensor>; 1], dx: [Option<&GradSlot>; 2]) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        for (i, (slot, other)) in dx.into_iter().zip([&b, &a]).enumerate() {
            let Some(slot) = slot else { continue };
            let mut g = dy.mul(other)?;
            match self.0 {
                Fault::HalfTheGradient => g = g.affine(0.5, 0.0)?,
                Fault::GradientOfOneElementOff if g.numel() > 0 => {
                    let mut values = g.to_f64_vec();
                    *values.last_mut().unwrap() *= 1.001;
                    g = Tensor::from_f64(&values, g.dims(), g.dtype(), g.device())?;
                }
                Fault::OverwritesTheSlot => slot.clear(),
                Fault::OneInputStandsForBoth if i == 1 && a.same_storage(&b) => continue,
                _ => {}
            }
            slot.add(g)?;
        }
        Ok(())
    }
}

macro_rules! faulty {
    ($fault:ident) => {
        OpInfo { apply: |x, _| Ok(apply(Faulty(Fault::$fault), [&x[0], &x[1]])?.to_vec()), ..product() }
    };
}

fn product() -> OpInfo {
    OpInfo {
        name: "product",
        module: "binary",
        doc: "y = a·b",
        samples: || {
            let sample = |label, dims: &[usize]| {
                OpSample::new(label, vec![Input::activation("a", dims), Input::activation("b", dims)])
            };
            vec![sample("odd", &[3, 5]), sample("empty", &[0, 3])]
        },
        apply: |x, _| Ok(vec![x[0].mul(&x[1])?]),
        composite: Some(|x, _| Ok(vec![x[1].mul(&x[0])?])),
        scales: &[1.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        forward: Bound { tolerance: 1.0, roundings: 0.0 },
        gradient: Bound { tolerance: 1.0, roundings: 0.0 },
        hidden: None,
        avoid: None,
    }
}

/// Names of the checks that fail, each once.
fn failing(info: OpInfo) -> Vec<&'static str> {
    let mut names = Vec::new();
    verify_these([&info], Device::Cpu, Budget::default(), &mut |r| {
        if !r.ok && !names.contains(&r.check) {
            names.push(r.check);
        }
    });
    names
}

#[test]
fn a_right_operation_passes_every_check() {
    assert!(failing(product()).is_empty());
    assert!(failing(faulty!(Nothing)).is_empty());
}

#[test]
fn a_wrong_gradient_is_caught_though_all_devices_agree_on_it() {
    assert_eq!(failing(faulty!(HalfTheGradient)), ["differences", "composite"]);
    let alone = OpInfo { composite: None, ..faulty!(GradientOfOneElementOff) };
    assert!(failing(alone).contains(&"differences"));
}

#[test]
fn a_gradient_that_overwrites_instead_of_adding_is_caught() {
    assert_eq!(failing(faulty!(OverwritesTheSlot)), ["used twice", "same variable"]);
}

#[test]
fn a_gradient_forgotten_when_both_inputs_are_one_is_caught() {
    let found = failing(faulty!(OneInputStandsForBoth));
    assert!(found.contains(&"same variable"), "{found:?}");
}

#[test]
fn saving_less_than_the_gradient_reads_is_caught() {
    assert_eq!(failing(faulty!(SavesTooLittle)), ["needs"]);
}

#[test]
fn bits_that_depend_on_the_number_of_threads_are_caught() {
    let loose = Bound { tolerance: 100.0, roundings: 0.0 };
    assert_eq!(failing(OpInfo { forward: loose, ..faulty!(DependsOnThreads) }), ["same bits"]);
}

#[test]
fn truncation_instead_of_rounding_is_caught() {
    assert_eq!(failing(faulty!(Truncates)), ["value"]);
}

#[test]
fn a_nan_that_stops_half_way_is_caught() {
    assert_eq!(failing(faulty!(SwallowsNan)), ["nan", "infinity"]);
}

#[test]
fn wrong_numbers_for_strided_inputs_are_caught() {
    assert_eq!(failing(faulty!(IgnoresStrides)), ["value"]);
}

#[test]
fn a_composite_that_computes_something_else_is_caught() {
    assert_eq!(
        failing(OpInfo { composite: Some(|x, _| Ok(vec![x[0].add(&x[1])?])), ..product() }),
        ["composite"]
    );
}

#[test]
fn layouts_accepted_beyond_the_declaration_are_caught() {
    assert_eq!(failing(OpInfo { layouts: Layouts::Rows, ..product() }), ["layout refused"]);
}
