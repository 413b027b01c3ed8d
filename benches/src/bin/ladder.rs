//! The rungs of the matrix product, timed: `ladder [--quick] [--json FILE]`.
//!
//! Part of `cargo xtask results`, which makes the table of the chapter "Matmul on a CPU" from it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use benches::ladder::{Rung, Sizes, climb};
use serde_json::json;
use std::process::ExitCode;

/// Sizes of the cubic products, and the first rung that makes each in bearable time. No operand of the smaller one fits into
/// a second-level cache, none of the larger one into a third-level cache. Powers of two, as the sizes of layers often are.
const CUBES: [(usize, usize); 2] = [(1024, 0), (4096, 4)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (quick, json) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (false, None),
        ["--quick"] => (true, None),
        ["--json", path] => (false, Some(path)),
        ["--quick", "--json", path] => (true, Some(path)),
        _ => {
            eprintln!("usage: ladder [--quick] [--json FILE]");
            return ExitCode::from(2);
        }
    };
    match climb_all(quick).and_then(|all| write(&all, json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ladder: {message}");
            ExitCode::FAILURE
        }
    }
}

/// All rungs on all cubes.
fn climb_all(quick: bool) -> Result<Vec<(usize, Vec<Rung>)>, String> {
    let (rounds, seconds) = if quick { (1, 0.02) } else { (5, 0.2) };
    let cube = |(side, first): (usize, usize)| {
        let sizes = Sizes { m: side, k: side, n: side };
        Ok((side, climb(sizes, first, if first == 0 { rounds } else { rounds.min(3) }, seconds)?))
    };
    CUBES.into_iter().map(cube).collect()
}

fn write(all: &[(usize, Vec<Rung>)], json: Option<&str>) -> Result<(), String> {
    let mut cubes = Vec::new();
    for (side, rungs) in all {
        println!("{side} × {side} × {side}");
        for rung in rungs {
            let (ms, of_peak) = (1e3 * rung.seconds, 100.0 * rung.of_peak);
            println!(
                "  {:42} {:4} {:2} threads {ms:9.2} ms {of_peak:5.1} % of peak",
                rung.name,
                rung.dtype.to_string(),
                rung.threads
            );
        }
        let one = |rung: &Rung| {
            json!({
                "name": rung.name, "dtype": rung.dtype.to_string(), "threads": rung.threads, "ms": 1e3 * rung.seconds,
                "gflops": 2.0 * (*side as f64).powi(3) / rung.seconds / 1e9, "of_peak": rung.of_peak,
            })
        };
        cubes.push(json!({ "side": side, "rungs": rungs.iter().map(one).collect::<Vec<_>>() }));
    }
    let Some(path) = json else { return Ok(()) };
    std::fs::write(path, format!("{:#}\n", json!({ "cubes": cubes }))).map_err(|e| format!("{path}: {e}"))
}
