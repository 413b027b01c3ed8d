//! The programs that hold the planted bugs: one build of the tests with the feature, in a target folder of its own, so that
//! the everyday build stays as it is. Cargo says where it put them, in one JSON object per line.

use crate::command::Context;
use crate::tools::cargo;
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};

/// Names the bug that is on.
pub const VARIABLE: &str = "NANOCHAT_PLANTED";

/// What is built.
const PACKAGES: &[&str] = &[
    "nanochat-kernels",
    "nanochat-tensor",
    "nanochat-autograd",
    "nanochat-model",
    "nanochat-train",
    "nanochat-tests",
];

/// Where the build is.
pub struct Programs {
    /// `target/planted`.
    pub folder: PathBuf,
    root: PathBuf,
    artifacts: Vec<Artifact>,
}

/// A program that cargo made.
#[derive(Debug, PartialEq)]
struct Artifact {
    /// `lib`, `bin`, `test`.
    kind: String,
    name: String,
    /// With the test harness?
    harness: bool,
    path: PathBuf,
}

impl Programs {
    /// Build them; cargo's progress and messages go to the terminal.
    pub fn build(context: &Context) -> Result<Programs, String> {
        println!("building with the feature `planted` into target/planted");
        let mut process = cargo();
        process.args([
            "test",
            "--no-run",
            "--features",
            "planted",
            "--lib",
            "--bins",
            "--tests",
            "--target-dir",
        ]);
        let folder = context.root.join("target").join("planted");
        process.arg(&folder);
        process.arg("--message-format=json-render-diagnostics");
        PACKAGES.iter().for_each(|package| _ = process.args(["--package", package]));
        process.current_dir(&context.root).stderr(Stdio::inherit());
        let output = process.output().map_err(|e| format!("cannot start cargo: {e}"))?;
        if !output.status.success() {
            return Err("the build with the feature `planted` failed".into());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let artifacts = text.lines().filter_map(artifact).collect();
        Ok(Programs { folder, root: context.root.clone(), artifacts })
    }
    fn find(&self, kind: &str, name: &str, harness: bool) -> Result<Process, String> {
        let fits = |a: &&Artifact| (a.kind.as_str(), a.name.as_str(), a.harness) == (kind, name, harness);
        let found = self.artifacts.iter().find(fits);
        let found = found.ok_or_else(|| format!("cargo built no {kind} `{name}`: is it in PACKAGES?"))?;
        let folder = if kind == "lib" { name } else { "tests" };
        let mut process = Process::new(&found.path);
        process.current_dir(self.root.join(folder)).env_remove(VARIABLE);
        Ok(process)
    }
    /// `check_entry` with these arguments.
    pub fn entry(&self, args: &[&str]) -> Result<Process, String> {
        let mut process = self.find("bin", "check_entry", false)?;
        process.args(args);
        Ok(process)
    }
    /// These tests of a crate's unit tests, or of a file in `tests`.
    pub fn tests(&self, unit: bool, program: &str, names: &[&str]) -> Result<Process, String> {
        let mut process = self.find(if unit { "lib" } else { "test" }, program, true)?;
        process.arg("--exact").args(names);
        Ok(process)
    }
}

/// The program that a line of cargo's output tells of, if it does.
fn artifact(line: &str) -> Option<Artifact> {
    let target = line.split_once("\"target\":{")?.1;
    Some(Artifact {
        kind: text_of("\"kind\":[", target)?,
        name: text_of("\"name\":", target)?,
        harness: line.split_once("\"profile\":{")?.1.contains("\"test\":true"),
        path: text_of("\"executable\":", line)?.into(),
    })
}

/// The JSON string right behind `key`.
fn text_of(key: &str, json: &str) -> Option<String> {
    let rest = json.split_once(key)?.1.strip_prefix('"')?;
    let (mut text, mut chars) = (String::new(), rest.chars());
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?), // in a path: a backslash or a quote
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_what_cargo_says() {
        let line = r#"{"reason":"compiler-artifact","package_id":"p","target":{"kind":["lib"],"crate_types":["lib"],"name":"kernels","test":true},"profile":{"opt_level":"3","test":true},"features":[],"filenames":["a"],"executable":"C:\\x\\k-1","fresh":true}"#;
        let want =
            Artifact { kind: "lib".into(), name: "kernels".into(), harness: true, path: r"C:\x\k-1".into() };
        assert_eq!(artifact(line), Some(want));
        assert_eq!(artifact(&line.replace(r#""C:\\x\\k-1""#, "null")), None, "a library is no program");
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        let plain = line.replace(r#"opt_level":"3","test":true"#, r#"opt_level":"3","test":false"#);
        assert!(!artifact(&plain).unwrap().harness);
    }
}
