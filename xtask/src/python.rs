//! A scratch Python with torch, for comparisons: one the user names, or our own in the build folder. Where there is no Python or
//! torch cannot be installed there is nothing to compare with, which is no failure.

use crate::tools::{succeed, works};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The interpreter of a virtual environment.
fn interpreter(venv: &Path) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") }
}

fn has_torch(python: &Path) -> bool {
    let mut process = Process::new(python);
    process.args(["-c", "import torch, numpy"]);
    works(process)
}

/// The environment the user named: it must do.
pub fn given_python(venv: &Path) -> Result<PathBuf, String> {
    let venv = std::env::current_dir().map_err(|e| e.to_string())?.join(venv);
    let python = interpreter(&venv);
    if has_torch(&python) {
        return Ok(python);
    }
    Err(format!(
        "{} has no working torch and numpy: `{} -m pip install torch numpy`",
        venv.display(),
        python.display()
    ))
}

/// Our own environment, made where it is missing. The error is why there is none.
pub fn scratch_python(venv: &Path) -> Result<PathBuf, String> {
    let python = interpreter(venv);
    if has_torch(&python) {
        return Ok(python);
    }
    let base = ["python3", "python"].into_iter().find(|name| {
        let mut process = Process::new(name);
        process.args(["-c", "import venv, ensurepip"]);
        works(process)
    });
    let base = base.ok_or("there is no python3 that can make virtual environments")?;
    println!("making {} with torch and numpy (some gigabytes; once)", venv.display());
    succeed("making a virtual environment", Process::new(base).args(["-m", "venv"]).arg(venv))?;
    let mut pip = Process::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "torch", "numpy"]);
    succeed("installing torch and numpy", &mut pip)?;
    if has_torch(&python) { Ok(python) } else { Err("torch was installed but cannot be imported".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_without_torch_is_an_error_only_if_it_was_named() {
        let missing = Path::new("no-such-environment");
        assert!(given_python(missing).unwrap_err().contains("pip install torch numpy"));
        assert!(!has_torch(&interpreter(missing)));
    }
}
