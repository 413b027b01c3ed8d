//! Initial weights.
//!
//! Every matrix has its own random stream, numbered by its place in the list, and every element its own place in the
//! stream, so a weight's value depends on the seed, the matrix and the index alone.

use crate::config::GptConfig;
use crate::error::Result;
use kernels::{par, philox};
use tensor::{DType, Device, Tensor, memory};

/// Standard deviation of a weight's normal distribution; 0 for zeros.
///
/// Embedding 1; head and both output projections 0 (each block starts as the identity); every other matrix
/// `min(1, √(out/in))/√in`.
pub fn standard_deviation(name: &str, [out, input]: [usize; 2]) -> f64 {
    if name.ends_with("wte.weight") {
        1.0
    } else if name.ends_with("c_proj.weight") || name == "lm_head.weight" {
        0.0
    } else {
        let (out, input) = (out as f64, input as f64);
        (out / input).sqrt().min(1.0) / input.sqrt()
    }
}

/// Normal values times `std`: element i is a function of (seed, stream, i).
pub fn normal(seed: u64, stream: u64, std: f64, dims: &[usize], device: Device) -> Result<Tensor> {
    let n: usize = dims.iter().product();
    let mut data = vec![0.0f32; n];
    if std > 0.0 {
        par::for_each_rows(&mut data, 1, 16384, |first, chunk| {
            for (i, v) in chunk.iter_mut().enumerate() {
                *v = (philox::normal_at(seed, stream, (first + i) as u64) * std) as f32;
            }
        });
    }
    if device == Device::Reference {
        let wide: Vec<f64> = data.iter().map(|&v| v as f64).collect();
        return Ok(Tensor::from_f64(&wide, dims, DType::F64, device)?);
    }
    Ok(Tensor::from_slice(&data, dims, device)?)
}

/// All weights of `config`, in order.
pub fn weights(config: &GptConfig, seed: u64, device: Device) -> Result<Vec<(String, Tensor)>> {
    let _label = memory::label("weights");
    config
        .param_shapes()
        .into_iter()
        .enumerate()
        .map(|(stream, (name, shape))| {
            let std = standard_deviation(&name, shape);
            let weight = normal(seed, stream as u64, std, &shape, device)?;
            Ok((name, weight))
        })
        .collect()
}
