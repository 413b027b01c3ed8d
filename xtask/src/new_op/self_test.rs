//! `cargo xtask new-op --self-test`: does what the chapter "How to add an operation in six steps" tells the reader to do,
//! in a copy of the repository, and checks that it compiles and passes.
//!
//! Not one of the unit tests: the first time it builds four crates, which takes a minute or two, and one cargo that runs
//! inside another's tests waits for it. So it is a step of `cargo xtask ci`. The copy lies in `target/new-op/`, and its
//! build outputs stay there for the next run. Optimisation is off: a build that is used once for a few thousand small
//! checks is best made quickly.

use super::template;
use crate::command::Context;
use crate::tidy;
use crate::tidy::tree::Tree;
use crate::tools::cargo;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// Nobody else will choose these.
const WITH_GRADIENT: &str = "self_test_with_gradient";
const KERNEL_ONLY: &str = "self_test_kernel_only";

/// Follows the book in the copy.
pub fn run(context: &Context) -> Result<(), String> {
    let home = context.root.join("target/new-op");
    let copy = Context { root: home.join("repository") };
    println!("copying the repository to {}", copy.root.display());
    copy_repository(&context.root, &copy.root)?;
    for (name, gradient) in [(WITH_GRADIENT, true), (KERNEL_ONLY, false)] {
        super::generate(&copy, name, gradient)?;
        let test = template::fill(template::SELF_TEST, name, gradient);
        let path = copy.root.join(format!("checks/tests/{name}.rs"));
        fs::create_dir_all(copy.root.join("checks/tests")).map_err(|e| e.to_string())?;
        fs::write(&path, test).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    tidy_as_before(context, &copy)?;
    let mut process = cargo();
    process.args([
        "test",
        "--quiet",
        "-p",
        "nanochat-checks",
        "--test",
        WITH_GRADIENT,
        "--test",
        KERNEL_ONLY,
    ]);
    for krate in ["kernels", "tensor", "checks"] {
        process.args(["--config", &format!("profile.dev.package.nanochat-{krate}.opt-level=0")]);
    }
    process.args(["--config", "profile.dev.opt-level=0"]);
    process.current_dir(&copy.root).env("CARGO_TARGET_DIR", home.join("build"));
    match process.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!(
            "the generated operations do not pass their checks; look into {}",
            copy.root.display()
        )),
        Err(error) => Err(format!("cannot start cargo: {error}")),
    }
}

/// `tidy` finds nothing in the copy that it does not find here.
fn tidy_as_before(context: &Context, copy: &Context) -> Result<(), String> {
    let before = tidy::find(&Tree::read(&context.root)?, &[]);
    let mut after = tidy::find(&Tree::read(&copy.root)?, &[]);
    after.retain(|new| !before.iter().any(|old| old.path == new.path && old.message == new.message));
    tidy::report(after).map_err(|e| format!("`cargo xtask tidy` in the copy: {e}"))
}

/// Makes `to` hold what git knows of `from` and nothing else. A file that is right already is not touched, so cargo
/// builds only what has changed.
fn copy_repository(from: &Path, to: &Path) -> Result<(), String> {
    let wanted = tracked(from)?;
    let there: Vec<String> = match to.is_dir() {
        true => Tree::read(to)?.files.into_iter().map(|f| f.path).collect(),
        false => Vec::new(),
    };
    let failed = |path: &Path, error: std::io::Error| format!("cannot copy {}: {error}", path.display());
    for path in there.iter().filter(|path| !wanted.contains(path)).map(|path| to.join(path)) {
        fs::remove_file(&path).map_err(|e| failed(&path, e))?;
        let _ = path.parent().map(fs::remove_dir); // goes if it is empty, and tidy would find an empty folder harmless
    }
    for path in &wanted {
        let (source, target): (PathBuf, PathBuf) = (from.join(path), to.join(path));
        let Ok(content) = fs::read(&source) else { continue }; // deleted, but not yet committed so
        if fs::read(&target).is_ok_and(|there| there == content) {
            continue;
        }
        let folder = target.parent().map_or(Ok(()), fs::create_dir_all);
        folder.and_then(|()| fs::write(&target, content)).map_err(|e| failed(&source, e))?;
    }
    Ok(())
}

/// Files git knows, and those it would add.
fn tracked(root: &Path) -> Result<Vec<String>, String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let output = Process::new("git").args(arguments).current_dir(root).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(text.split('\0').filter(|p| !p.is_empty()).map(str::to_string).collect())
        }
        // A copy without history: everything that is not a build output.
        _ => Ok(Tree::read(root)?.files.into_iter().map(|f| f.path).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_files_and_loses_what_does_not_belong() {
        let base = std::env::temp_dir().join(format!("nanochat-copy-{}", std::process::id()));
        let (from, to) = (base.join("from"), base.join("to"));
        fs::create_dir_all(from.join("a")).unwrap();
        fs::create_dir_all(to.join("old")).unwrap();
        fs::write(from.join("a/x.rs"), "//! X.\n").unwrap();
        fs::write(to.join("old/y.rs"), "//! Y.\n").unwrap();
        copy_repository(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/x.rs")).unwrap(), "//! X.\n");
        assert!(!to.join("old").exists());
        fs::remove_dir_all(&base).unwrap();
    }
}
