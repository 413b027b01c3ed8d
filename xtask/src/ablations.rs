//! `cargo xtask ablations`: what each idea of the current generation is worth, by leaving it out; writes the tables that the book's
//! chapters show.
//!
//! A small model of the generated world is trained many times with `nanochat train compare` and `nanochat train sweep`. Runs are kept in
//! target/ablations, so that the command goes on where it was interrupted; their results are in target/results/ablations, from which
//! the section of `benches/RESULTS.md` is made.
//!
//! Read next: `benches/src/ablations.rs`, which makes the tables.

use crate::command::{Command, Context, Outcome};
use crate::tools::{cargo, succeed, target_folder};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "ablations",
    summary: "train small models with and without each idea; rewrite their section of benches/RESULTS.md",
    args: "[rates|rates-classic|parts|muon|dial|law|demo-rates|demo]...",
    help: "
    rates    learning rates and decay of the current generation, one at a time; rates-classic: of the classic one
    parts    windows, value embeddings, mixing, smear, backout left out, one at a time
    muon     the same of what today's Muon is made of
    dial     the factors that big runs put on rates and decay, on and off
    law      sizes at several budgets of compute: which is best?
    demo-rates  learning rates of the current generation at the size of the demo, on a seed that demo does not use
    demo     classic against current in the same time, at the size of the demo, on three seeds

Without names: all, about an hour on two quiet cores, half of it for demo. Runs that are finished are not repeated; delete
target/ablations to start over. Results depend on the processor's SIMD level in the last digits, and
those of demo on its speed.",
    run,
};

/// The model: four blocks of width 64, and 0.3 million tokens.
const SMALL: &str = "--n-layer 4 --n-embd 64 --n-head 2 --max-seq-len 256 --device-batch-size 4 \
    --total-batch-size 1024 --num-iterations 300 --eval-tokens 65536 --save-every 0";

/// The demo's model and horizon.
const DEMO: &str = "--n-layer 4 --n-embd 256 --n-head 4 --max-seq-len 256 --device-batch-size 16 --total-batch-size 4096 \
    --num-iterations 500 --warmdown-ratio 0.4 --eval-tokens 131072";

/// Rates as they come, without the factors of big runs.
const RATES: &str =
    "--generation current --unscaled --warmup-steps 10 --warmdown-ratio 0.4 --weight-decay 0.1";

/// The current generation in the demo, but for the rates.
const DEMO_CURRENT: &str = "generation=current,unscaled,warmup-steps=10,final-lr-frac=0,weight-decay=0.1";

/// Its rates: the best of `demo-rates`.
const DEMO_RATES: &str = "scalar-lr=0.02,matrix-lr=0.03,embedding-lr=0.15";

/// What can be asked for.
const NAMES: [&str; 8] = ["rates", "rates-classic", "parts", "muon", "dial", "law", "demo-rates", "demo"];

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    if let Some(unknown) = args.iter().find(|a| !NAMES.contains(&a.as_str())) {
        return Ok(Outcome::Usage(format!("unknown part `{unknown}`\n\n{}", COMMAND.help_page())));
    }
    let target = target_folder(&context.root);
    let results = target.join("results").join("ablations");
    std::fs::create_dir_all(&results).map_err(|e| format!("{}: {e}", results.display()))?;
    let mut build = cargo();
    build.args(["build", "--release", "-p", "nanochat-chat"]).current_dir(&context.root);
    succeed("building for release", &mut build)?;
    let nanochat = Nanochat {
        program: target.join("release").join(format!("nanochat{}", std::env::consts::EXE_SUFFIX)),
        base: target.join("ablations"),
    };
    nanochat.world()?;
    for name in NAMES.into_iter().filter(|name| args.is_empty() || args.iter().any(|a| a == name)) {
        println!("{name} …");
        nanochat.json(&words(name), &results.join(format!("{name}.json")))?;
    }
    let mut write = cargo();
    write.args(["run", "--release", "--quiet", "--package", "nanochat-benches", "--bin", "results", "--"]);
    write.arg("--ablations").arg(&results).arg(context.root.join("benches"));
    succeed("writing the results", write.current_dir(&context.root))?;
    Ok(Outcome::Done)
}

