//! What a check sees: the text of every file of the repository, by path relative to its root.
//!
//! Reading walks the folders and leaves out what git ignores by name (build outputs, scratch). It asks no git, so a
//! copy without a `.git` folder is checked just the same.

use super::lex;
use std::fmt;
use std::fs;
use std::path::Path;

/// The repository's text files, sorted by path.
pub struct Tree {
    /// All files.
    pub files: Vec<SourceFile>,
}

/// One text file.
pub struct SourceFile {
    /// Path from the root, with `/` between the parts.
    pub path: String,
    /// The content.
    pub text: String,
    /// For Rust and CUDA: the content with comments and literals blanked out, line for line. Otherwise the content.
    pub code: String,
    /// For Rust and CUDA: the content with string literals blanked out, comments kept. Otherwise the content.
    pub without_strings: String,
}

/// A broken rule. Sorting puts findings in the order of files and lines.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path from the root.
    pub path: String,
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

impl SourceFile {
    /// Takes a file's path and content.
    pub fn new(path: &str, text: String) -> SourceFile {
        let (code, without_strings) = match extension(path) {
            "rs" | "cu" => lex::masks(&text),
            _ => (text.clone(), text.clone()),
        };
        SourceFile { path: path.into(), text, code, without_strings }
    }

    /// `rs` for `a/b.rs`; empty where there is none.
    pub fn extension(&self) -> &str {
        extension(&self.path)
    }

    /// `b.rs` for `a/b.rs`.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// A finding at a line of this file.
    pub fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }
}

impl Tree {
    /// Reads the repository at `root`. Files that are not UTF-8 text are left out.
    pub fn read(root: &Path) -> Result<Tree, String> {
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { files })
    }

    /// The file at a path.
    pub fn get(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|f| f.path == path)
    }

    /// Is there such a file, or a folder that holds one?
    pub fn exists(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty() || self.files.iter().any(|f| f.path == path || f.path.starts_with(&inside))
    }

    /// All Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.with_extension(&["rs"])
    }

    /// All files with one of these extensions.
    pub fn with_extension<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = &'a SourceFile> {
        self.files.iter().filter(|f| extensions.contains(&f.extension()))
    }

    /// The `Cargo.toml` of every crate, with the crate's folder.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, &SourceFile)> {
        self.files.iter().filter_map(|f| Some((f.path.strip_suffix("/Cargo.toml")?, f)))
    }

    /// A repository of literals, for the unit tests of checks.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| SourceFile::new(path, text.to_string())).collect() }
    }
}

fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Folders that are not part of the repository; the same ones `.gitignore` names, and tool folders.
fn skipped(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(name, ".git" | ".scratch" | "target" | "node_modules" | ".venv" | "__pycache__")
        || name.starts_with("target-")
        || path == "book/build"
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<SourceFile>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(name) = entry.file_name().to_str().map(str::to_string) else { continue };
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && !skipped(&path) {
            walk(&entry.path(), &path, files)?;
        } else if kind.is_file()
            && !skipped(&path) // the `.git` of a linked worktree is a file
            && let Ok(bytes) = fs::read(entry.path())
        {
            // A picture is there, too, so that links to it resolve, but has no text to find fault with.
            files.push(SourceFile::new(&path, String::from_utf8(bytes).unwrap_or_default()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_has_this_file_and_no_build_outputs() {
        let tree = Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
        assert!(tree.get("xtask/src/tidy/tree.rs").unwrap().text.contains("this_repository_has_this_file"));
        assert!(tree.exists("xtask/src/tidy") && !tree.exists("xtask/src/tid"));
        assert!(tree.files.iter().all(|f| !f.path.starts_with("target/") && !f.path.starts_with(".git/")));
        assert!(tree.manifests().any(|(krate, _)| krate == "xtask"));
    }

    #[test]
    fn extensions_come_from_the_name_alone() {
        assert_eq!(extension("a.b/run"), "");
        assert_eq!(extension("kernels/src/rms_norm/rms_norm.cu"), "cu");
        assert_eq!(SourceFile::new("a/b/c.rs", String::new()).name(), "c.rs");
    }
}
