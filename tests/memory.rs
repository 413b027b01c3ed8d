//! Memory: the second step takes nothing new from the system, and the peak is what the formula says.
#![allow(clippy::unwrap_used)]

use model::{GptConfig, GptOptions};
use tensor::{Device, memory};
use tests::{LeakCheck, model, random_batch};
use train::optim::{Hyper, Optimizer, StepSettings};
use train::trainer;

const SETTINGS: StepSettings =
    StepSettings { lr_multiplier: 1.0, muon_momentum: 0.9, muon_weight_decay: 0.0 };

// One test, because the statistics are the process's own and tests run side by side.
#[test]
fn a_step_reuses_memory_and_peaks_where_the_formula_says() {
    let _leaks = LeakCheck::default();
    let (b, t) = (4, 128);
    let config = GptConfig {
        sequence_len: t,
        vocab_size: 2048,
        n_layer: 4,
        n_head: 2,
        n_kv_head: 2,
        n_embd: 128,
        ..GptConfig::default()
    };
    let plan = config.memory_plan(b, t).unwrap();
    let mut gpt = model(config.clone(), 1, GptOptions::default());
    let mut optimizer = Optimizer::new(gpt.params(), Hyper::classic(128)).unwrap();
    let mut seed = 0;
    let mut step = || {
        let next = || {
            seed += 1;
            Ok(random_batch(&config, b, t, seed, Device::Cpu))
        };
        trainer::step(&mut gpt, &mut optimizer, 2, next, SETTINGS, 1.0).unwrap();
    };
    step();
    let first = memory::stats(Device::Cpu);
    memory::reset_peak(Device::Cpu);
    step();
    step();
    let later = memory::stats(Device::Cpu);
    assert_eq!(
        first.system_allocations, later.system_allocations,
        "a later step took memory from the system"
    );
    assert_eq!(first.live_bytes, later.live_bytes, "a step leaves memory behind");

    let formula = plan.total();
    let ratio = later.peak_bytes as f64 / formula as f64;
    assert!(ratio <= 1.15, "peak {} is {ratio:.3} of the formula's {formula}", later.peak_bytes);
    assert!(
        ratio > 0.7,
        "the formula ({formula}) describes something else than what ran ({})",
        later.peak_bytes
    );
}
