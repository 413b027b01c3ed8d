//! A kernel of a few lines, written down in the test, and what it leaves in its output buffer.

use crate::hardware;
use emulator::{Arg, Checks, Config, Device, Fault, Launch, Module, Options, Plain};

/// The text of a module with one kernel `k(out, in)` and plenty of registers.
pub fn text(body: &str) -> String {
    format!(
        ".version 8.8\n.target sm_90\n.address_size 64\n.global .align 8 .b8 table[16] = {{1, 2, 3, 4, 5, 6, 7, 8}};\n\
         .const .align 4 .u32 fixed[2] = {{7, 9}};\n.extern .shared .align 16 .b8 dynamic[];\n\
         .visible .entry k(.param .u64 out, .param .u64 in)\n{{\n\
         .reg .pred %p<16>;\n.reg .b16 %h<32>;\n.reg .b32 %r<64>;\n.reg .b64 %d<64>;\n\
         .shared .align 16 .b8 s[4096];\n.local .align 16 .b8 l[64];\n\
         ld.param.u64 %d60, [out];\nld.param.u64 %d61, [in];\nmov.u32 %r60, %tid.x;\n{body}\nret;\n}}\n"
    )
}

/// Loads, and says what was wrong where it cannot.
pub fn load(body: &str) -> Module {
    Module::load(&text(body), "test").unwrap_or_else(|e| panic!("{e}\n{body}"))
}

/// Runs one block and returns the output, `outputs` numbers per thread.
pub fn run<I: Plain, O: Plain + Default>(body: &str, threads: u32, outputs: usize, input: &[I]) -> Vec<O> {
    try_run(body, threads, outputs, input, &Options::default()).unwrap_or_else(|f| panic!("{f}\n{body}"))
}

pub fn try_run<I: Plain, O: Plain + Default>(
    body: &str,
    threads: u32,
    outputs: usize,
    input: &[I],
    options: &Options,
) -> Result<Vec<O>, Box<Fault>> {
    let module = load(body);
    let mut device = Device::new(Config::default());
    let inputs = device.upload(input).unwrap();
    let out = device.upload(&vec![O::default(); outputs * threads as usize]).unwrap();
    let before: Vec<u8> = device.download(inputs).unwrap();
    let args: [Arg; 2] = [out.into(), inputs.into()];
    device.launch(&Launch {
        block: [threads, 1, 1],
        shared_bytes: 256,
        options: *options,
        ..Launch::of(&module, "k", &args)
    })?;
    let found: Vec<O> = device.download(out).unwrap();
    if options.perturb.is_none() && !options.truncate_mma {
        hardware::compare(&text(body), threads, 256, &before, &device.download(out).unwrap(), O::BYTES);
    }
    Ok(found)
}

/// Bounds only.
pub fn unchecked() -> Options {
    Options { checks: Checks::NONE, ..Options::default() }
}
