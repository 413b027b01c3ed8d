//! Initial weights.
//!
//! Every matrix has its own random stream, numbered by its place in the list, and every element its own place in the
//! stream, so a weight's value depends on the seed, the matrix and the index alone.

use crate::config::{Family, GptConfig};
use crate::error::Result;
use kernels::{par, philox};
use tensor::{DType, Device, Tensor, memory};

/// How a weight starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Normal numbers with this standard deviation; 0 for zeros.
    Normal(f64),
    /// Evenly between two numbers.
    Uniform(f64, f64),
    /// On a line from the first number, for layer 0, to the second, for the last layer.
    Line(f64, f64),
}

/// How the weight called `name` starts. In both families the output projections are 0: each block starts as the identity.
///
/// Classic: embedding 1; head 0; every other matrix normal with `min(1, √(out/in))/√in`. Current: embedding 0.8; head 0.001;
/// matrices uniform with the standard deviation `C^-½`, the first of the MLP 0.4 of that; gates between 0 and 0.02. An embedding
/// that is the head, too: 0.02, for as a head it must not begin with an opinion, and as an embedding its length is normalised.
pub fn start(config: &GptConfig, name: &str, shape: &[usize]) -> Start {
    if name.ends_with("c_proj.weight") {
        return Start::Normal(0.0);
    }
    if config.parts.tied_head && name == "transformer.wte.weight" {
        return Start::Normal(0.02);
    }
    let last = |of: &str| name.ends_with(of);
    let classic = classic(name, shape).filter(|_| config.family == Family::Classic && !last("gate.weight"));
    if let Some(start) = classic {
        return start;
    }
    let bound = (3.0 / config.n_embd as f64).sqrt();
    match name {
        "resid_lambdas" => Start::Line(1.15, 1.05),
        "x0_lambdas" => Start::Line(0.20, 0.05),
        "smear_lambda" => Start::Normal(0.0),
        "backout_lambda" => Start::Line(0.2, 0.2),
        "transformer.wte.weight" => Start::Normal(0.8),
        "lm_head.weight" => Start::Normal(0.001),
        _ if last("gate.weight") => Start::Uniform(0.0, 0.02),
        _ if last("c_fc.weight") || last("c_up.weight") => Start::Uniform(-0.4 * bound, 0.4 * bound),
        _ => Start::Uniform(-bound, bound),
    }
}

/// The classic family's weights; `None` for what it lacks.
fn classic(name: &str, shape: &[usize]) -> Option<Start> {
    match (name, shape) {
        ("transformer.wte.weight", _) => Some(Start::Normal(1.0)),
        ("lm_head.weight", _) => Some(Start::Normal(0.0)),
        (_, &[out, input]) if name.starts_with("transformer.h.") => {
            let (out, input) = (out as f64, input as f64);
            Some(Start::Normal((out / input).sqrt().min(1.0) / input.sqrt()))
        }
        _ => None,
    }
}

/// Normal values times `std`: element i is a function of (seed, stream, i).
pub fn normal(seed: u64, stream: u64, std: f64, dims: &[usize], device: Device) -> Result<Tensor> {
    draw(dims, device, |i| if std > 0.0 { philox::normal_at(seed, stream, i) * std } else { 0.0 })
}

/// A tensor whose element i is `f(i)`, rounded to f32.
fn draw(dims: &[usize], device: Device, f: impl Fn(u64) -> f64 + Sync) -> Result<Tensor> {
    let mut data = vec![0.0f32; dims.iter().product()];
    par::for_each_rows(&mut data, 1, 16384, |first, chunk| {
        for (i, v) in chunk.iter_mut().enumerate() {
            *v = f((first + i) as u64) as f32;
        }
    });
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
            let stream = stream as u64;
            let weight = match start(config, &name, &shape) {
                Start::Normal(std) => normal(seed, stream, std, &shape, device)?,
                Start::Uniform(low, high) => draw(&shape, device, |i| {
                    low + (high - low) * f64::from(philox::unit_f32(philox::word(seed, stream, i)))
                })?,
                Start::Line(first, last) => {
                    let steps = shape[0].saturating_sub(1).max(1) as f64;
                    draw(&shape, device, |i| first + (last - first) * i as f64 / steps)?
                }
            };
            Ok((name, weight))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{Gpt, GptConfig, GptOptions};

    #[test]
    fn footgun_numbers_that_mix_start_at_what_is_said_and_not_at_what_memory_held() {
        let config = GptConfig::current_from_depth(4, 50, 8).unwrap();
        for _ in 0..2 {
            // The second model lies in the memory of the first, which was full of NaN.
            let mut gpt = Gpt::new(config.clone(), 1, GptOptions::default()).unwrap();
            let near = |name: &str, want: &[f64]| {
                let found = gpt.params().iter().find(|p| p.name == name).unwrap();
                let got = found.value().to_f64_vec();
                let close = got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
                assert!(close && got.len() == want.len(), "{name}: {got:?}");
            };
            near("resid_lambdas", &[1.15, 1.15 - 0.1 / 3.0, 1.15 - 0.2 / 3.0, 1.05]);
            near("x0_lambdas", &[0.2, 0.15, 0.1, 0.05]);
            near("smear_lambda", &[0.0]);
            near("backout_lambda", &[0.2]);
            gpt.params_mut().iter_mut().for_each(|p| p.value_mut().fill(f64::NAN).unwrap());
        }
    }
}
