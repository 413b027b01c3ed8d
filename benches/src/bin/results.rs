//! From raw results to documents: the last step of `cargo xtask results`.
//!
//! `results FOLDER BENCHES` reads `kernels.json` in FOLDER, and `products.json`, `ladder.json` and `torch.json` where they are,
//! and rewrites the marked sections of `BENCHES/RESULTS.md` and the picture `BENCHES/roofline.svg`. Sections without new
//! results stay. `results --section NAME FILE BENCHES` puts a table that is Markdown already into its section, and
//! `results --ablations FOLDER BENCHES` what `cargo xtask ablations` left in FOLDER into theirs, `results --serving FOLDER BENCHES`
//! what `cargo xtask results --serving` left, `results --parts FOLDER BENCHES` what `cargo xtask results --parts` left.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use benches::{ablations, parts, plot, sections, serving, tables};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let written = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder, benches] => write(Path::new(folder), Path::new(benches)),
        ["--ablations", folder, benches] => ideas(Path::new(folder), Path::new(benches)),
        ["--serving", folder, benches] => served(Path::new(folder), Path::new(benches)),
        ["--parts", folder, benches] => cost_of_parts(Path::new(folder), Path::new(benches)),
        ["--section", name, file, benches] => section(name, Path::new(file), Path::new(benches)),
        _ => {
            eprintln!(
                "usage: results FOLDER BENCHES, or results --section NAME FILE BENCHES, or results --ablations|--serving|--parts FOLDER BENCHES"
            );
            return ExitCode::from(2);
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("results: {message}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn section(name: &str, file: &Path, benches: &Path) -> Result<(), String> {
    let path = benches.join("RESULTS.md");
    put(&path, &sections::replace(&read(&path)?, name, &read(file)?)?)?;
    println!("written: the section {name} of {}", path.display());
    Ok(())
}

fn ideas(folder: &Path, benches: &Path) -> Result<(), String> {
    let path = benches.join("RESULTS.md");
    let found = |name: &str| {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).ok()?;
        serde_json::from_str(&text).ok()
    };
    let old = read(&path)?;
    let section = ablations::section(found, &today(), &old);
    put(&path, &sections::replace(&old, "ablations", &section)?)?;
    println!("written: the section ablations of {}", path.display());
    Ok(())
}

/// All results of a folder whose names begin so, in the order of the names.
fn all(folder: &Path, prefix: &str) -> Result<Vec<Value>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let mine = names.iter().filter(|name| name.starts_with(prefix) && name.ends_with(".json"));
    mine.map(|name| serde_json::from_str(&read(&folder.join(name))?).map_err(|e| format!("{name}: {e}")))
        .collect()
}

/// `engine-*.json` and `serve-*.json` of a folder.
fn served(folder: &Path, benches: &Path) -> Result<(), String> {
    let path = benches.join("RESULTS.md");
    let section = serving::section(&all(folder, "engine-")?, &all(folder, "serve-")?, &today());
    put(&path, &sections::replace(&read(&path)?, "serving", &section)?)?;
    println!("written: the section serving of {}", path.display());
    Ok(())
}

/// `parts-*.json` of a folder.
fn cost_of_parts(folder: &Path, benches: &Path) -> Result<(), String> {
    let path = benches.join("RESULTS.md");
    let section = parts::section(&all(folder, "parts-")?, &today());
    put(&path, &sections::replace(&read(&path)?, "parts", &section)?)?;
    println!("written: the section parts of {}", path.display());
    Ok(())
}

fn write(folder: &Path, benches: &Path) -> Result<(), String> {
    let parse = |name: &str| -> Result<Value, String> {
        serde_json::from_str(&read(&folder.join(name))?).map_err(|e| format!("{name}: {e}"))
    };
    let date = today();
    let kernels = parse("kernels.json")?;
    if kernels["complete"] != true || kernels["build"] != "release" {
        return Err("kernels.json is not the complete result of a release build".into());
    }
    let path = benches.join("RESULTS.md");
    let mut document = sections::replace(&read(&path)?, "kernels", &tables::kernels(&kernels, &date))?;
    for (section, table) in [
        ("products", tables::products as fn(&Value, &Value, &str) -> String),
        ("ladder", tables::ladder),
        ("torch", tables::torch),
    ] {
        let name = format!("{section}.json");
        if folder.join(&name).is_file() {
            document = sections::replace(&document, section, &table(&parse(&name)?, &kernels, &date))?;
        }
    }
    put(&path, &document)?;
    put(&benches.join("roofline.svg"), &plot::svg(&kernels, &date))?;
    println!("written: {} and roofline.svg", path.display());
    Ok(())
}

/// `2026-01-31`, by universal time.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    date(seconds / 86_400)
}

/// Day `day` after 1970-01-01, in the calendar: years of 400 that begin in March have their leap day at the end.
fn date(day: u64) -> String {
    let day = day + 719_468; // since 0000-03-01
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // 0 is March
    let (this, year) = ((month + 2) % 12 + 1, era * 400 + year + u64::from(month >= 10));
    format!("{year}-{this:02}-{:02}", of_year - (153 * month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates_across_leap_years() {
        let days = [0, 59, 789, 11_016, 11_017, 20_483];
        let dates = ["1970-01-01", "1970-03-01", "1972-02-29", "2000-02-29", "2000-03-01", "2026-01-30"];
        assert_eq!(days.map(date), dates);
    }
}
