//! What a step is told (rates, decays, corrections), in the device's memory.
//!
//! All numbers of all weights go there in one copy at the step's beginning, always to the same place. Launches then depend on
//! nothing that changes from step to step: recorded once, they could be repeated.

use crate::error::Result;
use std::ops::Range;
use tensor::{DType, Device, Tensor};

/// The numbers of one step while they are collected, and the memory they go to.
pub(super) struct Numbers {
    host: Vec<f64>,
    memory: Tensor,
}

impl Numbers {
    /// Room for so many, in `dtype`.
    pub fn new(most: usize, dtype: DType, device: Device) -> Result<Numbers> {
        Ok(Numbers { host: Vec::with_capacity(most), memory: Tensor::zeros(&[most], dtype, device)? })
    }
    /// Forget those of the step before.
    pub fn begin(&mut self) {
        self.host.clear();
    }
    /// Some more; where they will be.
    pub fn push(&mut self, numbers: &[f64]) -> Range<usize> {
        let start = self.host.len();
        self.host.extend_from_slice(numbers);
        start..self.host.len()
    }
    /// Copy all to the device.
    pub fn upload(&mut self) -> Result<()> {
        self.host.resize(self.memory.numel(), 0.0);
        match self.memory.dtype() {
            DType::F64 => self.memory.write_slice(&self.host)?,
            _ => self.memory.write_slice(&self.host.iter().map(|n| *n as f32).collect::<Vec<_>>())?,
        }
        Ok(())
    }
    /// Some of those that were uploaded.
    pub fn at(&self, place: &Range<usize>) -> Result<Tensor> {
        Ok(self.memory.narrow(0, place.start, place.len())?)
    }
}

/// Numbers for one update by hand, where `like` lies.
pub fn beside(like: &Tensor, numbers: &[f64]) -> Result<Tensor> {
    Ok(Tensor::from_f64(numbers, &[numbers.len()], like.accumulator(), like.device())?)
}
