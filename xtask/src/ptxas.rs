//! `cargo xtask ptxas`: what NVIDIA's assembler makes of the committed PTX: registers, shared memory, spills.
//!
//! PTX has as many registers as it likes; a GPU has 65536 per multiprocessor. The assembler is where that is settled, and it needs
//! neither a driver nor a GPU: the Python package index has it. It is also the strictest reader of PTX that there is: a text that a
//! driver would refuse is refused here.

use crate::command::{Command, Context, Outcome, no_arguments};
use crate::nvrtc::package;
use crate::tools::{cargo, succeed, target_folder};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "ptxas",
    summary: "assemble the CUDA kernels for two GPUs; registers and spills into benches/RESULTS.md",
    args: "",
    help: "
Puts NVIDIA's assembler into target/ptxas (40 MB, once), with pip. Every kernels/ptx/*.ptx is assembled for
compute capability 8.0, as PTX 8.0, and for 9.0. A text that is refused, a spilled register, or more than 255 of them fails.
The table in benches/RESULTS.md is written anew.",
    run,
};

const PACKAGE: &str = "nvidia-cuda-nvcc-cu12==12.9.*";
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];
/// Registers and warps of a multiprocessor, of both.
const REGISTERS: u32 = 65536;
const WARPS: u32 = 64;

/// What the assembler says of one kernel.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kernel {
    name: String,
    registers: u32,
    shared: u32,
    spilled: u32,
}

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    if let Some(usage) = no_arguments(COMMAND.name, args) {
        return Ok(usage);
    }
    let target = target_folder(&context.root);
    let assembler = package(&target.join("ptxas"), "nvidia/cuda_nvcc/bin/ptxas", &[PACKAGE])?;
    let mut table = String::from(
        "| file | kernels | registers, 8.0 | registers, 9.0 | warps of 64 | shared memory | spilled |\n|---|---|---|---|---|---|---|\n",
    );
    let mut spills = Vec::new();
    for ptx in texts(&context.root.join("kernels/ptx"))? {
        let [first, second] = ARCHITECTURES;
        let old = assemble(&assembler, &older(&ptx, &target)?, first, &target);
        let new = assemble(&assembler, &ptx, second, &target);
        let (old, new) = (old?, new?);
        let all = || old.iter().chain(&new);
        let name = ptx.file_stem().unwrap_or_default().to_string_lossy();
        spills.extend(all().filter(|kernel| kernel.spilled > 0).map(|kernel| kernel.name.clone()));
        let most = |of: fn(&Kernel) -> u32| all().map(of).max().unwrap_or(0);
        table.push_str(&format!(
            "| `{name}` | {} | {} | {} | {} | {} | {} |\n",
            old.len(),
            range(&old),
            range(&new),
            warps(most(|kernel| kernel.registers)),
            most(|kernel| kernel.shared),
            most(|kernel| kernel.spilled),
        ));
    }
    let file = target.join("results").join("ptxas.md");
    let failed = |e| format!("{}: {e}", file.display());
    std::fs::create_dir_all(target.join("results"))
        .and_then(|()| std::fs::write(&file, table.trim_end()))
        .map_err(failed)?;
    let mut write = cargo();
    write.args([
        "run",
        "--quiet",
        "--package",
        "nanochat-benches",
        "--bin",
        "results",
        "--",
        "--section",
        "ptxas",
    ]);
    succeed("writing the results", write.arg(&file).arg("benches").current_dir(&context.root))?;
    if spills.is_empty() {
        return Ok(Outcome::Done);
    }
    println!("registers are spilled by {}", spills.join(", "));
    Ok(Outcome::Failed)
}

/// The PTX files of a folder, sorted.
fn texts(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok()).map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "ptx")).collect();
    found.sort();
    Ok(found)
}

/// A copy that says that it is PTX 8.0, as drivers of CUDA 12.0 are given it (`cuda/src/hardware/modules.rs`): whatever is newer in it
/// is refused.
fn older(ptx: &Path, target: &Path) -> Result<PathBuf, String> {
    let failed = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(ptx).map_err(|e| failed(ptx, e))?;
    let line = |line: &str| {
        if line.starts_with(".version ") { ".version 8.0\n".into() } else { format!("{line}\n") }
    };
    let copy = target.join("ptxas.ptx");
    std::fs::write(&copy, text.lines().map(line).collect::<String>()).map_err(|e| failed(&copy, e))?;
    Ok(copy)
}

/// The kernels of one file on one architecture.
fn assemble(assembler: &Path, ptx: &Path, arch: &str, target: &Path) -> Result<Vec<Kernel>, String> {
    let mut process = Process::new(assembler);
    process.arg("-v").arg(format!("-arch={arch}")).arg(ptx).arg("-o").arg(target.join("ptxas.cubin"));
    let output = process.output().map_err(|e| format!("{}: {e}", assembler.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} for {arch}: {text}", ptx.display()));
    }
    Ok(kernels(&text))
}

/// Reads the assembler's remarks.
fn kernels(text: &str) -> Vec<Kernel> {
    // the number before a word
    let before = |line: &str, word: &str| {
        let head = &line[..line.find(word)?];
        head.split([' ', ',']).rfind(|part| !part.is_empty())?.parse().ok()
    };
    let mut found: Vec<Kernel> = Vec::new();
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let name = rest.split('\'').next().unwrap_or_default().into();
            found.push(Kernel { name, ..Kernel::default() });
        }
        let Some(kernel) = found.last_mut() else { continue };
        if line.contains("spill stores") {
            kernel.spilled = before(line, " bytes spill stores").unwrap_or(0);
        }
        if line.contains(": Used ") {
            kernel.registers = before(line, " registers").unwrap_or(0);
            kernel.shared = before(line, " bytes smem").unwrap_or(0);
        }
    }
    found
}

fn range(kernels: &[Kernel]) -> String {
    let registers = || kernels.iter().map(|kernel| kernel.registers);
    match (registers().min(), registers().max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
        (Some(only), _) => only.to_string(),
        _ => "–".into(),
    }
}

/// How many warps the registers leave room for: they are given out by 256 to a warp.
fn warps(registers: u32) -> u32 {
    (REGISTERS / (registers.max(1) * 32).next_multiple_of(256)).min(WARPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assemblers_remarks_are_read() {
        let text = "ptxas info    : Compiling entry function 'a_64' for 'sm_80'\nptxas info    : Function properties for a_64\n    \
            16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\nptxas info    : Used 128 registers, used 1 barriers, 8192 bytes \
            smem, 408 bytes cmem[0]\nptxas info    : Compiling entry function 'b' for 'sm_80'\nptxas info    : Used 16 registers, 360 bytes cmem[0]\n";
        let kernel =
            |name: &str, registers, shared, spilled| Kernel { name: name.into(), registers, shared, spilled };
        assert_eq!(kernels(text), [kernel("a_64", 128, 8192, 8), kernel("b", 16, 0, 0)]);
        assert_eq!(range(&kernels(text)), "16 to 128");
        assert_eq!([16, 128, 244].map(warps), [64, 16, 8]);
    }

    #[test]
    fn an_argument_is_wrong_usage() {
        let context = Context::find().unwrap();
        assert!(matches!(run(&context, &["sm_70".into()]), Ok(Outcome::Usage(_))));
    }
}