/// The command of a part.
fn words(name: &str) -> String {
    match name {
        "rates" => format!(
            "train compare --name rates --seeds 1 . matrix-lr=0.01 matrix-lr=0.04 embedding-lr=0.15 embedding-lr=0.6 \
             unembedding-lr=0.004 unembedding-lr=0.016 scalar-lr=0.1 weight-decay=0.02 weight-decay=0.4 -- {SMALL} {RATES}"
        ),
        "rates-classic" => format!(
            "train compare --name rates-classic --seeds 1 . matrix-lr=0.01 matrix-lr=0.04 embedding-lr=0.1 embedding-lr=0.4 \
             unembedding-lr=0.002 unembedding-lr=0.008 -- {SMALL} --warmdown-ratio 0.4"
        ),
        "parts" => format!(
            "train compare --name parts . without=windows without=value-embeds without=mixing without=smear without=backout \
             -- {SMALL} {RATES}"
        ),
        "muon" => format!(
            "train compare --name muon . muon-without=polar-express muon-without=polar-express,muon-without=equal-rows \
             muon-without=second-moments muon-without=cautious-decay weight-decay=0 -- {SMALL} {RATES}"
        ),
        "dial" => {
            format!(
                "train compare --name dial unscaled . -- {SMALL} --generation current --warmup-steps 10 --warmdown-ratio 0.4"
            )
        }
        "law" => format!(
            "train sweep --name law --seeds 1 --vary depth=1,2,4 --vary target-flops=5e11,1e12,2e12 \
             -- --max-seq-len 256 --device-batch-size 4 --total-batch-size 1024 --eval-tokens 65536 \
             --save-every 0 {RATES}"
        ),
        "demo-rates" => {
            let kinds = [
                "scalar-lr=0.02,matrix-lr=0.03",
                "scalar-lr=0.02,matrix-lr=0.02",
                "scalar-lr=0.02,matrix-lr=0.045",
                "scalar-lr=0.02,matrix-lr=0.03,embedding-lr=0.15",
                "scalar-lr=0.02,matrix-lr=0.03,unembedding-lr=0.016",
                "scalar-lr=0.02,matrix-lr=0.03,window-pattern=L",
                "scalar-lr=0.005,matrix-lr=0.03",
            ]
            .map(|rates| format!("{DEMO_CURRENT},num-iterations=490,{rates}"));
            format!(
                "--dtype bf16 train compare --name demo-rates --seeds 11 generation=classic {} -- {DEMO}",
                kinds.join(" ")
            )
        }
        _ => format!(
            "--dtype bf16 train compare --name demo --equal-time generation=classic {DEMO_CURRENT},{DEMO_RATES} -- {DEMO}"
        ),
    }
}

/// The program, with a base folder of its own.
struct Nanochat {
    program: PathBuf,
    base: PathBuf,
}

impl Nanochat {
    fn command(&self, words: &str) -> Process {
        let mut process = Process::new(&self.program);
        process.env("NANOCHAT_BASE_DIR", &self.base).args(words.split_whitespace());
        process
    }
    /// Documents and a tokenizer, unless they are there.
    fn world(&self) -> Result<(), String> {
        for (file, words) in [
            ("data/synth/manifest.json", "data synth --seed 1"),
            ("tokenizer/default/meta.json", "tok train --vocab-size 2048"),
        ] {
            if !self.base.join(file).is_file() {
                succeed(words, &mut self.command(words))?;
            }
        }
        Ok(())
    }
    /// Run with `--json` into a file, which is there only when all of it is.
    fn json(&self, words: &str, path: &Path) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let part = path.with_extension("part");
        let file = File::create(&part).map_err(failed)?;
        succeed(words, self.command(&format!("--json {words}")).stdout(file))?;
        std::fs::rename(&part, path).map_err(failed)
    }
}
