//! Numbers and tensors for one check, drawn by Philox: the same seed gives the same case anywhere.

use crate::registry::{OpInfo, OpSample};
use autograd::Result;
use kernels::philox::Philox;
use kernels::registry::Layouts;
use tensor::{DType, Device, Tensor};

/// How an input lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Row-major.
    Dense,
    /// Columns cut out of something wider: an offset, and gaps between rows.
    Columns,
    /// Axes stored in the opposite order; a vector: every second element.
    Permuted,
    /// The same slice along the first axis, stored once.
    Repeated,
}

impl Kind {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Dense => "dense",
            Kind::Columns => "columns of something wider",
            Kind::Permuted => "permuted",
            Kind::Repeated => "repeated",
        }
    }
    /// The kinds an operation must accept.
    pub fn accepted(layouts: Layouts) -> &'static [Kind] {
        match layouts {
            Layouts::Any => &[Kind::Dense, Kind::Columns, Kind::Permuted, Kind::Repeated],
            Layouts::Rows => &[Kind::Dense, Kind::Columns, Kind::Repeated],
            Layouts::Contiguous => &[Kind::Dense],
        }
    }
}

/// The inputs of one check as numbers.
#[derive(Clone, Debug)]
pub struct Case {
    /// Logical elements of every input.
    pub values: Vec<Vec<f64>>,
}

/// Inputs of one in four tensors get a mean of this many standard deviations.
const FAR_FROM_ZERO: f64 = 4.0;

/// What an input is stored as on a device.
pub fn stored_as(master: bool, dtype: DType) -> DType {
    if master && dtype == DType::Bf16 { DType::F32 } else { dtype }
}

impl Case {
    /// Normal numbers of size `scale`, rounded to what they will be stored as, away from the points to avoid.
    pub fn draw(info: &OpInfo, sample: &OpSample, scale: f64, seed: u64) -> Case {
        let one = |(i, input): (usize, &crate::registry::Input)| {
            let mut rng = Philox::new(seed, i as u64);
            let mean = match rng.below(8) {
                0 => FAR_FROM_ZERO,
                1 => -FAR_FROM_ZERO,
                _ => 0.0,
            };
            let stored = stored_as(input.master, sample.dtype);
            (0..input.numel()).map(|_| stored.round(scale * allowed(info, mean, &mut rng))).collect()
        };
        Case { values: sample.inputs.iter().enumerate().map(one).collect() }
    }
    /// The same case with every input repeating along its first axis.
    pub fn repeated(&self, sample: &OpSample) -> Case {
        let one = |(values, input): (&Vec<f64>, &crate::registry::Input)| {
            let slice = values.len() / input.dims.first().copied().unwrap_or(1).max(1);
            (0..values.len()).map(|j| values[j % slice]).collect()
        };
        Case { values: self.values.iter().zip(&sample.inputs).map(one).collect() }
    }
    /// The inputs on `device`: in the sample's dtype, or all in f64 on the reference.
    pub fn tensors(&self, sample: &OpSample, kind: Kind, device: Device) -> Result<Vec<Tensor>> {
        let one = |(values, input): (&Vec<f64>, &crate::registry::Input)| {
            let dtype =
                if device == Device::Reference { DType::F64 } else { stored_as(input.master, sample.dtype) };
            place(values, &input.dims, dtype, device, kind)
        };
        self.values.iter().zip(&sample.inputs).map(one).collect()
    }
}

/// A standard normal number around `mean` that the operation allows; 1 if none comes up.
fn allowed(info: &OpInfo, mean: f64, rng: &mut Philox) -> f64 {
    let avoid = |v: f64| info.avoid.is_some_and(|avoid| avoid(v));
    let mean = if avoid(mean - 2.0) && avoid(mean + 2.0) { 0.0 } else { mean };
    (0..64).map(|_| mean + rng.normal()).find(|&v| !avoid(v)).unwrap_or(1.0)
}

/// `values` as a tensor of `dims` that lies in memory as `kind` says. What surrounds it is NaN.
pub fn place(values: &[f64], dims: &[usize], dtype: DType, device: Device, kind: Kind) -> Result<Tensor> {
    let rank = dims.len();
    if kind == Kind::Dense || rank == 0 || values.is_empty() {
        return Ok(Tensor::from_f64(values, dims, dtype, device)?);
    }
    let wider = |dims: &[usize], before: usize, after: usize| -> Result<Tensor> {
        let (&last, lead) = dims.split_last().unwrap_or((&1, &[]));
        let width = before + last + after;
        let mut all = vec![f64::NAN; values.len() / last * width];
        let cells = all.chunks_mut(width).flat_map(|row| row[before..before + last].iter_mut());
        cells.zip(values).for_each(|(cell, value)| *cell = *value);
        let whole = Tensor::from_f64(&all, &[lead, &[width]].concat(), dtype, device)?;
        Ok(whole.narrow(dims.len() - 1, before, last)?)
    };
    match kind {
        Kind::Permuted if rank == 1 => Ok(wider(&[dims[0], 1], 0, 1)?.reshape(dims)?),
        Kind::Permuted => {
            let back: Vec<usize> = (0..rank).rev().collect();
            let dense = Tensor::from_f64(values, dims, dtype, device)?;
            Ok(dense.permute(&back)?.copied()?.permute(&back)?)
        }
        Kind::Repeated => {
            let mut one = dims.to_vec();
            one[0] = 1;
            let first = Tensor::from_f64(&values[..values.len() / dims[0]], &one, dtype, device)?;
            Ok(first.expand(dims)?)
        }
        _ => wider(dims, 1, 3),
    }
}

/// The seed gradient of output number `j`: normal numbers that every dtype involved holds exactly.
pub fn seed_gradient(seed: u64, j: usize, numel: usize, exact_in: [DType; 2]) -> Vec<f64> {
    let mut rng = Philox::new(seed, 1 << 20 | j as u64);
    (0..numel).map(|_| exact_in.iter().fold(rng.normal(), |v, dtype| dtype.round(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_placement_holds_the_same_numbers() {
        let values: Vec<f64> = (0..24).map(f64::from).collect();
        for dims in [&[2, 3, 4][..], &[24], &[6, 4]] {
            for kind in [Kind::Dense, Kind::Columns, Kind::Permuted] {
                let t = place(&values, dims, DType::F32, Device::Cpu, kind).unwrap();
                assert_eq!((t.dims(), t.to_f64_vec()), (dims, values.clone()), "{kind:?}");
                assert_eq!(
                    t.layout().is_contiguous(),
                    kind == Kind::Dense || kind == Kind::Columns && dims.len() == 1
                );
            }
        }
        let same = place(&[1.0, 2.0, 1.0, 2.0], &[2, 2], DType::F32, Device::Cpu, Kind::Repeated).unwrap();
        assert_eq!((same.layout().strides(), same.to_f64_vec()), (&[0, 1][..], vec![1.0, 2.0, 1.0, 2.0]));
    }
}
