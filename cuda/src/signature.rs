//! The parameters of a kernel as its PTX declares them, against which every launch's arguments are checked: drivers take bytes
//! and would read a pointer where a count was meant.

use crate::driver::{DriverError, Launch, Value};

/// Refuses arguments that are not those of the kernel: their number, their types, the sizes of structs.
pub fn check(launch: &Launch<'_>) -> Result<(), DriverError> {
    let fault = |what: String| DriverError::Arguments { kernel: launch.kernel.into(), what };
    let types = parameters(launch.module.ptx, launch.kernel)
        .ok_or_else(|| fault(format!("{}.ptx has no such kernel", launch.module.name)))?;
    let given: Vec<String> = launch.args.iter().map(declared).collect();
    if types == given {
        return Ok(());
    }
    Err(fault(format!("the arguments are {given:?}, the kernel's parameters {types:?}")))
}

/// How PTX declares a parameter for this value.
fn declared(value: &Value) -> String {
    match value {
        Value::Address(_) | Value::U64(_) => "u64".into(),
        Value::U32(_) => "u32".into(),
        Value::F32(_) => "f32".into(),
        Value::F64(_) => "f64".into(),
        Value::Bytes(bytes) => format!("b8[{}]", bytes.len()),
    }
}

/// The parameters' types, in order; `None` if there is no such kernel.
fn parameters(ptx: &str, kernel: &str) -> Option<Vec<String>> {
    let start = ptx.find(&format!(".entry {kernel}("))?;
    let list = ptx[start..].split_once('(')?.1.split_once(')')?.0;
    list.split(',').filter(|text| text.contains(".param")).map(parameter).collect()
}

/// `.param .u64 name` or `.param .align 8 .b8 name[64]`.
fn parameter(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (name, rest) = words.split_last()?;
    let ty = rest.last()?.trim_start_matches('.');
    Some(format!("{ty}{}", name.find('[').map_or("", |at| &name[at..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::ADAMW;

    fn launch(args: &[Value]) -> Result<(), DriverError> {
        let shape = (1, 32, 0);
        check(&Launch {
            op: "adamw",
            module: &ADAMW,
            kernel: "adamw_packs",
            grid: shape.0,
            block: shape.1,
            shared_bytes: shape.2,
            args,
            bytes: 0.0,
        })
    }

    #[test]
    fn arguments_of_another_number_type_or_size_are_refused() {
        let mut args = vec![Value::Address(0); 4];
        args.extend([Value::Bytes(vec![0; 32]), Value::U32(1)]);
        assert_eq!(launch(&args), Ok(()));
        for (at, wrong) in [(0, Value::U32(1)), (4, Value::Bytes(vec![0; 28])), (5, Value::F32(1.0))] {
            let mut args = args.clone();
            args[at] = wrong;
            assert!(matches!(launch(&args), Err(DriverError::Arguments { .. })), "{at}");
        }
        assert!(launch(&args[..5]).is_err());
    }
}
