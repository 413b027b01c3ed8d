//! `cargo xtask bench-vs-torch`: our training step against PyTorch's, in alternation, on this machine.
//!
//! It only brings the two together: a scratch Python with torch, a release build, and `benches/torch/paired.py`, which
//! starts both sides and asks them for steps in turn. Where there is no Python or torch cannot be installed there is
//! nothing to compare, which is no failure.
//!
//! Read next: `benches/torch/README.md` (what is compared, and how to read the result).

use crate::command::{Command, Context, Outcome};
use crate::python::{given_python, scratch_python};
use crate::tools::{cargo, succeed, target_folder};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// The row of the command table.
pub const COMMAND: Command = Command {
    name: "bench-vs-torch",
    summary: "time our training step against PyTorch's, in alternation",
    args: "[--rounds N] [--steps N] [--warmup N] [--threads N] [--compile] [--venv DIR] [-- OPTIONS for both sides]",
    help: "
Makes a virtual environment with torch and numpy in target/torch-venv (once; some gigabytes), builds
the release binary, and runs benches/torch/paired.py. The result goes to target/last_paired.json,
which is not committed. Without python3, or where torch cannot be installed, a notice says so and the
exit code is 0.

    cargo xtask bench-vs-torch                             depth 4, 8 rows of 512 tokens, 7 rounds
    cargo xtask bench-vs-torch --compile --warmup 6        against torch.compile
    cargo xtask bench-vs-torch --venv DIR                  a virtual environment that has torch already
    cargo xtask bench-vs-torch -- --depth 6 --batch 4      another model: both sides get these options

Both sides know --depth, --n-embd, --n-head, --n-kv-head, --seq-len, --batch, --vocab, --dtype and
--ns-dtype (Muon's iteration: PyTorch's side does it in bf16 as the original, ours in f32, unless told
otherwise). pip's own settings (PIP_INDEX_URL and the like) are respected.",
    run,
};

/// Where the raw result goes, as seen from the script that writes it: build output, not source.
const RESULT: &str = "../../target/last_paired.json";

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    rounds: usize,
    steps: usize,
    warmup: usize,
    threads: usize,
    compile: bool,
    venv: Option<PathBuf>,
    /// For both sides.
    model: Vec<String>,
}

fn run(context: &Context, args: &[String]) -> Result<Outcome, String> {
    let options = match parse(args) {
        Ok(options) => options,
        Err(message) => return Ok(Outcome::Usage(format!("{message}\n\n{}", COMMAND.help_page()))),
    };
    let target = target_folder(&context.root);
    let python = match &options.venv {
        Some(venv) => given_python(venv)?,
        None => match scratch_python(&target.join("torch-venv")) {
            Ok(python) => python,
            Err(why) => {
                println!("notice: no comparison with PyTorch: {why}");
                return Ok(Outcome::Done);
            }
        },
    };
    let mut build = cargo();
    build.args(["build", "--release", "-p", "nanochat-chat"]).current_dir(&context.root);
    succeed("building nanochat", &mut build)?;
    let scripts = context.root.join("benches").join("torch");
    let binary = target.join("release").join(format!("nanochat{}", std::env::consts::EXE_SUFFIX));
    std::fs::create_dir_all(context.root.join("target")).map_err(|e| format!("target: {e}"))?;
    let mut paired = Process::new(&python);
    paired.current_dir(&scripts).args(paired_arguments(&options, &binary, &python, &scripts));
    succeed("paired.py", &mut paired)?;
    let table = context.root.join("benches").join("RESULTS.md");
    let mut write = Process::new(&python);
    write.current_dir(&scripts).args(["write_results.py", RESULT]).arg(&table);
    succeed("write_results.py", &mut write)?;
    println!("written to {} and {}", scripts.join(RESULT).display(), table.display());
    Ok(Outcome::Done)
}

fn parse(args: &[String]) -> Result<Options, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (rounds, steps, warmup, model) = (7, 3, 3, Vec::new());
    let mut o = Options { rounds, steps, warmup, threads, compile: false, venv: None, model };
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--" => {
                o.model = words.cloned().collect();
                break;
            }
            "--compile" => o.compile = true,
            "--venv" => o.venv = Some(value()?.into()),
            "--warmup" => o.warmup = number(word, value()?, 0)?,
            "--rounds" => o.rounds = number(word, value()?, 1)?,
            "--steps" => o.steps = number(word, value()?, 1)?,
            "--threads" => o.threads = number(word, value()?, 1)?,
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    Ok(o)
}

fn number(option: &str, text: &str, least: usize) -> Result<usize, String> {
    let value = text.parse().ok().filter(|n| *n >= least);
    value.ok_or(format!("{option} {text}: give a whole number of at least {least}"))
}

/// The command line of paired.py: both sides get the same threads and the same model.
fn paired_arguments(o: &Options, binary: &Path, python: &Path, scripts: &Path) -> Vec<String> {
    let shared = |program: &[&str]| -> String {
        let mut words: Vec<String> = program.iter().map(|w| w.to_string()).collect();
        words.extend(["--serve-steps".into(), "--threads".into(), o.threads.to_string()]);
        words.extend(o.model.iter().cloned());
        words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ")
    };
    let (binary, python) = (binary.to_string_lossy(), python.to_string_lossy());
    let script = scripts.join("train_classic.py");
    let ours = shared(&[&binary, "bench", "train"]);
    let mut torch = shared(&[&python, &script.to_string_lossy()]);
    if o.compile {
        torch += " --compile";
    }
    let numbers = [("--rounds", o.rounds), ("--steps", o.steps), ("--warmup", o.warmup)];
    let numbers = numbers.into_iter().flat_map(|(name, n)| [name.to_string(), n.to_string()]);
    let texts = [("--ours", ours), ("--torch", torch), ("--json", RESULT.to_string())];
    let texts = texts.into_iter().flat_map(|(name, text)| [name.to_string(), text]);
    ["paired.py".to_string()].into_iter().chain(numbers).chain(texts).collect()
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

    #[test]
    fn what_follows_two_dashes_goes_to_both_sides() {
        let o = options(&["--rounds", "2", "--threads", "1", "--compile", "--", "--depth", "6"]).unwrap();
        assert_eq!((o.rounds, o.steps, o.compile), (2, 3, true));
        let words = paired_arguments(&o, Path::new("my nanochat"), Path::new("python"), Path::new("torch"));
        let after = |name: &str| &words[words.iter().position(|w| w == name).unwrap() + 1];
        assert_eq!(after("--ours"), "'my nanochat' bench train --serve-steps --threads 1 --depth 6");
        let script = Path::new("torch").join("train_classic.py");
        let torch = format!(
            "python {} --serve-steps --threads 1 --depth 6 --compile",
            quoted(&script.to_string_lossy())
        );
        assert_eq!(after("--torch"), &torch);
        assert_eq!((words[0].as_str(), after("--json").as_str()), ("paired.py", RESULT));
    }

    #[test]
    fn senseless_options_are_refused() {
        assert!(options(&["--rounds"]).unwrap_err().contains("wants a value"));
        assert!(options(&["--rounds", "0"]).unwrap_err().contains("at least 1"));
        assert!(options(&["--depth", "4"]).unwrap_err().contains("unknown option"));
        assert_eq!(options(&["--warmup", "0"]).unwrap().warmup, 0);
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_split_or_expand_them() {
        assert_eq!(["a-b/c.py", "a b", "it's", ""].map(quoted), ["a-b/c.py", "'a b'", "'it'\\''s'", "''"]);
    }
}
