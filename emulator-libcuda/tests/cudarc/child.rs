//! A child process in which `libcuda.so`, `libcublas.so` and, where it was fetched, NVRTC are found.

use emulator::nvrtc::Nvrtc;
use std::path::{Path, PathBuf};
use std::process::Command;

const MARK: &str = "EMULATOR_LIBCUDA_CHILD";

/// The folder of NVRTC, where `cargo xtask nvrtc` puts it.
fn nvrtc() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    Some(Nvrtc::find(&target)?.parent()?.to_path_buf())
}

/// This crate's library: cargo builds it before the tests, into their folder.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join("libemulator_libcuda.so"));
    found.into_iter().find(|path| path.is_file()).expect("cargo builds the library before its tests")
}

/// The body of the test called `name` (with its modules), in a child process. What the child wrote to standard error.
pub fn run(name: &str, body: fn()) -> String {
    if std::env::var_os(MARK).is_some() {
        body();
        return String::new();
    }
    let folder = tempfile::tempdir().unwrap();
    // not `libcuda.so.1`: NVRTC looks for that, and asks it for things that are in no manual
    for alias in ["libcuda.so", "libcublas.so"] {
        std::os::unix::fs::symlink(library(), folder.path().join(alias)).unwrap();
    }
    let mut folders = vec![folder.path().to_path_buf()];
    folders.extend(nvrtc());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(MARK, "1");
    child.env("LD_LIBRARY_PATH", std::env::join_paths(folders).unwrap());
    let output = child.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{out}");
    assert!(output.status.success(), "the child ended with {}:\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{name} is no test of this file:\n{out}");
    err.into_owned()
}

/// Is this the child, in which NVRTC can be loaded?
pub fn has_nvrtc() -> bool {
    nvrtc().is_some()
}
