//! What `--device cuda` would find: the GPU and what multiplies matrices there, or why there is none; and where NVIDIA's libraries are.

use super::{Fact, Section};
use crate::globals::{DeviceArg, Globals};
use cuda::Hardware;
use cuda::hardware::Libraries;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What each library is for, and how its file name begins on Linux and on Windows.
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("driver", "libcuda.so", "nvcuda"),
    ("runtime", "libcudart.so", "cudart64"),
    ("nvrtc", "libnvrtc.so", "nvrtc64"),
    ("cublas", "libcublas.so", "cublas64"),
];

/// Where the loader usually looks.
const FOLDERS: &[&str] = &[
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/cuda/lib64",
    "/opt/cuda/lib64",
    "/usr/local/nvidia/lib64",
    "/usr/lib/wsl/lib",
    "C:\\Windows\\System32",
];

/// The GPU, and a line per library.
pub fn section(globals: &Globals) -> Section {
    let folders = folders();
    let mut facts = gpu(globals);
    let libraries = LIBRARIES.iter().map(|&(key, unix, windows)| {
        let found = find(&folders, &[unix, windows]).map(|path| path.display().to_string());
        let text = found.clone().unwrap_or_else(|| "not found".into());
        Fact::new(key, json!(found), text)
    });
    facts.extend(libraries);
    let module = fs::read_to_string("/proc/driver/nvidia/version").ok();
    let module = module.and_then(|text| Some(text.lines().next()?.to_string()));
    let text = module.clone().unwrap_or_else(|| "not loaded".into());
    facts.push(Fact::new("kernel_module", json!(module), text));
    Section { title: "CUDA (used by --device cuda)", key: "cuda", facts }
}

/// The GPU that would be used, or the reason why there is none.
fn gpu(globals: &Globals) -> Vec<Fact> {
    let number = if let DeviceArg::Cuda(number) = globals.device { number } else { 0 };
    let hardware = match Hardware::open(number, &Libraries::from_env()) {
        Ok(hardware) => hardware,
        Err(error) => {
            let none = Fact::new("gpu", Value::Null, "none".into());
            return vec![none, Fact::text("why_not", Some(error.to_string()))];
        }
    };
    let facts = hardware.facts().ok().map(|f| {
        let (major, minor) = f.capability;
        format!(
            "{}, compute capability {major}.{minor}, driver of CUDA {}.{}",
            f.name,
            f.driver / 1000,
            f.driver % 1000 / 10
        )
    });
    let multiplies =
        hardware.blas().map_or_else(|why| format!("our own kernels (cuBLAS: {why})"), |()| "cuBLAS".into());
    let compiled =
        if hardware.compiles() { "NVRTC, for this GPU" } else { "the driver, from the PTX that is built in" };
    vec![
        Fact::text("gpu", facts),
        Fact::bytes("gpu_memory", hardware.room().ok().map(|(_, total)| total)),
        Fact::text("matrix_products", Some(multiplies)),
        Fact::text("kernels_compiled_by", Some(compiled.into())),
    ]
}

/// The folders of the environment first, then the usual ones.
fn folders() -> Vec<PathBuf> {
    let listed = |name: &str| std::env::var_os(name).map(|v| std::env::split_paths(&v).collect::<Vec<_>>());
    let mut folders = listed("LD_LIBRARY_PATH").unwrap_or_default();
    folders.extend(std::env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("lib64")));
    folders.extend(FOLDERS.iter().map(PathBuf::from));
    folders.retain(|f| !f.as_os_str().is_empty());
    folders
}

/// The first file whose name begins with one of `names`.
fn find(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    folders.iter().find_map(|folder| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries
            .filter(|e| e.file_name().to_str().is_some_and(|name| names.iter().any(|n| name.starts_with(n))))
            .map(|e| e.path())
            .collect();
        found.sort();
        found.into_iter().next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_by_the_beginning_of_its_name() {
        let dir = std::env::temp_dir().join(format!("nanochat-cuda-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("libcuda.so.1"), "").unwrap();
        fs::write(dir.join("libcudart.so.12"), "").unwrap();
        let folders = [dir.join("not-there"), dir.clone()];
        let (driver, none) = (find(&folders, &["libcuda.so"]), find(&folders, &["libnvrtc.so"]));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!((driver, none), (Some(dir.join("libcuda.so.1")), None));
    }
}
