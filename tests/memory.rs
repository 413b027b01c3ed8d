//! Memory: the second step takes nothing new from the system, and the peak is what the formula says.
#![allow(clippy::unwrap_used)]

use model::scaling::CurrentLrs;
use model::{Family, GptConfig, GptOptions, Part};
use tensor::{Device, memory};
use tests::{LeakCheck, model, random_batch};
use train::optim::{Hyper, Optimizer, StepSettings};
use train::trainer;

const SETTINGS: StepSettings =
    StepSettings { lr_multiplier: 1.0, muon_momentum: 0.9, muon_weight_decay: 0.0 };

/// The optimizer of a family.
fn hyper(config: &GptConfig) -> Hyper {
    match config.family {
        Family::Current => Hyper::current(CurrentLrs::default()),
        _ => Hyper::classic(config.n_embd),
    }
}

fn reuses_memory_and_peaks_where_the_formula_says(config: &GptConfig, what: &str) {
    let _leaks = LeakCheck::default();
    let (b, t) = (4, config.sequence_len);
    let plan = config.memory_plan(b, t);
    let mut gpt = model(config.clone(), 1, GptOptions::default());
    let mut optimizer = Optimizer::new(gpt.params(), hyper(config)).unwrap();
    let mut seed = 0;
    let mut step = || {
        let next = || {
            seed += 1;
            Ok(random_batch(config, b, t, seed, Device::Cpu))
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
        "{what}: a later step took memory from the system"
    );
    assert_eq!(first.live_bytes, later.live_bytes, "{what}: a step leaves memory behind");

    let formula = plan.total();
    let ratio = later.peak_bytes as f64 / formula as f64;
    assert!(ratio <= 1.15, "{what}: peak {} is {ratio:.3} of the formula's {formula}", later.peak_bytes);
    assert!(
        ratio > 0.7,
        "{what}: the formula ({formula}) describes something else than what ran ({})",
        later.peak_bytes
    );
}

// One test, because the statistics are the process's own and tests run side by side.
#[test]
fn a_step_reuses_memory_and_peaks_where_the_formula_says() {
    for family in [Family::Classic, Family::Current] {
        let sizes = GptConfig { sequence_len: 128, vocab_size: 2048, n_layer: 4, ..GptConfig::of(family) };
        let config = GptConfig { n_head: 2, n_kv_head: 2, n_embd: 128, ..sizes };
        reuses_memory_and_peaks_where_the_formula_says(&config, &format!("{family:?}"));
        let gated = config.with(Part::GatedMlp).unwrap();
        reuses_memory_and_peaks_where_the_formula_says(&gated, &format!("{family:?}, gated"));
    }
}
