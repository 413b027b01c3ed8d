//! `--device cuda` as a user types it, on a machine without a GPU: NVIDIA's driver and cuBLAS are a library on top of the emulator
//! (`emulator-libcuda`), named by the variables that name a driver anywhere. Everything between the command line and the driver's
//! functions is what runs on a GPU.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn library() -> PathBuf {
    emulator_libcuda::library().expect("cargo builds the library before its tests")
}

/// The binary in this folder, with a GPU that the library is, checked no more than it must be.
fn nanochat(base: &Path, args: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanochat"));
    command.current_dir(base).env("NANOCHAT_BASE_DIR", base).stdin(Stdio::null());
    command.env("NANOCHAT_LIBCUDA", library()).env("NANOCHAT_LIBCUBLAS", library());
    command.env("NANOCHAT_LIBNVRTC", "none").env("EMULATOR_LIBCUDA_CHECKS", "none");
    command.envs(variables.iter().copied()).args(args.split_whitespace()).output().unwrap()
}

fn succeed(base: &Path, args: &str) -> String {
    let out = nanochat(base, args, &[]);
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "nanochat {args}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

fn refused(base: &Path, args: &str, variables: &[(&str, &str)], message: &str) {
    let out = nanochat(base, args, variables);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "nanochat {args}\n{stderr}");
    assert!(stderr.contains(message), "nanochat {args}: {stderr:?} should mention {message:?}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn written(base: &Path, file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(base.join(file)).unwrap()).unwrap()
}

#[test]
fn selftest_compares_every_kernel_with_the_emulator_and_writes_the_differences() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        succeed(dir.path(), "selftest --device cuda --against emulated --filter norm --max-elements 300");
    assert!(text.contains("all passed") && text.contains("written to nanochat-selftest.json"), "{text}");
    let report = written(dir.path(), "nanochat-selftest.json");
    assert_eq!(
        (&report["device"], &report["against"], &report["failed"]),
        (&"cuda".into(), &"emulated".into(), &0.into())
    );
    assert!(report["gpu"]["name"].as_str().unwrap().contains("emulator") && report["gpu"]["cublas"] == true);
    let (mut kernels, mut operations) = (0, 0);
    for line in report["lines"].as_array().unwrap() {
        assert!(line["checks"].as_u64().unwrap() > 5, "{line}");
        if line["kind"] == "operation" {
            operations += 1;
            continue;
        }
        kernels += 1;
        // this GPU is the emulator, so a difference would be made on the way
        let beside = &line["beside"];
        assert!(beside["elements"].as_u64().unwrap() > 0 && beside["different"] == 0, "{line}");
    }
    assert!(kernels >= 6 && operations >= 3, "{kernels} kernels, {operations} operations");
}

#[test]
fn bench_kernels_times_launches_and_writes_the_times() {
    let dir = tempfile::tempdir().unwrap();
    let args = "bench kernels --device cuda --filter accumulate/d12 --dtype bf16 --seconds 0.001 --output times.json";
    let text = succeed(dir.path(), args);
    assert!(text.contains("accumulate/d12.hidden") && text.contains("GB/s"), "{text}");
    let report = written(dir.path(), "times.json");
    let rows = report["kernels"].as_array().unwrap();
    assert!(!rows.is_empty() && report["complete"] == true && report["failures"] == Value::Array(vec![]));
    for row in rows {
        assert_eq!(row["launches"].as_array().unwrap().len(), 1, "{row}");
        // a driver in software has no events' time: the report says whose clock it was
        assert!(row["ms"].as_f64().unwrap() > 0.0 && row["clock"] == "host", "{row}");
    }
}

