//! The last step of `cargo xtask bench-vs-torch`: `versus FOLDER BENCHES` reads every result in FOLDER and rewrites the sections
//! `versus` and `scaling` of `BENCHES/RESULTS.md` and the picture `BENCHES/scaling.svg`, as far as there are results; rows of the
//! first that have none stay.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use benches::{curves, sections, versus};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, benches] = &args[..] else {
        eprintln!("usage: versus FOLDER BENCHES");
        return ExitCode::from(2);
    };
    match write(Path::new(folder), Path::new(benches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("versus: {message}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path, benches: &Path) -> Result<(), String> {
    let failed = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let entries = fs::read_dir(folder).map_err(|e| failed(folder, &e))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let read = |path: &Path| -> Result<Value, String> {
        let text = fs::read_to_string(path).map_err(|e| failed(path, &e))?;
        serde_json::from_str(&text).map_err(|e| failed(path, &e))
    };
    let results = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    if results.is_empty() {
        return Err(format!("{}: no results", folder.display()));
    }
    let path = benches.join("RESULTS.md");
    let document = fs::read_to_string(&path).map_err(|e| failed(&path, &e))?;
    let mut document = sections::replace(&document, "versus", &versus::renewed(&document, &results))?;
    if let Some(picture) = curves::svg(&results) {
        document = sections::replace(&document, "scaling", &versus::scaling(&results))?;
        let path = benches.join("scaling.svg");
        fs::write(&path, picture).map_err(|e| failed(&path, &e))?;
    }
    fs::write(&path, document).map_err(|e| failed(&path, &e))?;
    println!("written: {}, {} configurations", path.display(), results.len());
    Ok(())
}
