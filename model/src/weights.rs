//! Weights in and out: safetensors files under nanochat's names, also those of older programs.
//!
//! A compiled model of the original has `_orig_mod.` before every name. Before there was mixing, smear or backout, files had no numbers
//! for them; they get those with which the part does nothing: shares of the stream 1, all others 0. What cannot be neutral, such as a
//! missing matrix, is refused, and so is half of a part: a smear without its gate.

use crate::config::GptConfig;
use crate::error::{ModelError, Result};
use crate::gpt::{Gpt, GptOptions};
use std::collections::BTreeMap;
use std::path::Path;
use tensor::{DType, Device, Tensor, memory, safetensors};

/// What the original puts before the names of a compiled model.
const COMPILED: &str = "_orig_mod.";

/// The value with which a part that is younger than the file does nothing, and the weight that is as old as this one.
fn neutral(name: &str) -> Option<(f64, &'static str)> {
    match name {
        "resid_lambdas" => Some((1.0, "x0_lambdas")),
        "x0_lambdas" => Some((0.0, "resid_lambdas")),
        "smear_lambda" => Some((0.0, "smear_gate.weight")),
        "smear_gate.weight" => Some((0.0, "smear_lambda")),
        "backout_lambda" => Some((0.0, "backout_lambda")),
        _ => None,
    }
}

/// Read the weights of `config` from `path`: every tensor must be there in its shape. Other tensors are refused too.
/// `prefix` is put before every name (a checkpoint may hold several sets).
pub fn load(path: &Path, config: &GptConfig, prefix: &str, device: Device) -> Result<Vec<(String, Tensor)>> {
    let _label = memory::label("weights");
    let file = safetensors::read(path, device)?;
    pick(&file, path, config, prefix, device)
}

/// As [`load`], from a file already read.
pub fn pick(
    file: &safetensors::File,
    path: &Path,
    config: &GptConfig,
    prefix: &str,
    device: Device,
) -> Result<Vec<(String, Tensor)>> {
    let wrong =
        |name: &str, what: String| ModelError::Weights { path: path.to_owned(), name: name.into(), what };
    let shapes = config.param_shapes();
    let own = |key: &str| key.strip_prefix(prefix).map(|k| k.strip_prefix(COMPILED).unwrap_or(k).to_string());
    let found: BTreeMap<String, &Tensor> =
        file.tensors.iter().filter_map(|(key, t)| Some((own(key)?, t))).collect();
    if let Some(name) = found.keys().find(|n| !shapes.iter().any(|(name, _)| name == *n)) {
        return Err(wrong(name, "is not part of the model".into()));
    }
    let dtype = if device == Device::Reference { DType::F64 } else { DType::F32 };
    shapes
        .into_iter()
        .map(|(name, shape)| {
            let young = neutral(&name).filter(|(_, other)| !found.contains_key(*other));
            let t = match (found.get(&name), young) {
                (Some(t), _) => *t,
                (None, Some((value, _))) => return Ok((name, Tensor::full(value, &shape, dtype, device)?)),
                (None, None) => return Err(wrong(&name, "is missing".into())),
            };
            if t.dims() != shape {
                return Err(wrong(&name, format!("has shape {:?}, expected {shape:?}", t.dims())));
            }
            Ok((name, t.cast(dtype)?))
        })
        .collect()
}

impl Gpt {
    /// A model with the weights of a file.
    pub fn load(path: &Path, config: GptConfig, options: GptOptions) -> Result<Gpt> {
        let weights = load(path, &config, "", options.device)?;
        Gpt::from_weights(config, weights, options)
    }
    /// All weights as a file's contents (handles, no copies).
    pub fn to_file(&self) -> safetensors::File {
        let tensors = self.params().iter().map(|p| (p.name.clone(), p.value().clone())).collect();
        safetensors::File { tensors, ..Default::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Family, Part};

    fn config() -> GptConfig {
        let sizes =
            GptConfig { sequence_len: 8, vocab_size: 50, n_layer: 2, ..GptConfig::of(Family::Current) };
        GptConfig { n_head: 2, n_kv_head: 2, n_embd: 32, ..sizes }
    }

    #[test]
    fn a_file_from_before_mixing_smear_and_backout_makes_a_model_without_them() {
        let before = [Part::Mixing, Part::Smear, Part::Backout]
            .into_iter()
            .fold(config(), |config, part| config.without(part).unwrap());
        let options = GptOptions::default();
        let mut old = Gpt::new(before, 1, options).unwrap();
        for (i, p) in old.params_mut().iter_mut().enumerate() {
            let dims = p.value().dims().to_vec();
            p.set(crate::init::normal(1, 50 + i as u64, 0.1, &dims, options.device).unwrap());
        }
        let mut file = old.to_file();
        file.tensors = file.tensors.into_iter().map(|(k, t)| (format!("{COMPILED}{k}"), t)).collect();
        let path = Path::new("old.safetensors");
        let weights = pick(&file, path, &config(), "", options.device).unwrap();
        let new = Gpt::from_weights(config(), weights, options).unwrap();
        let ids = Tensor::ids(&[1, 7, 49, 3], &[1, 4], options.device).unwrap();
        let logits = |gpt: &Gpt| gpt.all_logits(&ids).unwrap().to_f64_vec();
        let worst = logits(&old).iter().zip(logits(&new)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-6, "{worst}");

        let gate = Tensor::full(0.1, &[1, 24], DType::F32, options.device).unwrap();
        file.tensors.insert("smear_gate.weight".into(), gate);
        let half = pick(&file, path, &config(), "", options.device).unwrap_err().to_string();
        assert!(half.contains("smear_lambda is missing"), "{half}");

        file.tensors.remove("smear_gate.weight");
        file.tensors.remove(&format!("{COMPILED}lm_head.weight"));
        let missing = pick(&file, path, &config(), "", options.device).unwrap_err().to_string();
        assert!(missing.contains("lm_head.weight is missing"), "{missing}");
    }
}
