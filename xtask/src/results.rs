//! `cargo xtask results`: measures every kernel and rewrites `benches/RESULTS.md` and its plot.
//!
//! It only calls, one after the other: `nanochat bench kernels`, the paired comparison of matrix products, their ladder, on
//! request the comparison with PyTorch, and the program that turns the raw results into the marked sections of the document.
//! Raw results are kept in target/results; a section whose results are missing there stays as it is.
//!
//! Read next: `benches/src/lib.rs`.

use crate::command::{Command, Context, Outcome};
use crate::python::{TORCH, given_python, scratch_python};
use crate::tools::{cargo, succeed, target_folder};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "results",
    summary: "measure every kernel and rewrite benches/RESULTS.md and its plot",
    args: "[--quick] [--torch [--venv DIR]] | --emulator | --serving | --data | --parts",
    help:
        "
Builds for release and measures on this machine; close everything else first. About twelve minutes, with
--torch two more.

    cargo xtask results                        every kernel under the roof, products against other libraries
    cargo xtask results --quick                the same with fewer and shorter runs, to see that it works
    cargo xtask results --torch                single kernels against PyTorch, too
    cargo xtask results --torch --venv DIR     with a virtual environment that has torch
    cargo xtask results --emulator             the emulator's speed, and nothing else
    cargo xtask results --serving              the engine and the server, and nothing else: five minutes
    cargo xtask results --data                 how fast rows are prepared, and nothing else: a minute
    cargo xtask results --parts                what the parts of the current model cost, and nothing else: four minutes

Without --venv a virtual environment with torch is made in target/torch-venv (once; some gigabytes). Where
that is impossible a notice says so, and the rest is done. The training step is `cargo xtask bench-vs-torch`.",
    run,
};

/// What the command line says.
#[derive(Debug, Default, PartialEq)]
struct Options {
    quick: bool,
    torch: bool,
    venv: Option<PathBuf>,
    emulator: bool,
    serving: bool,
    data: bool,
    parts: bool,
}

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let o = match parse(args) {
        Ok(options) => options,
        Err(message) => return Ok(Outcome::Usage(format!("{message}\n\n{}", COMMAND.help_page()))),
    };
    if o.emulator {
        return emulator(context).map(|()| Outcome::Done);
    }
    if o.serving {
        return serving(context).map(|()| Outcome::Done);
    }
    if o.data {
        return data(context).map(|()| Outcome::Done);
    }
    if o.parts {
        return parts(context).map(|()| Outcome::Done);
    }
    let target = target_folder(&context.root);
    let folder = target.join("results");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for args in [&["-p", "nanochat-chat"][..], &["-p", "nanochat-benches", "--bins", "--examples"]] {
        let mut build = cargo();
        build.args(["build", "--release"]).args(args).current_dir(&context.root);
        succeed("building for release", &mut build)?;
    }
    let release = target.join("release");
    let program = |name: &str| release.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let nanochat = program("nanochat");
    kernels(&nanochat, &folder.join("kernels.json"), o.quick)?;
    println!("matrix products against other libraries …");
    let mut paired =
        Process::new(release.join("examples").join(format!("paired{}", std::env::consts::EXE_SUFFIX)));
    paired.arg("--json").arg(folder.join("products.json")).args(o.quick.then_some("--quick"));
    succeed("the paired comparison", &mut paired)?;
    println!("the ladder of the matrix product …");
    let mut ladder = Process::new(program("ladder"));
    ladder.args(o.quick.then_some("--quick")).arg("--json").arg(folder.join("ladder.json"));
    succeed("the ladder", &mut ladder)?;
    if o.torch {
        torch(context, &o, &target, &nanochat, &folder.join("torch.json"))?;
    }
    let mut write = Process::new(program("results"));
    write.arg(&folder).arg(context.root.join("benches"));
    succeed("writing the results", &mut write)?;
    Ok(Outcome::Done)
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut o = Options::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => o.quick = true,
            "--torch" => o.torch = true,
            "--emulator" => o.emulator = true,
            "--serving" => o.serving = true,
            "--data" => o.data = true,
            "--parts" => o.parts = true,
            "--venv" => o.venv = Some(words.next().ok_or("--venv wants a folder")?.into()),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    if (o.emulator || o.serving || o.data || o.parts) && args.len() > 1 {
        return Err("--emulator, --serving, --data and --parts go with no other option".into());
    }
    if o.venv.is_some() && !o.torch {
        return Err("--venv is for --torch".into());
    }
    Ok(o)
}

