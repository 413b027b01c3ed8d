//! The variable `NANOCHAT_GOLDENS`: a folder of reference dumps that the golden tests read where it is set.
//!
//! Two things are put right before a child runs. A folder that is not there counts as unset, so the same command
//! works on a machine without the dumps; and a relative path is made absolute, because `cargo test` starts each test
//! program in its own package's folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The variable's name.
pub const VARIABLE: &str = "NANOCHAT_GOLDENS";

/// What the variable means here and now.
#[derive(Debug, PartialEq)]
pub enum Goldens {
    /// Not set (or set to nothing).
    Unset,
    /// Set to something that is not a folder: children must see it as unset.
    Missing(PathBuf),
    /// A folder, by its absolute path.
    Folder(PathBuf),
}

impl Goldens {
    /// Reads the process's environment and working directory.
    pub fn from_env() -> Result<Goldens, String> {
        let here = std::env::current_dir().map_err(|e| format!("the current folder cannot be read: {e}"))?;
        Ok(Goldens::resolve(std::env::var_os(VARIABLE), &here))
    }

    fn resolve(value: Option<OsString>, here: &Path) -> Goldens {
        match value.filter(|v| !v.is_empty()).map(|v| here.join(v)) {
            None => Goldens::Unset,
            Some(path) => match path.canonicalize() {
                Ok(folder) if folder.is_dir() => Goldens::Folder(folder),
                _ => Goldens::Missing(path),
            },
        }
    }

    /// One line for the terminal, where there is something to say.
    pub fn notice(&self) -> String {
        match self {
            Goldens::Unset => format!("{VARIABLE} is not set: golden tests use the committed subset only"),
            Goldens::Missing(path) => format!(
                "{VARIABLE} names {}, which is not a folder: treated as not set, golden tests use the committed \
                 subset only",
                path.display()
            ),
            Goldens::Folder(path) => format!("{VARIABLE}={}", path.display()),
        }
    }

    /// Sets up a child's environment.
    pub fn apply(&self, process: &mut Process) {
        match self {
            Goldens::Folder(path) => process.env(VARIABLE, path),
            Goldens::Unset | Goldens::Missing(_) => process.env_remove(VARIABLE),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    fn seen_by_a_child(goldens: &Goldens) -> Option<Option<OsString>> {
        let mut process = Process::new("unused");
        goldens.apply(&mut process);
        let set = process.get_envs().find(|(name, _)| *name == VARIABLE);
        set.map(|(_, value)| value.map(OsString::from))
    }

    #[test]
    fn a_relative_folder_becomes_absolute() {
        let goldens = Goldens::resolve(Some("../xtask/src".into()), &here());
        let folder = here().join("src").canonicalize().unwrap();
        assert_eq!(goldens, Goldens::Folder(folder.clone()));
        assert_eq!(seen_by_a_child(&goldens), Some(Some(folder.into())));
    }

    #[test]
    fn a_missing_folder_counts_as_unset_and_says_so() {
        let goldens = Goldens::resolve(Some("no/such/folder".into()), &here());
        assert_eq!(goldens, Goldens::Missing(here().join("no/such/folder")));
        assert_eq!(seen_by_a_child(&goldens), Some(None), "the child must not inherit it");
        assert!(goldens.notice().contains("not a folder"));
    }

    #[test]
    fn a_file_is_not_a_folder() {
        let goldens = Goldens::resolve(Some("Cargo.toml".into()), &here());
        assert!(matches!(goldens, Goldens::Missing(_)));
    }

    #[test]
    fn empty_counts_as_unset() {
        assert_eq!(Goldens::resolve(None, &here()), Goldens::Unset);
        assert_eq!(Goldens::resolve(Some("".into()), &here()), Goldens::Unset);
    }
}
