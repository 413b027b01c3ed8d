//! Weights in and out: safetensors files under nanochat's names.

use crate::config::GptConfig;
use crate::error::{ModelError, Result};
use crate::gpt::{Gpt, GptOptions};
use std::path::Path;
use tensor::{DType, Device, Tensor, memory, safetensors};

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
    let extra = file.tensors.keys().filter_map(|k| k.strip_prefix(prefix));
    if let Some(name) = extra.into_iter().find(|n| !shapes.iter().any(|(name, _)| name == n)) {
        return Err(wrong(name, "is not part of the model".into()));
    }
    let dtype = if device == Device::Reference { DType::F64 } else { DType::F32 };
    shapes
        .into_iter()
        .map(|(name, shape)| {
            let t = file.tensors.get(&format!("{prefix}{name}"));
            let t = t.ok_or_else(|| wrong(&name, "is missing".into()))?;
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
