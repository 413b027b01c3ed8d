//! `nanochat bench parts`: what each part of a model costs beyond its multiplications, by switching it off.
//!
//! A model with all its parts and one without a part take micro-batches (forward and backward) in turn. With times t₁ (with) and t₀
//! (without) and operations f₁, f₀ ([`flops_per_token`]), the part costs `t₁/t₀ − f₁/f₀` of a micro-batch beyond what its
//! operations explain: passes over memory, mostly. The update is timed once, at the end, and apart, because a step of a long
//! run has many micro-batches and one update. Windows save time; what they cost here is that less is saved than they promise.

use super::facts::{self, Watch, number};
use super::steps::{Bench, Shape};
use crate::commands::shared::NsArg;
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use anyhow::bail;
use model::{GptConfig, Part};
use serde_json::{Value, json};
use std::process::ExitCode;

/// `bench parts`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  nanochat bench parts --generation current --depth 12 --vocab-size 32768 --sequence-len 1024 --device-batch-size 1"
)]
pub struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Tokens per row
    #[arg(long, alias = "sequence_len", value_name = "T", default_value_t = 512)]
    sequence_len: usize,
    /// Rows of a micro-batch
    #[arg(long, alias = "device_batch_size", value_name = "B", default_value_t = 8)]
    device_batch_size: usize,
    /// Micro-batches of each model, in turn
    #[arg(long, value_name = "N", default_value_t = 6)]
    rounds: usize,
    /// Only all parts together
    #[arg(long)]
    together: bool,
    /// Precision of Muon's Newton-Schulz iteration
    #[arg(long, value_enum, default_value_t)]
    ns_dtype: NsArg,
}

