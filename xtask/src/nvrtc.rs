//! `cargo xtask nvrtc`: NVIDIA's run-time compiler into the build folder, and the committed PTX made new with it.
//!
//! The compiler is a shared library that the Python package index has as a package; pip fetches it, and it needs neither a
//! driver nor a GPU. Where it is, tests compare the committed texts with what it makes.

use crate::command::{Command, Context, Outcome};
use crate::tools::{cargo, succeed, target_folder, works};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "nvrtc",
    summary: "fetch NVIDIA's run-time compiler, compile the CUDA kernels to PTX",
    args: "[--fetch]",
    help: "
Puts NVRTC 12.9 and the CUDA headers into target/nvrtc (90 MB, once), with pip. Then every
emulator/tests/ptx/*.cu is compiled to the .ptx beside it, for compute_80; where a .compute_90.ptx lies
beside it, that is made new, too; and every kernels/src/*/*.cu to kernels/ptx/. --fetch only fetches.

Tests need none of this: the PTX is committed. With NVRTC there, they also check that it is fresh.
The samples that NANOCHAT_PTX_SAMPLES names are compiled by the tests themselves.",
    run,
};

/// The packages, without their dependencies: the compiler, and the headers that samples include.
const PACKAGES: [&str; 2] = ["nvidia-cuda-nvrtc-cu12==12.9.*", "nvidia-cuda-runtime-cu12==12.9.*"];

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let only_fetch = match args {
        [] => false,
        [arg] if arg == "--fetch" => true,
        _ => return Ok(Outcome::Usage("usage: cargo xtask nvrtc [--fetch]".into())),
    };
    let library = fetch(&target_folder(&context.root).join("nvrtc"))?;
    println!("NVRTC is {}", library.display());
    if only_fetch {
        return Ok(Outcome::Done);
    }
    for source in sources(&context.root.join("emulator/tests/ptx"))? {
        // the newer text only where somebody asked for one by making the file
        let newer = source.with_extension("compute_90.ptx");
        let newer = newer.is_file().then_some((newer, "compute_90"));
        for (output, arch) in [(source.with_extension("ptx"), "compute_80")].into_iter().chain(newer) {
            let mut compile = cargo();
            compile.args(["run", "--quiet", "--package", "nanochat-emulator", "--example", "compile", "--"]);
            compile.arg(&library).arg(&source).arg(&output).arg(arch).current_dir(&context.root);
            succeed("compiling a test kernel", &mut compile)?;
            println!("compiled {}", output.display());
        }
    }
    let mut compile = cargo();
    compile.args(["run", "--quiet", "--package", "nanochat-cuda", "--example", "ptx", "--"]).arg(&library);
    succeed("compiling the kernels", compile.current_dir(&context.root))?;
    println!("compiled kernels/src/*/*.cu to kernels/ptx");
    Ok(Outcome::Done)
}

/// The library in `folder`, fetched if it is not there.
fn fetch(folder: &Path) -> Result<PathBuf, String> {
    package(folder, "nvidia/cuda_nvrtc/lib/libnvrtc.so.12", &PACKAGES)
}

/// `file` of `packages` in `folder`, fetched if it is not there.
pub fn package(folder: &Path, file: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let path = folder.join(file);
    if path.is_file() {
        return Ok(path);
    }
    let python = ["python3", "python"].into_iter().find(|name| {
        let mut process = Process::new(name);
        process.args(["-m", "pip", "--version"]);
        works(process)
    });
    let python = python.ok_or_else(|| format!("there is no python3 with pip, which fetches {file}"))?;
    let mut pip = Process::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    succeed("fetching a package of NVIDIA's", pip.arg(folder).args(packages))?;
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("the package has no {}: only Linux on x86-64 is supported", path.display()))
}

/// The CUDA files of a folder, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok()).map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "cu")).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_argument_is_wrong_usage_and_fetches_nothing() {
        let context = Context::find().unwrap();
        assert!(matches!(run(&context, &["--force".into()]), Ok(Outcome::Usage(_))));
    }

    #[test]
    fn every_test_kernel_has_its_text_beside_it() {
        let folder = Context::find().unwrap().root.join("emulator/tests/ptx");
        let found = sources(&folder).unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|path| path.with_extension("ptx").is_file()));
    }
}
