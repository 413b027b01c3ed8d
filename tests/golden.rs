//! Comparison with the original: every reference dump of the folder that NANOCHAT_GOLDENS names, and numbers small enough
//! to stand here.
//!
//! The small ones need no file. A classic model whose weights are a formula, `0.15·sin(0.7·i + p)` for element i of tensor
//! p, was run by the original on the CPU in f32; its logits, loss and the norms of some gradients are the table below.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use autograd::Tape;
use autograd::ops::lm_head_loss::mean_weights;
use model::{Gpt, GptConfig, GptOptions, RopeTable};
use std::io::Write;
use std::path::PathBuf;
use tensor::{DType, Device, Tensor};
use tests::LeakCheck;
use train::parity::{self, Options, Row, Status};

/// To the terminal past the test harness, which hides what a passing test prints.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn every_reference_dump_agrees() {
    let _leaks = LeakCheck::default();
    let Some(folder) = std::env::var_os("NANOCHAT_GOLDENS").filter(|v| !v.is_empty()).map(PathBuf::from)
    else {
        return say("notice: NANOCHAT_GOLDENS is not set, reference dumps are not compared");
    };
    let options = Options { allow_skip: true, goldens: Some(folder.clone()), device: Device::Cpu };
    let mut failures = Vec::new();
    let mut on_row = |row: &Row| match row.status {
        Status::Ok => {}
        Status::Skip => say(&format!("notice: {row}")),
        _ => failures.push(row.to_string()),
    };
    let summary = parity::run(&[folder], &options, &mut on_row).unwrap();
    say(&format!("notice: reference dumps: {summary}"));
    assert!(summary.passed() && failures.is_empty(), "{summary}\n{}", failures.join("\n"));
    assert!(summary.ok > 0, "everything was skipped");
}

/// Tensor number p of the formula model.
fn formula(p: usize, name: &str, dims: &[usize]) -> Tensor {
    let a = if name == "transformer.wte.weight" { 0.5 } else { 0.15 };
    let n: usize = dims.iter().product();
    let data: Vec<f32> = (0..n).map(|i| (a * (0.7 * i as f64 + p as f64).sin()) as f32).collect();
    Tensor::from_slice(&data, dims, Device::Cpu).unwrap()
}

/// The formula model, its 160 ids and its targets, of which the first five are ignored.
fn formula_model() -> (Gpt, Tensor, Tensor) {
    let sizes = GptConfig { sequence_len: 256, vocab_size: 50, n_layer: 3, ..GptConfig::default() };
    let config = GptConfig { n_head: 2, n_kv_head: 1, n_embd: 32, ..sizes };
    let named = config.param_shapes().into_iter().enumerate();
    let weights = named.map(|(p, (name, dims))| (name.clone(), formula(p, &name, &dims))).collect();
    let options = GptOptions { rope_table: RopeTable::Bf16, ..GptOptions::default() };
    let id = |t: i32| (7 * t * t + 3 * t + 1) % 50;
    let ids: Vec<i32> = (0..160).map(id).collect();
    let targets: Vec<i32> = (0..160).map(|t| if t < 5 { -1 } else { id(t + 1) }).collect();
    let ids = Tensor::ids(&ids, &[1, 160], Device::Cpu).unwrap();
    let targets = Tensor::ids(&targets, &[160], Device::Cpu).unwrap();
    (Gpt::from_weights(config, weights, options).unwrap(), ids, targets)
}

#[track_caller]
fn close(what: &str, ours: &[f64], theirs: &[f64], relative: f64, absolute: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= absolute + relative * b.abs(), "{what}: {ours:?} instead of {theirs:?}");
    }
}

#[test]
fn the_formula_model_has_the_original_logits() {
    let _leaks = LeakCheck::default();
    let (gpt, ids, _) = formula_model();
    let logits = gpt.all_logits(&ids).unwrap().to_f64_vec();
    let rows: [(usize, &[f64]); 4] = [
        (0, &[-1.144570, 1.195643, -1.050335, 0.731923]),
        (1, &[0.497176, -0.847321, 1.057507, -1.093747]),
        (7, &[-0.924013, 0.700966, -0.362065, -0.036902]),
        (159, &[-0.742608, 0.418172, -0.024394, -0.373436, 0.709320, -0.927984]),
    ];
    for (row, theirs) in rows {
        close(&format!("row {row}"), &logits[row * 50..][..theirs.len()], theirs, 0.0, 1e-5);
    }
    close("sum", &[logits.iter().sum()], &[5.345747], 0.0, 2e-3);

    let prefix = gpt.all_logits(&ids.narrow(1, 0, 8).unwrap()).unwrap().to_f64_vec();
    close("a prefix", &prefix[7 * 50..], &logits[7 * 50..8 * 50], 0.0, 1e-6);
}

#[test]
fn the_formula_model_has_the_original_loss_and_gradients() {
    let _leaks = LeakCheck::default();
    let (gpt, ids, targets) = formula_model();
    let (mean, count) = mean_weights(&targets, DType::F32).unwrap();
    assert_eq!(count, 155);
    let tape = Tape::new();
    let [loss, _] = gpt.loss(&ids, &targets, &mean, Some(&tape)).unwrap();
    loss.backward(1.0).unwrap();
    close("loss", &[loss.value().item().unwrap()], &[4.2140198], 0.0, 2e-6);
    let norms = [
        ("transformer.wte", 6.612876e-2),
        ("transformer.h.0.attn.c_q", 3.8955e-3),
        ("transformer.h.0.attn.c_k", 5.8658e-3),
        ("transformer.h.0.attn.c_v", 1.035547e-1),
        ("transformer.h.0.attn.c_proj", 4.018111e-1),
        ("transformer.h.0.mlp.c_fc", 8.068843e-1),
        ("transformer.h.0.mlp.c_proj", 1.894955),
        ("transformer.h.1.attn.c_q", 7.5977e-4),
        ("transformer.h.2.attn.c_q", 7.6028e-4),
        ("transformer.h.2.mlp.c_fc", 4.461121e-1),
        ("transformer.h.2.mlp.c_proj", 2.481069e-1),
        ("lm_head", 9.977332e-1),
    ];
    for (name, theirs) in norms {
        let p = gpt.params().iter().find(|p| p.name == format!("{name}.weight")).unwrap();
        let norm = p.grad().get().unwrap().sum_squares().unwrap().sqrt();
        close(name, &[norm], &[theirs], 1e-4, 0.0);
    }
}
