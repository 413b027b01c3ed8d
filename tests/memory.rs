//! Memory: a second training step takes nothing new from the system, and its peak is what the formula says; an engine's peak
//! is that of its configuration, however many ask.
#![allow(clippy::unwrap_used)]

use model::cache::PAGE_LEN;
use model::scaling::CurrentLrs;
use model::{Family, GptConfig, GptOptions, Part};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tensor::{Device, memory};
use tests::{LeakCheck, model, random_batch};
use tokenizer::Tokenizer;
use train::engine::gpt::{GptForward, page_bytes};
use train::engine::{Engine, Limits, Request};
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

/// One test at a time, because the statistics are the process's own.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_step_reuses_memory_and_peaks_where_the_formula_says() {
    let _alone = alone();
    for family in [Family::Classic, Family::Current] {
        let sizes = GptConfig { sequence_len: 128, vocab_size: 2048, n_layer: 4, ..GptConfig::of(family) };
        let config = GptConfig { n_head: 2, n_kv_head: 2, n_embd: 128, ..sizes };
        reuses_memory_and_peaks_where_the_formula_says(&config, &format!("{family:?}"));
        let gated = config.with(Part::GatedMlp).unwrap();
        reuses_memory_and_peaks_where_the_formula_says(&gated, &format!("{family:?}, gated"));
    }
}

/// The most that tensors take while `asked` requests are served, of whom some are called off, and how often a row gave way.
fn peak_of_serving(asked: usize) -> (usize, u64) {
    let _leaks = LeakCheck::default();
    let (rows, pages, context) = (6, 9, 128);
    let config = GptConfig { sequence_len: context, vocab_size: 265, ..tests::small_config() };
    let gpt = model(config, 1, GptOptions::default()).for_inference(None).unwrap();
    let tokenizer = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
    let before = memory::stats(Device::Cpu).live_bytes;
    let forward = GptForward::new(&gpt, pages).unwrap();
    let pool = memory::stats(Device::Cpu).live_bytes - before;
    assert!(pool >= pages * page_bytes(&gpt) && pool < pages * page_bytes(&gpt) + 4096, "{pool}");
    memory::reset_peak(Device::Cpu);
    let mut engine = Engine::new(forward, &tokenizer, Limits { rows, waiting: asked, chunk: 48, context });
    for i in 0..asked {
        let prompt: Vec<u32> = (0..PAGE_LEN - 20).map(|k| ((i * 31 + k * 7) % 256) as u32).collect();
        let id = engine.submit(Request::greedy(prompt, 50)).unwrap();
        if i % 7 == 6 {
            engine.cancel(id);
        }
    }
    while !engine.is_idle() {
        engine.step().unwrap();
    }
    let (stats, after) = (engine.stats(), memory::stats(Device::Cpu));
    assert_eq!(stats.pages_used, 0);
    // The tables of the last rows stay until others take part.
    assert!(
        after.live_bytes < before + pool + 4096,
        "{} bytes are left behind",
        after.live_bytes - before - pool
    );
    (after.peak_bytes - before, stats.paused)
}

#[test]
fn an_engine_takes_the_same_memory_however_many_ask() {
    let _alone = alone();
    let (few, _) = peak_of_serving(12);
    let (many, paused) = peak_of_serving(150);
    assert!(paused > 0, "the pages were never short");
    assert!(many <= few + few / 50, "{many} bytes for many, {few} for few");
}
