//! A scratch Python with other people's packages, for comparisons: one the user names, or our own in the build folder. Where
//! there is no Python or the packages cannot be installed there is nothing to compare with, which is no failure.

use crate::tools::{succeed, works};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The interpreter of a virtual environment.
fn interpreter(venv: &Path) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") }
}

/// For comparisons of speed.
pub const TORCH: &[&str] = &["torch", "numpy"];

fn has(python: &Path, packages: &[&str]) -> bool {
    let mut process = Process::new(python);
    process.args(["-c", &format!("import {}", packages.join(", "))]);
    works(process)
}

/// The environment the user named: it must do.
pub fn given_python(venv: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let venv = std::env::current_dir().map_err(|e| e.to_string())?.join(venv);
    let python = interpreter(&venv);
    if has(&python, packages) {
        return Ok(python);
    }
    let (all, python) = (packages.join(" "), python.display());
    Err(format!("{} has no working {all}: `{python} -m pip install {all}`", venv.display()))
}

/// Our own environment, made where it is missing. The error is why there is none.
pub fn scratch_python(venv: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let (python, all) = (interpreter(venv), packages.join(" "));
    if has(&python, packages) {
        return Ok(python);
    }
    if !python.exists() {
        let base = ["python3", "python"].into_iter().find(|name| {
            let mut process = Process::new(name);
            process.args(["-c", "import venv, ensurepip"]);
            works(process)
        });
        let base = base.ok_or("there is no python3 that can make virtual environments")?;
        succeed("making a virtual environment", Process::new(base).args(["-m", "venv"]).arg(venv))?;
    }
    println!("installing {all} into {} (once)", venv.display());
    let mut pip = Process::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    succeed(&format!("installing {all}"), &mut pip)?;
    if has(&python, packages) {
        Ok(python)
    } else {
        Err(format!("{all} was installed but cannot be imported"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_without_torch_is_an_error_only_if_it_was_named() {
        let missing = Path::new("no-such-environment");
        assert!(given_python(missing, TORCH).unwrap_err().contains("pip install torch numpy"));
        assert!(!has(&interpreter(missing), TORCH));
    }
}
