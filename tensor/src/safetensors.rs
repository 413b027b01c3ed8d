//! safetensors files: an 8-byte little-endian header length, a JSON header `{name: {dtype, shape, data_offsets}}`, then the
//! raw little-endian bytes. Everything is checked before a tensor is made, so a truncated or hostile file is an error.

use crate::{Bf16, DType, Device, Element, Result, Tensor, TensorError};
use kernels::planted;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

/// Named tensors and free-form string metadata.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// By name, sorted.
    pub tensors: BTreeMap<String, Tensor>,
    /// The `__metadata__` entry.
    pub metadata: BTreeMap<String, String>,
}

/// No sane header is longer; a larger number means the file is something else.
const MAX_HEADER: u64 = 100 << 20;

fn tag(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::Bf16 => "BF16",
        DType::I32 => "I32",
        DType::F64 => "F64",
    }
}

fn untag(tag: &str) -> Option<DType> {
    [DType::F32, DType::Bf16, DType::I32, DType::F64].into_iter().find(|&d| self::tag(d) == tag)
}

/// Write `file` to `out`; offsets are in name order.
pub fn write(file: &File, out: &mut dyn Write) -> std::io::Result<()> {
    let mut header = serde_json::Map::new();
    if !file.metadata.is_empty() {
        header.insert("__metadata__".into(), serde_json::json!(file.metadata));
    }
    let mut at = 0;
    for (name, t) in &file.tensors {
        let end = at + t.bytes();
        header.insert(
            name.clone(),
            serde_json::json!({"dtype": tag(t.dtype()), "shape": t.dims(), "data_offsets": [at, end]}),
        );
        at = planted!("safetensors.every_offset_from_zero", end => 0);
    }
    let mut json = serde_json::Value::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' '); // data starts aligned
    out.write_all(&(json.len() as u64).to_le_bytes())?;
    out.write_all(&json)?;
    file.tensors.values().try_for_each(|t| write_data(t, out))
}

fn write_data(t: &Tensor, out: &mut dyn Write) -> std::io::Result<()> {
    fn put<T: Element, const N: usize>(
        t: &Tensor,
        out: &mut dyn Write,
        le: fn(T) -> [u8; N],
    ) -> std::io::Result<()> {
        let data = t.to_vec::<T>().map_err(std::io::Error::other)?;
        for chunk in data.chunks(1 << 16) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|&v| le(v)).collect();
            out.write_all(&bytes)?;
        }
        Ok(())
    }
    match t.dtype() {
        DType::F32 => put::<f32, 4>(t, out, f32::to_le_bytes),
        DType::Bf16 => put::<Bf16, 2>(t, out, |v| v.0.to_le_bytes()),
        DType::I32 => put::<i32, 4>(t, out, i32::to_le_bytes),
        DType::F64 => put::<f64, 8>(t, out, f64::to_le_bytes),
    }
}

/// Read all tensors of a file onto `device` (f64 tensors go to [`Device::Reference`]).
pub fn read(path: &Path, device: Device) -> Result<File> {
    let io = |source| TensorError::Io { path: path.to_owned(), source };
    let mut input = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(io)?;
    parse(&bytes, device).map_err(|e| match e {
        ParseError::Bad(why) => TensorError::BadFile { path: path.to_owned(), why },
        ParseError::Tensor(e) => e,
    })
}

enum ParseError {
    Bad(String),
    Tensor(TensorError),
}
impl From<TensorError> for ParseError {
    fn from(e: TensorError) -> Self {
        ParseError::Tensor(e)
    }
}
fn bad<T>(why: impl Into<String>) -> std::result::Result<T, ParseError> {
    Err(ParseError::Bad(why.into()))
}

fn parse(bytes: &[u8], device: Device) -> std::result::Result<File, ParseError> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return bad(format!("{} bytes is too short for a header", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER || length as usize > rest.len() {
        return bad(format!(
            "header of {length} bytes does not fit; the file is truncated or not safetensors"
        ));
    }
    let (json, data) = rest.split_at(length as usize);
    let header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(json).or_else(|e| bad(format!("header is not JSON: {e}")))?;
    let mut file = File::default();
    for (name, entry) in header {
        if name == "__metadata__" {
            file.metadata = serde_json::from_value(entry).or_else(|e| bad(format!("metadata: {e}")))?;
            continue;
        }
        let tensor = parse_tensor(&name, &entry, data, device)?;
        file.tensors.insert(name, tensor);
    }
    Ok(file)
}

fn parse_tensor(
    name: &str,
    entry: &serde_json::Value,
    data: &[u8],
    device: Device,
) -> std::result::Result<Tensor, ParseError> {
    let text = entry["dtype"].as_str().unwrap_or("none");
    let Some(dtype) = untag(text) else {
        return bad(format!("{name}: dtype {text} is not one of F32, BF16, I32, F64"));
    };
    let numbers = |v: &serde_json::Value| -> Option<Vec<usize>> {
        v.as_array()?.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
    };
    let (Some(dims), Some(offsets)) = (numbers(&entry["shape"]), numbers(&entry["data_offsets"])) else {
        return bad(format!("{name}: shape or data_offsets missing"));
    };
    let [start, end] = offsets[..] else {
        return bad(format!("{name}: data_offsets needs two numbers"));
    };
    let expected = dims.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d));
    if start > end || Some(end - start) != expected {
        return bad(format!("{name}: {dims:?} of {text} does not fill bytes {start}..{end}"));
    }
    let Some(raw) = data.get(start..end) else {
        return bad(format!("{name}: needs bytes up to {end}, the file has {}; it is truncated", data.len()));
    };
    let device = if device.stores(dtype) { device } else { Device::Reference };
    Ok(match dtype {
        DType::F32 => Tensor::from_slice(&decode(raw, f32::from_le_bytes), &dims, device)?,
        DType::Bf16 => Tensor::from_slice(&decode(raw, |b| Bf16(u16::from_le_bytes(b))), &dims, device)?,
        DType::I32 => Tensor::from_slice(&decode(raw, i32::from_le_bytes), &dims, device)?,
        DType::F64 => Tensor::from_slice(&decode(raw, f64::from_le_bytes), &dims, device)?,
    })
}

fn decode<T, const N: usize>(raw: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|&b| from(b)).collect()
}
