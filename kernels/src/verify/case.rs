//! Concrete numbers for one call, drawn by the crate's own Philox: the same seed gives the same case anywhere.
//!
//! Values are rounded to the dtype they will be stored in, so that the device under test and the f64 reference start from
//! exactly the same numbers and every difference is the kernel's.

use crate::element::DType;
use crate::philox::Philox;
use crate::registry::{Arg, Draw, Role, Sample};

/// The numbers of one call.
#[derive(Clone, Debug)]
pub struct Case {
    /// Logical elements of every argument, in the kernel's order; nothing for an `Out`.
    pub values: Vec<Vec<f64>>,
    /// What every argument is stored as on the device under test.
    pub dtypes: Vec<DType>,
}

/// Inputs of one in four arguments get a mean of four standard deviations: where `Σx²` of a variance or the maximum of a
/// softmax would lose digits.
const FAR_FROM_ZERO: f64 = 4.0;

impl Case {
    /// Draw `sample` in `dtype` at magnitude `scale`.
    pub fn draw(sample: &Sample, scale: f64, dtype: DType, seed: u64) -> Case {
        Case::draw_some(sample, scale, dtype, seed, usize::MAX)
    }
    /// As `draw`, but with at most `different` normal numbers per argument, which then repeat: where only the time
    /// matters, and a large argument should not take seconds.
    pub fn draw_some(sample: &Sample, scale: f64, dtype: DType, seed: u64, different: usize) -> Case {
        let mut case = Case { values: Vec::new(), dtypes: Vec::new() };
        for (i, arg) in sample.args.iter().enumerate() {
            let stored = stored_as(&arg.draw, dtype);
            let values = match arg.role {
                Role::Out => Vec::new(),
                _ => case.argument(sample, arg, scale, different, &mut Philox::new(seed, i as u64)),
            };
            case.values.push(values.into_iter().map(|v| stored.round(v)).collect());
            case.dtypes.push(stored);
        }
        case
    }
    fn argument(
        &self,
        sample: &Sample,
        arg: &Arg,
        scale: f64,
        different: usize,
        rng: &mut Philox,
    ) -> Vec<f64> {
        let n = arg.numel();
        match &arg.draw {
            Draw::Normal | Draw::NormalF32 => {
                let mean = match rng.below(8) {
                    0 => FAR_FROM_ZERO,
                    1 => -FAR_FROM_ZERO,
                    _ => 0.0,
                };
                let mut values: Vec<f64> =
                    (0..n.min(different)).map(|_| scale * (mean + rng.normal())).collect();
                (values.len()..n).for_each(|i| values.push(values[i - different]));
                values
            }
            Draw::Uniform(lo, hi) => (0..n).map(|_| lo + (hi - lo) * f64::from(rng.uniform())).collect(),
            Draw::Ids { lo, hi } => {
                let count = hi.abs_diff(*lo);
                (0..n).map(|_| f64::from(*lo) + f64::from(rng.below(count))).collect()
            }
            Draw::Exact(ids) => ids.iter().map(|&id| id.into()).collect(),
            Draw::Derived(f) | Draw::DerivedRounded(f) => f(&self.inputs(sample), &sample.scalars),
        }
    }
    /// What the kernel reads (`In` and `InOut`), in order, as [`crate::registry::Magnitude`] wants it.
    pub fn inputs(&self, sample: &Sample) -> Vec<Vec<f64>> {
        let read = |(_, arg): &(&Vec<f64>, &Arg)| arg.role != Role::Out;
        self.values.iter().zip(&sample.args).filter(read).map(|(v, _)| v.clone()).collect()
    }
    /// The same case with its normal inputs repeating along their first axis, and what is derived from them derived anew.
    pub fn repeated(&self, sample: &Sample) -> Case {
        let mut case = Case { values: Vec::new(), dtypes: self.dtypes.clone() };
        for (i, arg) in sample.args.iter().enumerate() {
            let mut values = self.values[i].clone();
            match (&arg.draw, arg.role) {
                (Draw::Normal | Draw::NormalF32, Role::In) if !values.is_empty() && !arg.dims.is_empty() => {
                    let slice = values.len() / arg.dims[0];
                    values = (0..values.len()).map(|j| values[j % slice]).collect();
                }
                (Draw::Derived(f) | Draw::DerivedRounded(f), Role::In | Role::InOut) => {
                    values = f(&case.inputs(sample), &sample.scalars);
                    values.iter_mut().for_each(|v| *v = self.dtypes[i].round(*v));
                }
                _ => {}
            }
            case.values.push(values);
        }
        case
    }
    /// Has the sample an input that `repeated` would change?
    pub fn can_repeat(&self, sample: &Sample) -> bool {
        sample.args.iter().any(|arg| {
            let normal = matches!(arg.draw, Draw::Normal | Draw::NormalF32);
            normal && arg.role == Role::In && arg.numel() > 0 && arg.dims.first().is_some_and(|&d| d > 1)
        })
    }
    /// Is every slice of argument `i` along its first axis the same?
    pub fn repeats_along_first_axis(&self, i: usize, dims: &[usize]) -> bool {
        let values = &self.values[i];
        if values.is_empty() || dims.is_empty() {
            return false;
        }
        let slice = values.len() / dims[0];
        values.iter().enumerate().all(|(j, v)| v.to_bits() == values[j % slice].to_bits())
    }
}

/// The dtype that an argument drawn like this has in a case of `dtype`.
pub fn stored_as(draw: &Draw, dtype: DType) -> DType {
    match draw {
        Draw::Normal | Draw::DerivedRounded(_) => dtype,
        Draw::NormalF32 | Draw::Uniform(..) | Draw::Derived(_) => DType::F32,
        Draw::Ids { .. } | Draw::Exact(_) => DType::I32,
    }
}

/// Is this argument one that can hold a NaN?
pub fn is_float(arg: &Arg) -> bool {
    stored_as(&arg.draw, DType::F32).is_float()
}
