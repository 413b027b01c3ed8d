//! A child process that finds the emulator where NVIDIA's libraries are looked for.

use cuda::hardware::Libraries;
use cuda::{Cuda, Hardware};
use emulator::nvrtc::Nvrtc;
use std::path::Path;
use std::process::Command;

const MARK: &str = "NANOCHAT_HARDWARE_CHILD";

/// The body of the test called `name` (with its modules), in a child process with these variables beside those that name the libraries.
pub fn run(name: &str, variables: &[(&str, &str)], body: fn()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let library = emulator_libcuda::library().expect("cargo builds the library before its tests");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(MARK, "1");
    child
        .env("NANOCHAT_LIBCUDA", &library)
        .env("NANOCHAT_LIBCUBLAS", &library)
        .env("NANOCHAT_LIBNVRTC", "none");
    child.envs(variables.iter().copied());
    let output = child.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{out}");
    assert!(output.status.success(), "the child ended with {}:\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{name} is no test of this file:\n{out}");
}

/// The GPU that the environment names.
pub fn gpu() -> Cuda<Hardware> {
    Cuda::new(Hardware::open(0, &Libraries::from_env()).unwrap())
}

/// NVRTC's file, where it was fetched.
pub fn nvrtc() -> Option<String> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    Some(Nvrtc::find(&target)?.display().to_string())
}
