//! Reading dumps: files that are missing, truncated or odd become notes that name the file.

use super::report::{Checked, Stop, fail};
use model::GptConfig;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tensor::{Device, Tensor};

/// The last part of a path, for notes.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// A whole file.
pub(super) fn bytes(path: &Path) -> Checked<Vec<u8>> {
    std::fs::read(path).map_err(|e| Stop::Fail(format!("{}: {e}", file_name(path))))
}

/// A JSON file of a known shape.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Checked<T> {
    serde_json::from_slice(&bytes(path)?).map_err(|e| Stop::Fail(format!("{}: {e}", file_name(path))))
}

/// The tensors of a safetensors file, by name.
#[derive(Clone, Default)]
pub(super) struct Tensors {
    pub file: String,
    pub map: BTreeMap<String, Tensor>,
}

impl Tensors {
    pub(super) fn read(path: &Path) -> Checked<Tensors> {
        let file = file_name(path);
        match tensor::safetensors::read(path, Device::Cpu) {
            Ok(read) => Ok(Tensors { file, map: read.tensors }),
            Err(tensor::TensorError::Io { source, .. }) => fail(format!("{file}: {source}")),
            Err(tensor::TensorError::BadFile { why, .. }) => fail(format!("{file}: {why}")),
            Err(e) => fail(format!("{file}: {e}")),
        }
    }
    /// One tensor, which has to be there.
    pub(super) fn get(&self, name: &str) -> Checked<&Tensor> {
        self.map.get(name).ok_or_else(|| Stop::Fail(format!("{} has no tensor {name}", self.file)))
    }
    /// The tensors whose names start with `prefix`, without it.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.map.iter().filter_map(move |(name, t)| Some((name.strip_prefix(prefix)?, t)))
    }
    /// Handles on the weights of `config` that are stored under `prefix`, in the model's order; other names are ignored.
    pub(super) fn weights(&self, config: &GptConfig, prefix: &str) -> Checked<Vec<(String, Tensor)>> {
        let take = |(name, shape): (String, Vec<usize>)| {
            let t = self.get(&format!("{prefix}{name}"))?;
            if t.dims() != shape || t.dtype() != tensor::DType::F32 {
                return fail(format!(
                    "{}: {name} is {} {:?}, not F32 {shape:?}",
                    self.file,
                    t.dtype(),
                    t.dims()
                ));
            }
            Ok((name, t.clone()))
        };
        config.param_shapes().into_iter().map(take).collect()
    }
}

/// More table entries than any dump needs: a damaged configuration must not ask for all memory.
const MAX_ROTARY_ENTRIES: usize = 1 << 27;

/// The model configuration of a dump.
pub(super) fn model_config(json: &Value) -> Checked<GptConfig> {
    let config: GptConfig =
        serde_json::from_value(json.clone()).map_err(|e| Stop::Fail(format!("configuration: {e}")))?;
    if 10 * config.sequence_len * config.head_dim() > MAX_ROTARY_ENTRIES {
        return fail(format!("configuration: sequence_len {} is too long for a dump", config.sequence_len));
    }
    Ok(config)
}

/// Where files of other folders are found: the dump's own tree first, then the folder of all dumps.
pub(super) fn find_support(dir: &Path, relative: &str, goldens: Option<&Path>) -> Checked<PathBuf> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let mut places: Vec<PathBuf> = dir.ancestors().map(|a| a.join(relative)).collect();
    places.extend(goldens.map(|g| g.join(relative)));
    let found = places.into_iter().find(|p| p.exists());
    found.ok_or_else(|| {
        Stop::Skip(format!("needs {relative}, which is neither in its own tree nor in NANOCHAT_GOLDENS"))
    })
}

/// Bytes from hexadecimal digits.
pub(super) fn unhex(hex: &str) -> Checked<Vec<u8>> {
    let digits = hex.as_bytes();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2);
        pair.and_then(|p| u8::from_str_radix(p, 16).ok())
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    bytes.ok_or_else(|| Stop::Fail(format!("{hex:?} is not hexadecimal")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_or_refused() {
        assert_eq!(unhex("00fF7a").unwrap(), [0, 255, 122]);
        for bad in ["0", "0x", "é", "zz"] {
            assert!(unhex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_configuration_tells_its_family_and_a_damaged_one_fails() {
        let json = |extra: &str| {
            let text = format!(
                r#"{{"sequence_len":64,"vocab_size":97,"n_layer":2,"n_head":4,"n_kv_head":4,"n_embd":32{extra}}}"#
            );
            serde_json::from_str::<Value>(&text).unwrap()
        };
        assert_eq!(model_config(&json("")).unwrap().n_embd, 32);
        assert_eq!(model_config(&json(r#","window_pattern":"L""#)).unwrap().family, model::Family::Current);
        assert!(matches!(model_config(&json(r#","n_head":5"#)), Err(Stop::Fail(_))));
        assert!(matches!(model_config(&json(r#","sequence_len":16777216"#)), Err(Stop::Fail(_))));
        assert!(matches!(model_config(&Value::Null), Err(Stop::Fail(_))));
    }
}