/// `nanochat bench kernels` into a file; its progress stays on the terminal.
fn kernels(nanochat: &Path, json: &Path, quick: bool) -> Result<(), String> {
    println!("every kernel, {} seconds of runs each …", if quick { 0.03 } else { 0.3 });
    let file = File::create(json).map_err(|e| format!("{}: {e}", json.display()))?;
    let mut bench = Process::new(nanochat);
    bench.args(["bench", "kernels", "--json", "--seconds", if quick { "0.03" } else { "0.3" }]).stdout(file);
    succeed("nanochat bench kernels", &mut bench)
}

/// The emulator's own benchmark, whose output is the section of the document.
fn emulator(context: &Context) -> Result<(), String> {
    let mut bench = cargo();
    bench.args(["bench", "--quiet", "--package", "nanochat-emulator"]).current_dir(&context.root);
    let output = bench.output().map_err(|e| format!("cargo bench: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("cargo bench failed:\n{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    print!("{text}");
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("| kernel")).collect();
    if !table.iter().any(|line| line.starts_with("| attention")) {
        return Err(
            "attention was not measured: set NANOCHAT_PTX_SAMPLES, run `cargo xtask nvrtc --fetch`".into()
        );
    }
    section(context, "emulator", &table.join("\n"))
}

/// `nanochat bench data`, whose table is the section.
fn data(context: &Context) -> Result<(), String> {
    let mut bench = cargo();
    bench.args(["run", "--release", "--quiet", "--package", "nanochat-chat", "--", "bench", "data"]);
    let output = bench.current_dir(&context.root).output().map_err(|e| format!("cargo run: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    if !output.status.success() || !text.contains("| best-fit") {
        return Err(format!("nanochat bench data failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    section(context, "data", &text)
}

/// Writes a section that a benchmark has made itself.
fn section(context: &Context, name: &str, text: &str) -> Result<(), String> {
    let folder = target_folder(&context.root).join("results");
    let file = folder.join(format!("{name}.md"));
    let failed = |e| format!("{}: {e}", file.display());
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text)).map_err(failed)?;
    let mut write = cargo();
    write.args(["run", "--release", "--quiet", "--package", "nanochat-benches", "--bin", "results", "--"]);
    write.args(["--section", name]).arg(&file).arg(context.root.join("benches"));
    succeed("writing the results", write.current_dir(&context.root))
}

/// What is measured of the engine and of the server: the names of the results and the arguments of `nanochat bench`.
const SERVING: &[(&str, &str)] = &[
    ("engine-04.bf16", "engine --depth 4 --vocab-size 32768 --dtype bf16"),
    ("engine-04.f32", "engine --depth 4 --vocab-size 32768 --dtype f32"),
    ("engine-12.bf16", "engine --depth 12 --vocab-size 32768 --dtype bf16 --rounds 2"),
    ("engine-12.f32", "engine --depth 12 --vocab-size 32768 --dtype f32 --rounds 1"),
    ("serve-04.f32", "serve --depth 4 --concurrency 1,8,32"),
    ("serve-12.bf16", "serve --depth 12 --vocab-size 32768 --dtype bf16 --concurrency 1,8"),
];

/// The engine against the bare loop, the server against the engine, into a section of the document.
fn serving(context: &Context) -> Result<(), String> {
    benches(context, "serving", SERVING, |bench, args, json| {
        bench.args(args.split(' ')).arg("--json").arg(json);
        Ok(())
    })
}

/// Runs `nanochat bench` once for each of `all`, made complete by `prepare`, which gets the arguments and the file for the results; then
/// writes section `name` from all of these.
fn benches(
    context: &Context,
    name: &str,
    all: &[(&str, &str)],
    prepare: impl Fn(&mut Process, &str, &Path) -> Result<(), String>,
) -> Result<(), String> {
    let target = target_folder(&context.root);
    let folder = target.join("results").join(name);
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for package in ["nanochat-chat", "nanochat-benches"] {
        let mut build = cargo();
        build.args(["build", "--release", "--bins", "-p", package]).current_dir(&context.root);
        succeed("building for release", &mut build)?;
    }
    let program = |name: &str| target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    for (file, args) in all {
        println!("{name}: {args}");
        let mut bench = Process::new(program("nanochat"));
        bench.arg("bench");
        prepare(&mut bench, args, &folder.join(format!("{file}.json")))?;
        succeed("nanochat bench", &mut bench)?;
    }
    let mut write = Process::new(program("results"));
    write.arg(format!("--{name}")).arg(folder).arg(context.root.join("benches"));
    succeed("writing the results", &mut write)
}

/// What is measured of the parts: the names of the results and the arguments of `nanochat bench parts`.
const PARTS: &[(&str, &str)] = &[
    ("parts-1.f32", "--dtype f32 --rounds 5"),
    ("parts-1.together.f32", "--dtype f32 --rounds 15 --together"),
    ("parts-2.bf16", "--dtype bf16 --rounds 7"),
    ("parts-2.together.bf16", "--dtype bf16 --rounds 21 --together"),
];
/// The model of all of these.
const PARTED: &str =
    "--generation current --depth 12 --vocab-size 4096 --sequence-len 512 --device-batch-size 2";

/// A model with and without each of its parts, in turn, into a section of the document.
fn parts(context: &Context) -> Result<(), String> {
    benches(context, "parts", PARTS, |bench, args, json| {
        let file = File::create(json).map_err(|e| format!("{}: {e}", json.display()))?;
        bench.args(["parts", "--json"]).args(PARTED.split(' ')).args(args.split(' ')).stdout(file);
        Ok(())
    })
}

/// Single kernels against PyTorch. That there is none is told, and no failure.
fn torch(context: &Context, o: &Options, target: &Path, nanochat: &Path, json: &Path) -> Result<(), String> {
    let python = match &o.venv {
        Some(venv) => given_python(venv, TORCH)?,
        None => match scratch_python(&target.join("torch-venv"), TORCH) {
            Ok(python) => python,
            Err(why) => {
                println!("notice: no comparison with PyTorch: {why}");
                return Ok(());
            }
        },
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let ours = format!("'{}' bench kernels --serve --threads {threads}", nanochat.display());
    let mut script = Process::new(&python);
    script.current_dir(context.root.join("benches").join("torch"));
    script.args(["kernels.py", "--ours", &ours, "--threads", &threads, "--json"]).arg(json);
    if o.quick {
        script.args(["--rounds", "2", "--seconds", "0.02"]);
    }
    succeed("kernels.py", &mut script)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options, String> {
        parse(&args.iter().map(|a| a.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_and_senseless_ones_refused() {
        let venv = Some(PathBuf::from("env"));
        let all = Options {
            quick: true,
            torch: true,
            venv,
            emulator: false,
            serving: false,
            data: false,
            parts: false,
        };
        assert_eq!(options(&["--quick", "--torch", "--venv", "env"]), Ok(all));
        assert_eq!(options(&[]), Ok(Options::default()));
        assert!(options(&["--venv"]).unwrap_err().contains("wants a folder"));
        assert!(options(&["--venv", "env"]).unwrap_err().contains("--torch"));
        assert!(options(&["--data"]).is_ok_and(|o| o.data));
        assert!(options(&["--emulator"]).is_ok_and(|o| o.emulator));
        assert!(options(&["--serving"]).is_ok_and(|o| o.serving));
        assert!(options(&["--parts"]).is_ok_and(|o| o.parts));
        assert!(options(&["--parts", "--torch"]).unwrap_err().contains("no other option"));
        assert!(options(&["--emulator", "--quick"]).unwrap_err().contains("no other option"));
        assert!(options(&["--serving", "--emulator"]).unwrap_err().contains("no other option"));
        assert!(options(&["--rounds"]).unwrap_err().contains("unknown option"));
    }
}
