//! The parameters of a kernel as its PTX declares them, against which every launch's arguments are checked: drivers take bytes
//! and would read a pointer where a count was meant.

use crate::driver::{DriverError, Launch, Value};
use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U32,
    U64,
    F32,
    F64,
    /// So many bytes.
    Struct(usize),
}

type Signatures = HashMap<&'static str, Vec<Kind>>;

/// By module, then by kernel: a text is read when its first kernel is launched.
static READ: LazyLock<RwLock<HashMap<&'static str, Signatures>>> = LazyLock::new(RwLock::default);

/// Refuses arguments that are not those of the kernel: their number, their types, the sizes of structs.
pub fn check(launch: &Launch<'_>) -> Result<(), DriverError> {
    let (name, ptx) = (launch.module.name, launch.module.ptx);
    if let Some(signatures) = READ.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return compare(signatures, launch);
    }
    let mut all = READ.write().unwrap_or_else(PoisonError::into_inner);
    compare(all.entry(name).or_insert_with(|| signatures(ptx)), launch)
}

fn compare(signatures: &Signatures, launch: &Launch<'_>) -> Result<(), DriverError> {
    let fault = |what: String| DriverError::Arguments { kernel: launch.kernel.into(), what };
    let want = signatures
        .get(launch.kernel)
        .ok_or_else(|| fault(format!("{}.ptx has no such kernel", launch.module.name)))?;
    let given = launch.args.iter().map(kind);
    if given.clone().eq(want.iter().copied()) {
        return Ok(());
    }
    let given: Vec<Kind> = given.collect();
    Err(fault(format!("the arguments are {given:?}, the kernel's parameters {want:?}")))
}

/// What PTX declares for this value.
fn kind(value: &Value) -> Kind {
    match value {
        Value::Address(_) | Value::U64(_) => Kind::U64,
        Value::U32(_) => Kind::U32,
        Value::F32(_) => Kind::F32,
        Value::F64(_) => Kind::F64,
        Value::Bytes(bytes) => Kind::Struct(bytes.len()),
    }
}

/// Every kernel of a text with the types of its parameters; one of a type that no argument has is left out.
fn signatures(ptx: &'static str) -> Signatures {
    let entry = |text: &'static str| {
        let (name, rest) = text.split_once('(')?;
        let list = rest.split_once(')')?.0;
        let params: Option<Vec<Kind>> =
            list.split(',').filter(|text| text.contains(".param")).map(param).collect();
        Some((name.trim(), params?))
    };
    ptx.split(".entry ").skip(1).filter_map(entry).collect()
}

/// `.param .u64 name` or `.param .align 8 .b8 name[64]`.
fn param(text: &str) -> Option<Kind> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (name, rest) = words.split_last()?;
    Some(match *rest.last()? {
        ".u32" => Kind::U32,
        ".u64" => Kind::U64,
        ".f32" => Kind::F32,
        ".f64" => Kind::F64,
        ".b8" => Kind::Struct(name.split_once('[')?.1.strip_suffix(']')?.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::UNARY;

    fn launch(args: &[Value]) -> Result<(), DriverError> {
        let shape = (1, 32, 0);
        check(&Launch {
            op: "unary",
            module: &UNARY,
            kernel: "unary_f32_packs",
            grid: shape.0,
            block: shape.1,
            shared_bytes: shape.2,
            args,
            bytes: 0.0,
        })
    }

    #[test]
    fn arguments_of_another_number_type_or_size_are_refused() {
        let args = [Value::Address(0), Value::Address(0), Value::U32(1), Value::Bytes(vec![0; 12])];
        assert_eq!(launch(&args), Ok(()));
        for (at, wrong) in [(0, Value::U32(1)), (3, Value::Bytes(vec![0; 8])), (2, Value::F32(1.0))] {
            let mut args = args.clone();
            args[at] = wrong;
            assert!(matches!(launch(&args), Err(DriverError::Arguments { .. })), "{at}");
        }
        assert!(launch(&args[..3]).is_err());
    }
}
