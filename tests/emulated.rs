//! A model on CUDA's kernels, run by the emulator: it trains as on the CPU, and its cached decoding equals full decoding.
//!
//! The model is the same code on another device. What differs is the order of sums, so the losses of both drift apart by
//! roundings that the steps amplify; the bound below is seven times what was seen.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and says what it leaves out

use model::{Gpt, GptConfig, GptOptions};
use std::path::PathBuf;
use tensor::{DType, Device};
use tests::{LeakCheck, model, random_batch, small_config};
use train::optim::{Hyper, Optimizer, StepSettings};
use train::parity::{self, Options, Row, Status};
use train::trainer;

const SETTINGS: StepSettings =
    StepSettings { lr_multiplier: 1.0, muon_momentum: 0.9, muon_weight_decay: 0.0 };

/// One layer with two query heads that share their keys.
fn tiny() -> GptConfig {
    GptConfig {
        sequence_len: 16,
        vocab_size: 80,
        n_layer: 1,
        n_head: 2,
        n_kv_head: 1,
        n_embd: 32,
        ..small_config()
    }
}

/// The losses of `n` steps of a fresh model that sees three batches again and again, and the model.
fn trained(device: Device, compute: DType, n: u64) -> (Vec<f64>, Gpt) {
    let config = tiny();
    let mut gpt = model(config.clone(), 1, GptOptions { device, compute, ..GptOptions::default() });
    let mut optimizer = Optimizer::new(gpt.params(), Hyper::classic(config.n_embd)).unwrap();
    let step = |i| {
        let next = || Ok(random_batch(&config, 2, 16, i % 3, device));
        trainer::step(&mut gpt, &mut optimizer, 1, next, SETTINGS, 1.0).unwrap().loss
    };
    ((0..n).map(step).collect(), gpt)
}

#[test]
fn twenty_steps_lose_what_they_lose_on_the_cpu() {
    let _leaks = LeakCheck::default();
    for (compute, steps) in [(DType::F32, 20), (DType::Bf16, 10)] {
        let [(cpu, _), (emulated, _)] = [Device::Cpu, Device::Emulated].map(|d| trained(d, compute, steps));
        let apart = cpu.iter().zip(&emulated).map(|(a, b)| (a - b).abs());
        assert!(apart.clone().take(2).all(|d| d < 1e-6), "{compute}: {cpu:?} and {emulated:?}");
        assert!(apart.into_iter().all(|d| d <= 1e-2), "{compute}: {cpu:?} and {emulated:?}");
        assert!(emulated[steps as usize - 1] < 0.9 * emulated[0], "{compute}: {emulated:?}");
    }
}

/// The step reads all losses and the gradient's norm together, when everything is launched; nothing else makes the host wait, and from
/// the second step on nothing new is asked of the device's memory.
#[test]
fn a_step_waits_for_its_results_alone() {
    let config = tiny();
    let device = Device::DryRun;
    let mut gpt =
        model(config.clone(), 1, GptOptions { device, compute: DType::Bf16, ..GptOptions::default() });
    let mut optimizer = Optimizer::new(gpt.params(), Hyper::classic(config.n_embd)).unwrap();
    let mut counts = Vec::new();
    for _ in 0..3 {
        let waits = device.memory().unwrap().waits();
        let mut batches = (0..2).map(|i| random_batch(&config, 2, 16, i, device)).collect::<Vec<_>>();
        let made = device.memory().unwrap().waits();
        let asked = tensor::memory::stats(device).system_allocations;
        let step =
            trainer::step(&mut gpt, &mut optimizer, 2, || Ok(batches.pop().unwrap()), SETTINGS, 1.0).unwrap();
        assert_eq!((step.loss, made), (0.0, waits));
        let asked = tensor::memory::stats(device).system_allocations - asked;
        counts.push((device.memory().unwrap().waits() - made, asked));
    }
    assert_eq!(counts[1..], [(1, 0); 2]);
}

/// Twenty steps of the original, which the CPU repeats within these bounds: losses of the first five steps to 1e-4 and of all to 1e-3,
/// the weights after the first step to 1e-4.
#[test]
fn the_original_s_twenty_steps_are_repeated_within_the_cpu_s_bounds() {
    let Some(folder) = std::env::var_os("NANOCHAT_GOLDENS").filter(|v| !v.is_empty()).map(PathBuf::from)
    else {
        return println!("notice: NANOCHAT_GOLDENS is not set, the original's steps are not repeated");
    };
    let options = Options { device: Device::Emulated, allow_skip: false, goldens: Some(folder.clone()) };
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    let mut on_row = |row: &Row| {
        rows.push(row.name.clone());
        failures.extend((row.status != Status::Ok).then(|| row.to_string()));
    };
    let summary = parity::run(&[folder.join("train_curve/g1")], &options, &mut on_row).unwrap();
    assert!(summary.passed() && summary.ok > 10, "{summary}: {failures:#?}");
    assert!(rows.iter().any(|name| name.contains("losses, all steps")), "{rows:?}");
}

#[test]
fn cached_decoding_equals_full_decoding() {
    let _leaks = LeakCheck::default();
    let (_, gpt) = trained(Device::Emulated, DType::F32, 2);
    let ids = random_batch(gpt.config(), 2, 14, 5, Device::Emulated).ids;
    let full = gpt.all_logits(&ids).unwrap().reshape(&[2, 14, 80]).unwrap();
    for chunks in [vec![14], vec![5, 1, 1, 7]] {
        let (mut cache, mut start) = (gpt.cache(2, 16).unwrap(), 0);
        for len in chunks {
            let logits = gpt.logits_cached(&ids.narrow(1, start, len).unwrap(), &mut cache).unwrap();
            start += len;
            let want = full.narrow(1, start - 1, 1).unwrap().to_f64_vec();
            let worst = logits.to_f64_vec().iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 2e-5, "after {start} tokens: {worst}");
        }
    }
}
