//! The programs the commands call: cargo itself, its optional components, and other people's tools.

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

/// A call of the same cargo that runs this program.
pub fn cargo() -> Process {
    Process::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// Does this program start and exit with 0?
pub fn works(mut process: Process) -> bool {
    let quiet = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Is `cargo NAME` there?
pub fn has_cargo_command(name: &str) -> bool {
    let mut process = cargo();
    process.args([name, "--version"]);
    works(process)
}

/// Is the program `NAME` there?
pub fn has_program(name: &str) -> bool {
    let mut process = Process::new(name);
    process.arg("--version");
    works(process)
}

/// Makes sure that `cargo NAME` (`fmt`, `clippy`) works, asking rustup for its component where it does not.
/// rust-toolchain.toml lists both, so rustup normally has them before we run.
pub fn need_component(name: &str, component: &str) -> Result<(), String> {
    if has_cargo_command(name) {
        return Ok(());
    }
    println!("`cargo {name}` is missing; trying `rustup component add {component}`");
    let added = Process::new("rustup").args(["component", "add", component]).status();
    if added.is_ok_and(|status| status.success()) && has_cargo_command(name) {
        return Ok(());
    }
    Err(format!(
        "`cargo {name}` is not installed: run `rustup component add {component}`, or install the package of your \
         system that holds {component}"
    ))
}

/// Can the compiler build for `target`? Its standard library is there if it is.
pub fn has_target(target: &str) -> bool {
    let mut rustc = Process::new("rustc");
    let found = rustc.args(["--print", "target-libdir", "--target", target]).output();
    let folder = found.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    folder.is_some_and(|folder| Path::new(String::from_utf8_lossy(&folder).trim()).is_dir())
}

/// Where cargo puts what it builds.
pub fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), |dir| root.join(dir))
}

/// Runs `process` to its end; the error says that `what` failed.
pub fn succeed(what: &str, process: &mut Process) -> Result<(), String> {
    match process.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status})")),
        Err(error) => {
            Err(format!("{what}: cannot start {}: {error}", process.get_program().to_string_lossy()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_not_there_is_reported_as_missing() {
        assert!(!has_cargo_command("no-such-command-anywhere"));
        assert!(!has_program("no-such-program-anywhere"));
        assert!(works({
            let mut process = cargo();
            process.arg("--version");
            process
        }));
    }
}
