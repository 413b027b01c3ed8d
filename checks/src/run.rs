//! Running an operation on a tape, numeric derivatives of its definition, and comparing.

use super::case::{Case, Kind};
use crate::registry::{Apply, Bound, OpSample, Over};
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
        return Ok(Outcome { y: Vec::new(), dx: Vec::new() });
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
    let (mut seeds, mut y) = (Vec::new(), Vec::new());
    for _ in 0..plan.uses {
        let outputs = (plan.apply)(&vars, &sample)?;
        y = outputs.iter().map(|v| v.value().to_f64_vec()).collect();
        for (output, dy) in outputs.into_iter().zip(plan.dy) {
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
        let wanted = tracked && (i == 0 || !plan.aliased);
        dx.push(if wanted { Some(gradients.take(var).ok_or_else(missing)?.to_f64_vec()) } else { None });
    }
    Ok(Outcome { y, dx })
}

/// `Σ dy·y` of the definition in f64.
fn loss(apply: Apply, sample: &OpSample, case: &Case, dy: &[Vec<f64>]) -> Result<f64> {
    let y = forward(apply, sample, &case.tensors(sample, Kind::Dense, Device::Reference)?)?;
    let dot = |(y, dy): (&Tensor, &Vec<f64>)| y.to_f64_vec().iter().zip(dy).map(|(a, b)| a * b).sum::<f64>();
    Ok(y.iter().zip(dy).map(dot).sum())
}

/// Derivatives of `Σ dy·y` by every element of every input, by central differences of the definition in f64.
pub fn differences(
    apply: Apply,
    sample: &OpSample,
    case: &Case,
    dy: &[Vec<f64>],
    scale: f64,
) -> Result<Vec<Vec<f64>>> {
    let mut case = case.clone();
    let mut all = Vec::new();
    for i in 0..case.values.len() {
        let mut dx = Vec::with_capacity(case.values[i].len());
        for j in 0..case.values[i].len() {
            let x = case.values[i][j];
            let h = step(x, scale);
            case.values[i][j] = x + h;
            let up = loss(apply, sample, &case, dy)?;
            case.values[i][j] = x - h;
            let down = loss(apply, sample, &case, dy)?;
            case.values[i][j] = x;
            dx.push((up - down) / ((x + h) - (x - h)));
        }
        all.push(dx);
    }
    Ok(all)
}

/// Distance of the two points of a difference: small against the input and its magnitude, so that the error of the formula,
/// of the order of h², is below 1e-9; large enough that rounding errors over h are, too. At magnitude 0 it must be small
/// against the square root of the smallest epsilon.
fn step(x: f64, scale: f64) -> f64 {
    if scale == 0.0 { 1e-7 } else { 1e-5 * x.abs().max(scale) }
}

/// Size of a tensor's largest element.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0f64, |m, v| m.max(v.abs()))
}

/// What a result may be off by.
#[derive(Clone, Copy)]
pub struct Allowance {
    /// The operation's bound.
    pub bound: Bound,
    /// What the result is stored as.
    pub stored: DType,
    /// The case's dtype.
    pub case: DType,
    /// Size of the terms it is a sum of, where known to be larger than the result.
    pub terms: f64,
    /// So many results were rounded and added.
    pub uses: f64,
}

/// The element that is furthest off, in units of what is allowed.
pub fn worst(name: &'static str, got: &[f64], want: &[f64], allow: Allowance) -> Option<Worst> {
    let Allowance { bound, stored, case, terms, uses } = allow;
    let tensor = largest(want).max(terms);
    let unit = bound.tolerance * DType::F32.unit_roundoff() + bound.roundings * case.unit_roundoff();
    let each = |(index, (&got, &want)): (usize, (&f64, &f64))| {
        let noise = unit * if bound.over == Over::Element { want.abs() } else { tensor };
        let tol = noise + uses * stored.half_ulp(want.abs() + noise);
        let same = got == stored.round(want) || got.is_nan() && want.is_nan();
        let err = if same { 0.0 } else { (got - want).abs() };
        Worst { output: name, index, got, want, err, tol }
    };
    got.iter().zip(want).enumerate().map(each).max_by(|a, b| a.ratio().total_cmp(&b.ratio()))
}

/// As [`worst`], for two results in f64: `relative` is of the largest element, and `floor` is allowed in any case.
pub fn worst_relative(
    name: &'static str,
    got: &[f64],
    want: &[f64],
    relative: f64,
    floor: f64,
) -> Option<Worst> {
    let tol = relative * largest(want) + floor;
    let each = |(index, (&got, &want)): (usize, (&f64, &f64))| {
        let err = if got == want || got.is_nan() && want.is_nan() { 0.0 } else { (got - want).abs() };
        Worst { output: name, index, got, want, err, tol }
    };
    got.iter().zip(want).enumerate().map(each).max_by(|a, b| a.ratio().total_cmp(&b.ratio()))
}
