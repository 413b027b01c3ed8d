//! `check_entry kernel|op NAME [CHECK]`: the checks of one registry entry on the CPU. What `cargo xtask mutants` runs.
//!
//! Without CHECK all of them must pass. With CHECK, such as `value`, it ends with exit code 1 at the first failure of that
//! check; failures of others are counted only, and named at the end. Exit code 2: there is no such entry or check.
#![allow(clippy::print_stdout)] // a program

use checks::registry::OPS;
use checks::{Budget, CheckResult, verify_these};
use std::collections::BTreeMap;
use std::process::{ExitCode, exit};
use tensor::Device;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [registry, name, wanted @ ..] = &args[..] else {
        println!("usage: check_entry kernel|op NAME [CHECK]");
        return ExitCode::from(2);
    };
    let wanted = wanted.first().map(String::as_str);
    let (mut made, mut failed) = (0, BTreeMap::new());
    let mut hear = |result: &CheckResult| {
        made += usize::from(wanted.is_none_or(|check| check == result.check));
        if result.ok {
            return;
        }
        if wanted == Some(result.check) {
            println!("{result}");
            exit(1);
        }
        if !failed.contains_key(result.check) {
            println!("{result}");
        }
        *failed.entry(result.check).or_insert(0) += 1;
    };
    match registry.as_str() {
        "kernel" => {
            let entry = kernels::kernels().filter(|info| info.name == name);
            kernels::verify::verify_kernels(entry, Device::Cpu.backend(), Budget::default(), &mut hear);
        }
        _ => {
            let entry = OPS.iter().copied().filter(|info| info.name == name);
            verify_these(entry, Device::Cpu, Budget::default(), &mut hear);
        }
    }
    if made == 0 {
        println!("no entry `{registry} {name}`, or no check `{}` of it", wanted.unwrap_or("any"));
        return ExitCode::from(2);
    }
    println!("{made} checks; failed: {failed:?}");
    ExitCode::from(u8::from(wanted.is_none() && !failed.is_empty()))
}