#[test]
fn a_model_is_trained_measured_evaluated_and_talked_to() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    succeed(base, "data synth --documents 300 --conversations 120 --test-per-kind 20 --seed 3");
    succeed(base, "tok train --vocab-size 300");
    let shape =
        "--n-layer 1 --n-embd 32 --n-head 2 --max-seq-len 16 --device-batch-size 2 --total-batch-size 32";
    let train = |run: &str, device: &str| {
        succeed(
            base,
            &format!("train base --run {run} {shape} --num-iterations 3 --eval-tokens 64 --device {device}"),
        );
        let lines = std::fs::read_to_string(base.join(format!("runs/{run}/metrics.jsonl"))).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["loss"].as_f64()).collect::<Vec<f64>>()
    };
    let (gpu, cpu) = (train("gpu", "cuda"), train("cpu", "cpu"));
    assert!(gpu.len() >= 3, "{gpu:?}");
    assert!(gpu.iter().zip(&cpu).all(|(a, b)| (a - b).abs() <= 1e-4), "{gpu:?} and {cpu:?}");
    // a run of one device goes on, is measured and answers on another
    let bpb = |device: &str| {
        let eval = succeed(base, &format!("eval base --run gpu --eval-tokens 64 --json --device {device}"));
        serde_json::from_str::<Value>(&eval).unwrap()["val_bpb"].as_f64().unwrap()
    };
    assert!((bpb("cuda") - bpb("cpu")).abs() <= 1e-4);
    let step =
        "bench train --depth 1 --n-embd 32 --n-head 2 --vocab 64 --seq-len 16 --batch 1 --steps 1 --warmup 0";
    let timed: Value = serde_json::from_str(&succeed(base, &format!("{step} --json --device cuda"))).unwrap();
    assert!(
        timed["device"] == "cuda" && timed["of_peak"].is_null(),
        "the CPU's roof is not the GPU's: {timed}"
    );
}

#[test]
fn a_step_that_does_not_fit_says_what_plan_would_have_said_and_leaves_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    succeed(base, "data synth --documents 300 --conversations 120 --test-per-kind 20 --seed 3");
    succeed(base, "tok train --vocab-size 300");
    let train = "train base --n-layer 1 --n-embd 32 --n-head 2 --max-seq-len 16 --eval-tokens 64 --device cuda --resume \
                 --device-batch-size 128 --total-batch-size 2048 --num-iterations 2 --save-every 1";
    succeed(base, train);
    let checkpoints = base.join("runs/base/checkpoints");
    std::fs::remove_dir_all(checkpoints.join("step_000002")).unwrap();
    let state = || std::fs::read(checkpoints.join("step_000001/model.safetensors")).unwrap();
    let before = state();
    let small = [("EMULATOR_LIBCUDA_DEVICE", "memory=2000000")];
    refused(base, train, &small, "a step of 128 rows needs at least");
    refused(base, train, &small, "fit: use --device-batch-size");
    assert!(state() == before, "the checkpoint is as it was");
    succeed(base, "eval base --run base --eval-tokens 64 --device cuda");
}

#[test]
fn what_is_wrong_with_a_gpu_is_said_before_anything_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    let selftest = "selftest --device cuda --filter relu_squared";
    refused(base, selftest, &[("NANOCHAT_LIBCUDA", "none")], "no CUDA driver");
    refused(base, selftest, &[("EMULATOR_LIBCUDA_DEVICE", "driver=11080")], "too old (CUDA 11.8)");
    refused(base, selftest, &[("EMULATOR_LIBCUDA_DEVICE", "capability=75")], "compute capability 7.5");
    refused(base, &selftest.replace("cuda", "cuda:2"), &[], "there is no GPU 2");
    // and `doctor` says it among the other facts
    let out = nanochat(
        base,
        "doctor --device cuda --no-measure --json",
        &[("EMULATOR_LIBCUDA_DEVICE", "capability=75")],
    );
    let facts: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(facts["cuda"]["gpu"].is_null(), "{}", facts["cuda"]);
    assert!(facts["cuda"]["why_not"].as_str().unwrap().contains("7.5"), "{}", facts["cuda"]);
    let out = nanochat(base, "doctor --no-measure --json", &[]);
    let facts: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(facts["cuda"]["gpu"].as_str().unwrap().contains("compute capability 9.0"), "{}", facts["cuda"]);
    assert_eq!(facts["cuda"]["matrix_products"], "cuBLAS");
}