/// Time all pairs.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    if args.device_batch_size == 0 || args.rounds == 0 {
        bail!(Usage("--device-batch-size and --rounds must be at least 1".into()));
    }
    let whole = args.shape.config(args.sequence_len)?;
    let parts: Vec<Part> = Part::EVERY.into_iter().filter(|part| whole.has(*part)).collect();
    if parts.is_empty() {
        bail!(Usage("this model has no part to leave out: give --generation current".into()));
    }
    let choices = choices(&parts, args.together);
    let of = |config| {
        let (rows, ns) = (args.device_batch_size, args.ns_dtype.chosen());
        Bench::with(config, args.shape.generation, rows, ns, globals.seed, globals.gpt_options())
    };
    let mut with = of(whole.clone())?;
    let mut results = Vec::new();
    let watch = Watch::begin();
    for (name, choice) in &choices {
        let config = choice.iter().try_fold(whole.clone(), |config, part| config.without(*part))?;
        let mut without = of(config.clone())?;
        let times = turns(&mut with, &mut without, args.rounds, name, globals)?;
        let updates = [with.update()?, without.update()?];
        let row = row(name, &times, updates, flops_ratio(&whole, &config));
        if !globals.json && !globals.quiet {
            output::line(&line(&row))?;
        }
        results.push(row);
    }
    if globals.json {
        let mut all = facts::place(globals);
        let shape = json!({
            "depth": whole.n_layer, "n_embd": whole.n_embd, "vocab": whole.vocab_size, "seq_len": whole.sequence_len,
            "batch": args.device_batch_size,
        });
        facts::join(&mut all, watch.end());
        facts::join(&mut all, json!({ "shape": shape, "rounds": args.rounds, "parts": results }));
        output::line(&all.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is left out, and what that is called: each part, unless all are wanted together; all but windows; all.
fn choices(parts: &[Part], together: bool) -> Vec<(&'static str, Vec<Part>)> {
    let each = parts.iter().map(|part| (part.name(), vec![*part])).filter(|_| !together);
    let saving_none: Vec<Part> = parts.iter().copied().filter(|part| *part != Part::Windows).collect();
    let all = [("all but windows", saving_none), ("all", parts.to_vec())];
    let all = all.into_iter().filter(|(name, left_out)| match *name {
        "all" => parts.contains(&Part::Windows) && parts.len() > 1,
        _ => left_out.len() > 1,
    });
    each.chain(all).collect()
}

/// Operations of a micro-batch per token: six for each number of a matrix that multiplies, and twelve for each channel of a head
/// and each pair of positions that attention looks at. Other than [`GptConfig::flops_per_token`], which takes every position
/// for the last of its row, this counts the pairs: windows are to be measured by what they leave out.
fn flops_per_token(config: &GptConfig) -> f64 {
    let t = config.sequence_len;
    let pairs = |window: usize| (0..t).map(|position| position.min(window) + 1).sum::<usize>() as f64;
    let seen: f64 =
        (0..config.n_layer).map(|layer| pairs(config.window(layer).unwrap_or(t)) / t as f64).sum();
    6.0 * config.matrix_params() as f64 + 12.0 * (config.n_head * config.head_dim()) as f64 * seen
}

/// Operations with the part over operations without it.
fn flops_ratio(with: &GptConfig, without: &GptConfig) -> f64 {
    flops_per_token(with) / flops_per_token(without)
}

/// `rounds` micro-batches of both in turn, after one of each: [with, without].
fn turns(
    with: &mut Bench,
    without: &mut Bench,
    rounds: usize,
    name: &str,
    globals: &Globals,
) -> anyhow::Result<Vec<[f64; 2]>> {
    let mut progress = Progress::new(globals.quiet || globals.json, 1);
    let mut times = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        progress.status(&format!("{name}: round {round} of {rounds} …"));
        let both = [with.micro_batch()?, without.micro_batch()?];
        if round > 0 {
            times.push(both);
        }
    }
    progress.clear();
    Ok(times)
}

/// The medians of a pair, and of the ratios of its rounds.
fn row(name: &str, times: &[[f64; 2]], updates: [f64; 2], flops: f64) -> Value {
    let of = |f: &dyn Fn(&[f64; 2]) -> f64| facts::spread(&times.iter().map(f).collect::<Vec<_>>());
    json!({
        "part": name,
        "flops_ratio": flops,
        "micro_batch_ms": { "with": of(&|t| t[0]), "without": of(&|t| t[1]) },
        "update_ms": { "with": updates[0], "without": updates[1] },
        "beyond_flops": of(&|t| t[0] / t[1] - flops),
    })
}

fn line(row: &Value) -> String {
    format!(
        "{:<15} micro-batch {:8.1} ms, without {:8.1} ms: {:+.1} % beyond FLOPs ({:+.1} to {:+.1}); update {:7.1} ms, without {:7.1} ms",
        row["part"].as_str().unwrap_or_default(),
        number(row, "/micro_batch_ms/with/median"),
        number(row, "/micro_batch_ms/without/median"),
        100.0 * number(row, "/beyond_flops/median"),
        100.0 * number(row, "/beyond_flops/min"),
        100.0 * number(row, "/beyond_flops/max"),
        number(row, "/update_ms/with"),
        number(row, "/update_ms/without"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::globals::parsed;

    #[test]
    fn a_part_costs_what_its_operations_do_not_explain() {
        // 10 % slower with 4 % more operations; the second round is an outlier.
        let times = [[110.0, 100.0], [300.0, 100.0], [110.0, 100.0]];
        let row = row("smear", &times, [5.0, 4.0], 1.04);
        assert!((number(&row, "/beyond_flops/median") - 0.06).abs() < 1e-12, "{row}");
        assert!(line(&row).contains("+6.0 % beyond FLOPs"), "{}", line(&row));
    }

    #[test]
    fn windows_leave_pairs_out() {
        let (args, _) = parsed::<Args>(&["--generation", "current", "--depth", "4", "--sequence-len", "512"]);
        let whole = args.shape.config(512).unwrap();
        let without = whole.clone().without(Part::Windows).unwrap();
        // Three of four layers see 128 positions and the own one: 129 each, but for the first 128, which see fewer.
        let (all, near) = (512 * 513 / 2, 129 * 512 - 128 * 129 / 2);
        let saved = 3.0 * 12.0 * 256.0 * (all - near) as f64 / 512.0;
        assert_eq!(flops_per_token(&without) - flops_per_token(&whole), saved);
    }

    #[test]
    fn each_part_is_left_out_alone_and_then_all() {
        let (args, _) = parsed::<Args>(&["--generation", "current"]);
        let whole = args.shape.config(512).unwrap();
        let parts: Vec<Part> = Part::EVERY.into_iter().filter(|part| whole.has(*part)).collect();
        let names = |together| choices(&parts, together).iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(true), ["all but windows", "all"]);
        for name in ["windows", "value-embeds", "mixing", "smear", "backout", "qk-gain"] {
            assert!(names(false).contains(&name), "{name}");
        }
        assert_eq!(choices(&[Part::Smear], false).len(), 1);
    }

    #[test]
    fn models_take_turns_and_lose_what_was_left_out() {
        let line = "--generation current --depth 2 --n-embd 32 --n-head 2 --vocab 40 --sequence-len 8 --rounds 1 --together";
        let (args, globals) = parsed::<Args>(&line.split(' ').collect::<Vec<_>>());
        let whole = args.shape.config(8).unwrap();
        let without = Part::EVERY.into_iter().filter(|p| *p != Part::Windows && whole.has(*p));
        let plain = without.fold(whole.clone(), |config, part| config.without(part).unwrap());
        let of = |config| {
            let ns = args.ns_dtype.chosen();
            Bench::with(config, args.shape.generation, 2, ns, 1, globals.gpt_options()).unwrap()
        };
        let (mut with, mut without) = (of(whole.clone()), of(plain.clone()));
        let times = turns(&mut with, &mut without, 2, "all", &globals).unwrap();
        assert!(times.len() == 2 && times.concat().iter().all(|ms| *ms > 0.0));
        let before = with.gpt.params()[0].value().to_f64_vec();
        with.update().unwrap();
        assert_ne!(with.gpt.params()[0].value().to_f64_vec(), before, "the gradients were there");
        assert!(flops_ratio(&whole, &plain) > 1.0);
    }
}
