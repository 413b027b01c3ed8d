//! `cargo xtask bench-vs-torch`: our training and generating against PyTorch's, in alternation, on this machine.
//!
//! It brings the two together: a scratch Python with torch, a release build, and for each configuration
//! `benches/torch/paired.py`, which starts both sides and asks them for work in turn. Every configuration leaves a file, so
//! an interrupted run goes on where it was. Where there is no Python or torch cannot be installed there is nothing to
//! compare, which is no failure.
//!
//! Read next: `configurations.rs` (what is compared), `benches/torch/README.md` (how to read the result).

mod configurations;

use crate::command::{Command, Context, Outcome};
use crate::python::{TORCH, given_python, scratch_python};
use crate::tools::{cargo, succeed, target_folder};
use configurations::Configuration;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "bench-vs-torch",
    summary: "time our training and generating against PyTorch's, in alternation",
    args: "[--quick] [--only NAME] [--again] [--list] [--rounds N] [--threads N] [--venv DIR]",
    help: "
Makes a virtual environment with torch and numpy in target/torch-venv (once; some gigabytes), builds
the release binary, and runs benches/torch/paired.py for every configuration. Each leaves its raw result
in target/vs_torch, and is skipped while that is there; after each, the table and the plot of
benches/RESULTS.md are rewritten. Without python3, or where torch cannot be installed, a notice says so
and the exit code is 0. A full run takes one to two hours, most of it PyTorch's compilation; the largest
configuration needs 12 GB of memory.

    cargo xtask bench-vs-torch --list                      names of all configurations
    cargo xtask bench-vs-torch                             all that have no result yet
    cargo xtask bench-vs-torch --only decode.d4 --again    those whose name contains this, once more
    cargo xtask bench-vs-torch --quick --only train.d4.v4096.b8.f32.compiled
    cargo xtask bench-vs-torch --venv DIR                  a virtual environment that has torch already

Results of --quick (two rounds) go to target/vs_torch_quick and into no document. pip's own settings
(PIP_INDEX_URL and the like) are respected.",
    run,
};

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    quick: bool,
    again: bool,
    list: bool,
    only: Option<String>,
    rounds: usize,
    threads: usize,
    venv: Option<PathBuf>,
}

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let usage = |message: String| Ok(Outcome::Usage(format!("{message}\n\n{}", COMMAND.help_page())));
    let options = match parse(args) {
        Ok(options) => options,
        Err(message) => return usage(message),
    };
    let mut chosen = configurations::all();
    chosen.retain(|c| options.only.as_ref().is_none_or(|part| c.name.contains(part)));
    if chosen.is_empty() {
        return usage(format!("no configuration has {:?} in its name", options.only.unwrap_or_default()));
    }
    if options.list {
        chosen.iter().for_each(|c| println!("{}", c.name));
        return Ok(Outcome::Done);
    }
    let target = target_folder(&context.root);
    let python = match &options.venv {
        Some(venv) => given_python(venv, TORCH)?,
        None => match scratch_python(&target.join("torch-venv"), TORCH) {
            Ok(python) => python,
            Err(why) => {
                println!("notice: no comparison with PyTorch: {why}");
                return Ok(Outcome::Done);
            }
        },
    };
    for package in ["nanochat-chat", "nanochat-benches"] {
        let mut build = cargo();
        build.args(["build", "--release", "-p", package, "--bins"]).current_dir(&context.root);
        succeed("building for release", &mut build)?;
    }
    let folder = target.join(if options.quick { "vs_torch_quick" } else { "vs_torch" });
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let scripts = context.root.join("benches").join("torch");
    let program = |name: &str| target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    for (i, configuration) in chosen.iter().enumerate() {
        let json = folder.join(format!("{}.json", configuration.name));
        if json.is_file() && !options.again {
            println!("{}: measured already (--again measures once more)", configuration.name);
            continue;
        }
        println!("[{}/{}] {}", i + 1, chosen.len(), configuration.name);
        let mut paired = Process::new(&python);
        let sides = Sides { binary: &program("nanochat"), python: &python, scripts: &scripts };
        paired.current_dir(&scripts).args(paired_arguments(configuration, &options, &sides, &json));
        succeed("paired.py", &mut paired)?;
        if !options.quick {
            let mut write = Process::new(program("versus"));
            succeed("versus", write.arg(&folder).arg(context.root.join("benches")))?;
        }
    }
    println!("raw results: {}", folder.display());
    Ok(Outcome::Done)
}

fn parse(args: &[String]) -> Result<Options, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut o =
        Options { quick: false, again: false, list: false, only: None, rounds: 7, threads, venv: None };
    let mut rounds = None;
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--quick" => o.quick = true,
            "--again" => o.again = true,
            "--list" => o.list = true,
            "--only" => o.only = Some(value()?.clone()),
            "--venv" => o.venv = Some(value()?.into()),
            "--rounds" => rounds = Some(number(word, value()?)?),
            "--threads" => o.threads = number(word, value()?)?,
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    o.rounds = rounds.unwrap_or(if o.quick { 2 } else { 7 });
    Ok(o)
}

