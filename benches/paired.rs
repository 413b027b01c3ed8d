//! Our f32 matrix product and those of `baselines.rs` in alternation: the figures of `RESULTS.md`.
//!
//! `cargo run --release -p nanochat-benches --example paired -- [--quick] [--json FILE] [NAME]`. Each product is made by all
//! sides in turn, round after round, and the ratio of every round is taken. Before that each result is compared with
//! the definition, since a fast wrong answer is no comparison.
#![allow(clippy::print_stdout)]

mod baselines;

use baselines::Operands;
use benches::product::{self, Product};
use benches::rounds::{Result as Round, Side, alternate};
use kernels::measure::run::{Bench, Case};
use kernels::{Cpu, par};
use serde_json::{Value, json};
use std::process::ExitCode;

/// What the command line says.
#[derive(Default)]
struct Options {
    quick: bool,
    json: Option<String>,
    filter: String,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|o| compare(&o)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("paired: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut o = Options::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => o.quick = true,
            "--json" => o.json = Some(args.next().ok_or("--json wants a file")?),
            option if option.starts_with('-') => {
                return Err(format!(
                    "unknown option {option}: there are --quick, --json FILE, and a part of a name"
                ));
            }
            name => o.filter = name.into(),
        }
    }
    Ok(o)
}

fn compare(o: &Options) -> Result<(), String> {
    let (rounds, seconds) = if o.quick { (3, 0.03) } else { (7, 0.15) };
    let products = product::all();
    let chosen: Vec<_> = products.iter().filter(|(case, _)| case.name().contains(&o.filter)).collect();
    let mut entries = Vec::new();
    for (case, product) in chosen {
        let results = one(case, product, rounds, seconds)?;
        for r in &results {
            println!(
                "{:20} {:15} {:9.3} ms {:6.0} GFLOP/s  their time / ours {:.2} ({:.2} to {:.2})",
                case.sample.label,
                r.name,
                1e3 * r.seconds,
                product.flops() / r.seconds / 1e9,
                r.ratio.median,
                r.ratio.min,
                r.ratio.max
            );
        }
        entries.push(entry(case, product, &results));
    }
    let all = json!({ "threads": par::threads(), "rounds": rounds, "products": entries });
    match &o.json {
        Some(path) => std::fs::write(path, format!("{all:#}\n")).map_err(|e| format!("{path}: {e}")),
        None => Ok(()),
    }
}

/// All rounds of one product; ours is the first side.
fn one(case: &Case, product: &Product, rounds: usize, seconds: f64) -> Result<Vec<Round>, String> {
    let mut ours = Bench::new(case)?;
    ours.call(&Cpu)?; // a refusal would come here, and not while it is timed
    let mut theirs: Vec<Operands> =
        baselines::ALL.iter().map(|_| Operands::new(product, par::threads())).collect();
    for ((name, call), operands) in baselines::ALL.iter().zip(&mut theirs) {
        call(operands);
        let error = operands.error();
        if error.is_nan() || error >= 1e-5 {
            return Err(format!("{name} is wrong on {}: off by {error} of its terms", case.name()));
        }
    }
    let mut sides = vec![Side {
        name: "nanochat",
        call: Box::new(|| {
            let _ = ours.call(&Cpu); // accepted above
        }),
    }];
    for ((name, call), operands) in baselines::ALL.iter().zip(&mut theirs) {
        sides.push(Side { name, call: Box::new(move || call(operands)) });
    }
    Ok(alternate(&mut sides, rounds, seconds))
}

fn entry(case: &Case, product: &Product, results: &[Round]) -> Value {
    let side = |r: &Round| {
        json!({
            "name": r.name, "ms": 1e3 * r.seconds, "gflops": product.flops() / r.seconds / 1e9,
            "ratio": r.ratio.median, "ratio_min": r.ratio.min, "ratio_max": r.ratio.max,
        })
    };
    json!({
        "label": case.sample.label, "m": product.m, "n": product.n, "k": product.k,
        "sides": results.iter().map(side).collect::<Vec<_>>(),
    })
}
