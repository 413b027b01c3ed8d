//! The binary as a user runs it: a tiny world end to end, clear errors with the right exit codes, and `kill -9` at random
//! instants.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn nanochat(base: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanochat"));
    command.env("NANOCHAT_BASE_DIR", base).stdin(Stdio::null());
    command
}

fn run(base: &Path, args: &str) -> Output {
    nanochat(base).args(args.split_whitespace()).output().unwrap()
}

fn succeed(base: &Path, args: &str) -> String {
    let out = run(base, args);
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "nanochat {args}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

fn fail(base: &Path, args: &str, code: i32, message: &str) {
    let out = run(base, args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "nanochat {args}\n{stderr}");
    assert!(stderr.contains(message), "nanochat {args}: {stderr:?} should mention {message:?}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

const SHAPE: &str = "--n-layer 2 --n-embd 32 --n-head 2 --max-seq-len 32 --device-batch-size 4";

/// A tiny data set and tokenizer.
fn prepare(base: &Path) {
    succeed(base, "data synth --documents 300 --conversations 120 --test-per-kind 20 --seed 3");
    succeed(base, "tok train --vocab-size 300");
}

fn base_args(run: &str, steps: usize) -> String {
    format!(
        "train base --run {run} {SHAPE} --num-iterations {steps} --save-every 5 --eval-tokens 512 --resume"
    )
}

#[test]
fn a_tiny_world_goes_the_whole_way() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    prepare(base);
    let ids = succeed(base, "tok encode hello");
    let back = succeed(base, &format!("tok decode {}", ids.trim()));
    assert_eq!(back.trim(), "hello");
    assert!(succeed(base, "tok export").lines().count() == 300 - 9);
    let log = succeed(base, &base_args("base", 12));
    assert!(log.contains("Validation bpb:") && log.contains("GFLOP/s"), "{log}");
    let eval: serde_json::Value =
        serde_json::from_str(&succeed(base, "eval base --run base --json")).unwrap();
    assert!(eval["val_bpb"].as_f64().unwrap() > 0.5);
    succeed(base, "train sft --num-iterations 4 --target-examples-per-step 8 --device-batch-size 4");
    let chat: serde_json::Value =
        serde_json::from_str(&succeed(base, "chat -p hello --max-tokens 8 --json")).unwrap();
    assert!(chat["tokens"].as_u64().unwrap() <= 8);
    let again = succeed(base, "chat -p hello --max-tokens 8 --json");
    assert_eq!(chat, serde_json::from_str::<serde_json::Value>(&again).unwrap(), "same seed, same answer");
}

#[test]
fn mistakes_get_one_clear_error_and_the_right_code() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    fail(base, "chat", 1, "nanochat demo");
    fail(base, "tok train", 1, "nanochat data");
    fail(base, "train base --no-such-flag", 2, "--no-such-flag");
    fail(base, "chat --dtype int4", 2, "bf16");
    fail(base, "--threads 0 doctor", 2, "at least 1");
    prepare(base);
    fail(base, "tok train --vocab-size 264", 1, "265");
    fail(base, &format!("train base {SHAPE} --num-iterations 2 --total-batch-size 100"), 2, "multiple of");
    fail(base, "train base --n-layer 2 --n-embd 33 --n-head 2 --num-iterations 2", 2, "n_embd");
    fail(base, "train sft --from nothing", 1, "nothing");

    let bad = base.join("bad.txt");
    std::fs::write(&bad, b"fine so far \xff\xfe").unwrap();
    fail(base, &format!("data import {} --name bad", bad.display()), 1, "byte 12");
    std::fs::write(&bad, b"  \n\n").unwrap();
    fail(base, &format!("data import {} --name bad", bad.display()), 1, "holds no text");
    fail(base, "data import /nowhere/at/all.txt", 1, "/nowhere/at/all.txt");
}

#[test]
fn damaged_checkpoints_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    prepare(base);
    succeed(base, &base_args("base", 5));
    fail(base, &format!("train base {SHAPE} --num-iterations 5"), 1, "--resume");
    fail(base, &base_args("base", 9).replace("--n-embd 32", "--n-embd 64"), 1, "shape");
    let folder = base.join("runs/base/checkpoints/step_000005");
    let weights = folder.join("model.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    fail(base, "chat --run base -p hi", 1, "truncated");
    std::fs::write(&weights, whole).unwrap();
    let state = folder.join("state.json");
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, text.replace("\"version\": 1", "\"version\": 99")).unwrap();
    fail(base, "chat --run base -p hi", 1, "99");
    std::fs::write(&state, text).unwrap();
    succeed(base, "chat --run base -p hi --max-tokens 2");
    succeed(base, "tok train --vocab-size 310");
    fail(base, "chat --run base -p hi", 1, "tokenizer has changed");
}

/// The bytes of the newest checkpoint's weights.
fn final_weights(base: &Path, run: &str, steps: usize) -> Vec<u8> {
    std::fs::read(base.join(format!("runs/{run}/checkpoints/step_{steps:06}/model.safetensors"))).unwrap()
}

