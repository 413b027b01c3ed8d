//! Running an operation on a tape, and comparing what came out.

use crate::registry::{Apply, Bound, OpSample};
use autograd::{AutogradError, Result, Tape, Var};
use kernels::verify::Worst;
use tensor::{DType, Device, Tensor};

/// Values and gradients of one run, widened.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Every output.
    pub y: Vec<Vec<f64>>,
    /// Every input's gradient; `None` where the input was not tracked.
    pub dx: Vec<Option<Vec<f64>>>,
    /// Shapes of the outputs, then of the gradients there are.
    pub dims: Vec<Vec<usize>>,
}

/// What to run.
pub struct Plan<'a> {
    /// The operation.
    pub apply: Apply,
    /// Its constants.
    pub sample: &'a OpSample,
    /// Seed gradient of every output; those of outputs that are not tracked are not used.
    pub dy: &'a [Vec<f64>],
    /// Which inputs to track.
    pub tracked: &'a [bool],
    /// How many times to apply it to the same variables.
    pub uses: usize,
    /// Pass the first input in every place.
    pub aliased: bool,
    /// Seed only this output.
    pub only: Option<usize>,
}

impl<'a> Plan<'a> {
    /// Once, every input a variable of its own, every output seeded.
    pub fn new(apply: Apply, sample: &'a OpSample, dy: &'a [Vec<f64>], tracked: &'a [bool]) -> Plan<'a> {
        Plan { apply, sample, dy, tracked, uses: 1, aliased: false, only: None }
    }
}

/// The sample as the operation is to see it on `device`.
pub fn on_device(sample: &OpSample, device: Device) -> OpSample {
    let dtype = if device == Device::Reference { DType::F64 } else { sample.dtype };
    OpSample { dtype, ..sample.clone() }
}

/// Outputs of the operation on constants.
pub fn forward(apply: Apply, sample: &OpSample, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let Some(device) = inputs.first().map(Tensor::device) else { return Ok(Vec::new()) };
    let vars: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
    Ok(apply(&vars, &on_device(sample, device))?.into_iter().map(Var::into_value).collect())
}

/// Apply, and sweep back.
pub fn run(plan: &Plan<'_>, inputs: &[Tensor]) -> Result<Outcome> {
    let Some(device) = inputs.first().map(Tensor::device) else {
        return Ok(Outcome { y: Vec::new(), dx: Vec::new(), dims: Vec::new() });
    };
    let (tape, sample) = (Tape::new(), on_device(plan.sample, device));
    let var = |(t, &tracked): (&Tensor, &bool)| {
        if tracked { tape.watch(t.clone()) } else { Ok(Var::constant(t.clone())) }
    };
    let mut vars = inputs.iter().zip(plan.tracked).map(var).collect::<Result<Vec<Var>>>()?;
    if plan.aliased {
        let first = vars[0].clone();
        vars.iter_mut().for_each(|var| *var = first.clone());
    }
    let (mut seeds, mut y, mut dims) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.uses {
        let outputs = (plan.apply)(&vars, &sample)?;
        y = outputs.iter().map(|v| v.value().to_f64_vec()).collect();
        dims = outputs.iter().map(|v| v.dims().to_vec()).collect();
        let seeded = |j: usize| plan.only.is_none_or(|only| only == j);
        for (_, (output, dy)) in outputs.into_iter().zip(plan.dy).enumerate().filter(|(j, _)| seeded(*j)) {
            let dy = Tensor::from_f64(dy, output.dims(), output.dtype(), device)?;
            seeds.push((output, dy));
        }
    }
    let seeds: Vec<(&Var, Tensor)> =
        seeds.iter().filter(|(y, _)| y.is_tracked()).map(|(y, g)| (y, g.clone())).collect();
    let gradients = tape.backward(&seeds)?;
    let missing = || AutogradError::NotTracked { op: "check: a tracked input got no gradient" };
    let mut dx = Vec::new();
    for (i, (var, &tracked)) in vars.iter().zip(plan.tracked).enumerate() {
        if !tracked || i > 0 && plan.aliased {
            dx.push(None);
            continue;
        }
        let gradient = match gradients.take(var) {
            Some(gradient) => gradient,
            // The only output that is seeded need not depend on this input.
            None if plan.only.is_some() => Tensor::zeros(var.dims(), DType::F32, device)?,
            None => return Err(missing()),
        };
        dims.push(gradient.dims().to_vec());
        dx.push(Some(gradient.to_f64_vec()));
    }
    Ok(Outcome { y, dx, dims })
}

/// Sixteen of the smallest f32 steps: below the normal range roundings are not relative.
const FLOOR: f64 = 16.0 * f32::from_bits(1) as f64;

/// What a result may be off by.
#[derive(Clone, Copy)]
pub struct Allowance {
    /// The operation's bound.
    pub bound: Bound,
    /// What the result is stored as.
    pub stored: DType,
    /// The case's dtype.
    pub case: DType,
    /// So many results were rounded and added.
    pub uses: f64,
}

/// The element that is furthest off, in units of what is allowed: `bound · terms`, and half an ulp of what is stored.
pub fn worst(
    name: &'static str,
    got: &[f64],
    want: &[f64],
    terms: &[f64],
    allow: Allowance,
) -> Option<Worst> {
    let Allowance { bound, stored, case, uses } = allow;
    let unit = bound.tolerance * DType::F32.unit_roundoff() + bound.roundings * case.unit_roundoff();
    let each = |(index, ((&got, &want), &terms)): (usize, ((&f64, &f64), &f64))| {
        let noise = unit * terms * uses + FLOOR * uses;
        let tol = noise + uses * stored.half_ulp(want.abs() + noise);
        let same = got == stored.round(want) || got.is_nan() && want.is_nan();
        let err = if same { 0.0 } else { (got - want).abs() };
        Worst { output: name, index, got, want, err, tol }
    };
    got.iter().zip(want).zip(terms).enumerate().map(each).max_by(|a, b| a.ratio().total_cmp(&b.ratio()))
}

/// As [`worst`], for two results in f64: each may be off by `relative` of its terms.
pub fn worst_relative(
    name: &'static str,
    got: &[f64],
    want: &[f64],
    terms: &[f64],
    relative: f64,
) -> Option<Worst> {
    let each = |(index, ((&got, &want), &terms)): (usize, ((&f64, &f64), &f64))| {
        let err = if got == want || got.is_nan() && want.is_nan() { 0.0 } else { (got - want).abs() };
        Worst { output: name, index, got, want, err, tol: relative * terms + 1e-300 }
    };
    got.iter().zip(want).zip(terms).enumerate().map(each).max_by(|a, b| a.ratio().total_cmp(&b.ratio()))
}