fn number(option: &str, text: &str) -> Result<usize, String> {
    let value = text.parse().ok().filter(|n| *n >= 1);
    value.ok_or(format!("{option} {text}: give a whole number of at least 1"))
}

/// Where the two programs are.
struct Sides<'a> {
    binary: &'a Path,
    python: &'a Path,
    scripts: &'a Path,
}

/// The command line of paired.py: both sides get the same threads and the same model.
fn paired_arguments(c: &Configuration, o: &Options, sides: &Sides, json: &Path) -> Vec<String> {
    let train = c.work == "step";
    let own_threads = c.options.iter().any(|option| option == "--threads");
    let threads = ["--threads".to_string(), o.threads.to_string()];
    let threads = if own_threads { &[][..] } else { &threads[..] };
    let line = |program: &[&str], more: &[&str]| -> String {
        let serve = if train { "--serve-steps" } else { "--serve" };
        let words = program.iter().copied().chain([serve]).chain(more.iter().copied());
        let shared = threads.iter().chain(&c.options).map(String::as_str);
        words.chain(shared).map(quoted).collect::<Vec<_>>().join(" ")
    };
    let script = sides.scripts.join(if train { "train.py" } else { "decode_classic.py" });
    let [binary, python, script] = [sides.binary, sides.python, &script].map(|p| p.to_string_lossy());
    let ours = line(&[&binary, "bench", if train { "train" } else { "decode" }], &[]);
    let torch = line(&[c.mode.environment(), &[&python, &script]].concat(), c.mode.options());
    let [pieces, warmup] = if o.quick { c.pieces.map(|n| n.div_ceil(3)) } else { c.pieces };
    let numbers = [("--rounds", o.rounds), ("--steps", pieces), ("--warmup", warmup)];
    let numbers = numbers.into_iter().flat_map(|(name, n)| [name.to_string(), n.to_string()]);
    let texts = [("--name", c.name.clone()), ("--work", c.work.into()), ("--ours", ours), ("--torch", torch)];
    let texts = texts.into_iter().flat_map(|(name, text)| [name.to_string(), text]);
    let json = ["--json".to_string(), json.to_string_lossy().into_owned()];
    ["paired.py".to_string()].into_iter().chain(numbers).chain(texts).chain(json).collect()
}

/// A word as a shell would have to see it: in single quotes where it is not plain.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options, String> {
        parse(&args.iter().map(|a| a.to_string()).collect::<Vec<_>>())
    }

    fn arguments(name: &str, args: &[&str]) -> Vec<String> {
        let configuration = configurations::all().into_iter().find(|c| c.name == name).unwrap();
        let [binary, python, scripts] = ["my nanochat", "python", "torch"].map(Path::new);
        let sides = Sides { binary, python, scripts };
        paired_arguments(&configuration, &options(args).unwrap(), &sides, Path::new("out.json"))
    }

    fn after<'w>(words: &'w [String], name: &str) -> &'w str {
        &words[words.iter().position(|w| w == name).unwrap() + 1]
    }

    #[test]
    fn both_sides_get_the_same_model_and_pytorch_its_mode() {
        let words = arguments("train.d4.v4096.b8.bf16.best", &["--threads", "2"]);
        let model = "--depth 4 --vocab 4096 --batch 8 --seq-len 512 --dtype bf16";
        let ours = format!("'my nanochat' bench train --serve-steps --threads 2 {model}");
        assert_eq!(after(&words, "--ours"), ours);
        let torch = after(&words, "--torch");
        assert!(torch.starts_with("THP_MEM_ALLOC_ENABLE=1 ") && torch.ends_with(model), "{torch}");
        assert!(torch.contains("train.py --serve-steps --compile --matmul-precision medium"), "{torch}");
        assert_eq!([after(&words, "--work"), after(&words, "--rounds")], ["step", "7"]);
        let quick = arguments("decode.d4.b8.f32.eager", &["--quick"]);
        assert!(after(&quick, "--ours").contains("bench decode --serve"));
        assert!(after(&quick, "--torch").starts_with("python "));
        assert_eq!(
            [after(&quick, "--work"), after(&quick, "--rounds"), after(&quick, "--steps")],
            ["decode", "2", "11"]
        );
    }

    #[test]
    fn a_configuration_may_fix_its_threads() {
        let words = arguments("scaling.threads1.compiled", &["--threads", "8"]);
        assert!(
            after(&words, "--ours").contains("--threads 1")
                && !after(&words, "--ours").contains("--threads 8")
        );
    }

    #[test]
    fn senseless_options_are_refused() {
        assert!(options(&["--rounds"]).unwrap_err().contains("wants a value"));
        assert!(options(&["--rounds", "0"]).unwrap_err().contains("at least 1"));
        assert!(options(&["--depth", "4"]).unwrap_err().contains("unknown option"));
        assert_eq!(options(&["--quick", "--rounds", "3"]).unwrap().rounds, 3);
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_split_or_expand_them() {
        assert_eq!(["a-b/c.py", "a b", "it's", ""].map(quoted), ["a-b/c.py", "'a b'", "'it'\\''s'", "''"]);
    }
}