#[test]
fn killed_at_twenty_random_instants_a_run_still_ends_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    prepare(base);
    let steps = 60;
    let args = |run: &str| base_args(run, steps).replace("--save-every 5", "--save-every 1");
    let begun = std::time::Instant::now();
    succeed(base, &format!("{} --threads 1", args("whole")));
    let duration = begun.elapsed();
    // Random instants between nothing and a sixth of the run, so that progress is made between kills.
    let mut rng = kernels::philox::Philox::new(11, 0);
    let mut killed = 0;
    for i in 0..20 {
        let threads = 1 + i % 2; // the number of threads may change between resumptions
        let mut child = nanochat(base)
            .args(format!("{} --threads {threads}", args("killed")).split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let wait = duration.mul_f64(f64::from(rng.uniform()) / 6.0) + Duration::from_millis(5);
        std::thread::sleep(wait);
        killed += i32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    assert!(killed >= 5, "only {killed} of 20 kills hit a living run");
    succeed(base, &args("killed"));
    assert_eq!(final_weights(base, "whole", steps), final_weights(base, "killed", steps));
    let metrics = std::fs::read_to_string(base.join("runs/killed/metrics.jsonl")).unwrap();
    let steps_logged: Vec<u64> = metrics
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
        .filter(|v| v["kind"] == "train")
        .map(|v| v["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps_logged, (0..steps as u64).collect::<Vec<_>>());
}

#[test]
fn a_read_only_or_full_disk_is_an_error_that_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    prepare(base);
    succeed(base, &base_args("base", 10));
    let (before, after) = (final_weights(base, "base", 5), final_weights(base, "base", 10));
    // A file where a folder must go stands for every reason why a folder cannot be made.
    std::fs::write(base.join("runs/blocked"), b"").unwrap();
    fail(base, &base_args("blocked", 5), 1, "blocked");
    // A limit on file sizes fails the checkpoint's write in the middle, as a full disk does.
    std::fs::remove_dir_all(base.join("runs/base/checkpoints/step_000010")).unwrap();
    let binary = env!("CARGO_BIN_EXE_nanochat");
    let limited = format!("trap '' XFSZ; ulimit -f 32; exec {binary} {}", base_args("base", 10));
    let out = Command::new("sh").args(["-c", &limited]).env("NANOCHAT_BASE_DIR", base).output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(".writing"), "{stderr}");
    let left: Vec<_> = std::fs::read_dir(base.join("runs/base/checkpoints")).unwrap().collect();
    assert_eq!(left.len(), 1, "the unfinished checkpoint is gone, the good one is there: {left:?}");
    assert_eq!(before, final_weights(base, "base", 5));
    succeed(base, &base_args("base", 10));
    assert_eq!(after, final_weights(base, "base", 10));
}

#[test]
fn the_profile_comes_on_standard_error_and_leaves_the_output_alone() {
    let dir = tempfile::tempdir().unwrap();
    let args = "bench train --depth 1 --n-embd 32 --n-head 2 --vocab 300 --seq-len 16 --batch 2 --steps 2 --warmup 1";
    let out = run(dir.path(), &format!("{args} --profile --json"));
    let result: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(result["steps_ms"].as_array().unwrap().len(), 2);
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    let profile: serde_json::Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    let kernels = profile["profile"]["kernels"].as_array().unwrap();
    let matmul = kernels.iter().find(|k| k["kernel"] == "matmul").unwrap();
    // Forward: 6 weights and the head; backward: twice each. (Newton-Schulz multiplies by itself.)
    assert_eq!(matmul["calls"], 3 * 21);
    assert!(
        matmul["flops"].as_f64().unwrap() > 0.0 && matmul["of_roofline"].as_f64().unwrap() > 0.0,
        "{matmul}"
    );
    let total: f64 = kernels.iter().map(|k| k["ms"].as_f64().unwrap()).sum();
    let rest = profile["profile"]["everything_else_ms"].as_f64().unwrap();
    assert!((total + rest - profile["profile"]["wall_ms"].as_f64().unwrap()).abs() < 1.0, "{profile}");
    let weights = &profile["memory"]["persistent"][0];
    assert_eq!((&weights["label"], &weights["bytes"]), (&"weights".into(), &weights["formula"]));
    let text = run(dir.path(), &format!("{args} --profile"));
    let text = String::from_utf8_lossy(&text.stderr).into_owned();
    assert!(text.contains("everything else") && text.contains("made by linear"), "{text}");
}

#[test]
fn bench_decode_times_the_prompt_and_the_tokens_apart() {
    let dir = tempfile::tempdir().unwrap();
    let args = "bench decode --depth 1 --n-embd 32 --n-head 2 --vocab 300 --prompt 9 --new 5 --batch 3 --dtype bf16 --json";
    let out = run(dir.path(), args);
    let result: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(result["steps_ms"].as_array().unwrap().len(), 5);
    for part in ["prefill", "decode"] {
        let of = |key: &str| result[part][key].as_f64().unwrap_or(f64::NAN);
        assert!(of("tokens_per_s") > 0.0 && of("of_peak") > 0.0 && of("of_bound") > 0.0, "{result}");
    }
    // The head and 12·C² of the block, two bytes each.
    assert_eq!(result["matrix_bytes"], 2.0 * (300.0 * 32.0 + 12.0 * 32.0 * 32.0));
    let out = run(dir.path(), "bench decode --new 0");
    assert_eq!(out.status.code(), Some(2));
}
