//! `cargo xtask soak runs`: what can happen to a run, many times over.
//!
//! The tests of `tests/chaos/` with fifty kills instead of six, on the release build: kill -9 at random points of all stages and inside
//! of checkpoints, SIGTERM and SIGINT, full disks, shards deleted and damaged. At the end all bits must be those of a run
//! that was left alone. The seed is printed; the same seed aims at the same points.

use crate::command::{Context, Outcome};
use crate::steps::{self, Step, Work};
use crate::tools::cargo;

/// Kills, unless the command line says otherwise.
pub const KILLS: u64 = 50;

/// Build, and let it happen.
pub fn run(context: &Context, kills: u64, seed: u64) -> Outcome {
    let mut test = cargo();
    test.args(["test", "--release", "--package", "nanochat-chat", "--test", "chaos", "--"]);
    test.args(["--nocapture", "--test-threads", "1"]).current_dir(&context.root);
    test.env("NANOCHAT_CHAOS", kills.to_string()).env("NANOCHAT_CHAOS_SEED", seed.to_string());
    let rerun = format!("cargo xtask soak runs --kills {kills} --seed {seed}");
    steps::run(vec![Step { name: "runs", rerun, work: Work::Program(test) }])
}
