//! One micro-batch: ids, what they should predict, and how many predictions count.

use crate::error::Result;
use autograd::ops::lm_head_loss::mean_weights;
use tensor::{DType, Device, Tensor};

/// Inputs and targets of one forward pass.
pub struct Batch {
    /// Token ids, i32 (B, T).
    pub ids: Tensor,
    /// The id each position should predict, i32 (B·T); −1 = not counted.
    pub targets: Tensor,
    /// What each row's loss counts, f32 (B·T): 1/`valid` for counted rows.
    pub weight: Tensor,
    /// Targets that count.
    pub valid: usize,
}

impl Batch {
    /// From host ids of a (B, T) batch.
    pub fn new(ids: &[i32], targets: &[i32], b: usize, t: usize, device: Device) -> Result<Batch> {
        let ids = Tensor::ids(ids, &[b, t], device)?;
        let host = if device.memory().is_some() { Device::Cpu } else { device };
        let targets = Tensor::ids(targets, &[b * t], host)?; // counted before they go to the device
        let dtype = if device == Device::Reference { DType::F64 } else { DType::F32 };
        let (weight, valid) = mean_weights(&targets, dtype)?;
        let (targets, weight) = (targets.to_device(device)?, weight.to_device(device)?);
        Ok(Batch { ids, targets, weight, valid })
    }
    /// Positions in the batch, counted or not.
    pub fn tokens(&self) -> usize {
        self.ids.numel()
    }
}
