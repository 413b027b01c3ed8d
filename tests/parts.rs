//! Every part of the architecture switched: each such model trains, decodes as it was trained, and is the same when prepared for
//! drawing tokens. And what the options claim to be: which of them change a number, and which only its form.
#![allow(clippy::unwrap_used)]

use autograd::Tape;
use model::scaling::CurrentLrs;
use model::{Family, Gpt, GptConfig, GptOptions, Part, Quantize};
use tensor::{DType, Device, Tensor};
use tests::{LeakCheck, model, random_batch};
use train::optim::{Hyper, Optimizer, StepSettings};
use train::trainer;

fn small(family: Family) -> GptConfig {
    let sizes = GptConfig { sequence_len: 32, vocab_size: 50, n_layer: 4, ..GptConfig::of(family) };
    GptConfig { n_head: 2, n_kv_head: 2, n_embd: 64, ..sizes }
}

/// Each family as it is, and with one part switched.
fn all_models() -> Vec<(String, GptConfig)> {
    let mut all = Vec::new();
    for family in [Family::Classic, Family::Current] {
        all.push((format!("{family:?}"), small(family)));
        for part in Part::EVERY {
            let config = small(family);
            let has = config.has(part);
            let changed = if has { config.without(part) } else { config.with(part) };
            let sign = if has { "without" } else { "with" };
            all.push((format!("{family:?} {sign} {}", part.name()), changed.unwrap()));
        }
    }
    all
}

fn hyper(config: &GptConfig) -> Hyper {
    match config.family {
        Family::Current => Hyper::current(CurrentLrs::default().scaled_to(config.n_embd, 0.5)),
        _ => Hyper::classic(config.n_embd),
    }
}

/// Losses of steps on one batch.
fn learn(gpt: &mut Gpt, steps: usize) -> Vec<f64> {
    let config = gpt.config().clone();
    let mut optimizer = Optimizer::new(gpt.params(), hyper(&config)).unwrap();
    let settings = StepSettings { lr_multiplier: 1.0, muon_momentum: 0.9, muon_weight_decay: 0.1 };
    let mut step = || {
        let next = || Ok(random_batch(&config, 2, 24, 1, Device::Cpu));
        trainer::step(gpt, &mut optimizer, 1, next, settings, 1.0).unwrap().loss
    };
    (0..steps).map(|_| step()).collect()
}

#[test]
fn a_model_with_any_part_switched_trains_and_decodes_as_it_was_trained() {
    let _leaks = LeakCheck::default();
    for (what, config) in all_models() {
        let mut gpt = model(config, 3, GptOptions::default());
        let before: Vec<Vec<f64>> = gpt.params().iter().map(|p| p.value().to_f64_vec()).collect();
        let losses = learn(&mut gpt, 20);
        assert!((losses[0] - 50f64.ln()).abs() < 0.1, "{what} begins with {}", losses[0]);
        assert!(losses[19] < 0.6 * losses[0], "{what} does not learn: {losses:?}");
        for (p, before) in gpt.params().iter().zip(before) {
            assert_ne!(p.value().to_f64_vec(), before, "{what}: {} has not moved", p.name);
        }

        let ids = random_batch(gpt.config(), 2, 24, 5, Device::Cpu).ids;
        let full = gpt.all_logits(&ids).unwrap().reshape(&[2, 24, 50]).unwrap();
        let at = |t: usize| full.narrow(1, t, 1).unwrap().to_f64_vec();
        let close = |ours: &Tensor, want: Vec<f64>, tolerance: f64, what: &str| {
            let off = ours.to_f64_vec().iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off <= tolerance, "{what}: off by {off}");
        };
        let decode = |gpt: &Gpt, tolerance: f64, what: &str| {
            let (mut cache, mut end) = (gpt.cache(2, 24).unwrap(), 0);
            for len in [7, 1, 13, 1, 2] {
                let part = ids.narrow(1, end, len).unwrap();
                end += len;
                close(&gpt.logits_cached(&part, &mut cache).unwrap(), at(end - 1), tolerance, what);
            }
        };
        decode(&gpt, 1e-4, &what);
        let bytes = gpt.matrix_bytes();
        let weights: Vec<_> = gpt.params().iter().map(|p| (p.name.clone(), p.value().clone())).collect();
        let again = |quantize| {
            let gpt = Gpt::from_weights(gpt.config().clone(), weights.clone(), gpt.options()).unwrap();
            gpt.for_inference(quantize).unwrap()
        };
        let packed = again(None);
        decode(&packed, 1e-4, &format!("{what}, prepared"));
        // Rows that pad the vocabulary are not read.
        let padding = (gpt.config().padded_vocab() - 50) * 64 * 4;
        assert_eq!(packed.matrix_bytes(), bytes - padding, "{what}");
        decode(&again(Some(Quantize::Int8)), 1.0, &format!("{what}, int8"));
    }
}

/// A model of the reference device with weights of no special kind; `change` may alter them.
fn formula(config: &GptConfig, change: impl Fn(&str, Vec<f64>) -> Vec<f64>) -> Gpt {
    let weight = |(p, (name, dims)): (usize, (String, Vec<usize>))| {
        let wave = |i: usize| 0.3 * (0.7 * i as f64 + p as f64).sin();
        let share = if name == "resid_lambdas" { 1.0 } else { 0.0 };
        let values = (0..dims.iter().product()).map(|i| share + wave(i)).collect();
        let values = change(&name, values);
        (name, Tensor::from_f64(&values, &dims, DType::F64, Device::Reference).unwrap())
    };
    let weights = config.param_shapes().into_iter().enumerate().map(weight).collect();
    let options = GptOptions { device: Device::Reference, compute: DType::F64, ..GptOptions::default() };
    Gpt::from_weights(config.clone(), weights, options).unwrap()
}

fn logits(gpt: &Gpt) -> Vec<f64> {
    let ids: Vec<i32> = (0..12).map(|t| (7 * t * t + 3 * t + 1) % 50).collect();
    gpt.all_logits(&Tensor::ids(&ids, &[1, 12], Device::Reference).unwrap()).unwrap().to_f64_vec()
}

fn furthest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn neighbouring_pairs_are_halves_of_queries_and_keys_in_another_order() {
    for family in [Family::Classic, Family::Current] {
        let halves = small(family);
        let pairs = halves.clone().with(Part::AdjacentPairs).unwrap();
        let (d, c) = (halves.head_dim(), halves.n_embd);
        // Rows of each head: 1, 3, 5, … and then 0, 2, 4, …
        let order = |name: &str, w: Vec<f64>| match name.contains("c_q") || name.contains("c_k") {
            false => w,
            true => (0..w.len() / c)
                .flat_map(|row| {
                    let (head, i) = (row / d, row % d);
                    let from = if i < d / 2 { 2 * i + 1 } else { 2 * (i - d / 2) };
                    w[(head * d + from) * c..][..c].to_vec()
                })
                .collect(),
        };
        let as_they_are = |_: &str, w: Vec<f64>| w;
        let (ours, want) = (logits(&formula(&pairs, as_they_are)), logits(&formula(&halves, order)));
        assert!(furthest(&ours, &want) < 1e-9, "{family:?}");
        assert!(furthest(&ours, &logits(&formula(&halves, as_they_are))) > 1e-4, "{family:?}: no difference");
    }
}

#[test]
fn a_norm_before_the_rotation_is_the_norm_after_it() {
    for family in [Family::Classic, Family::Current] {
        let after = small(family);
        let before = after.clone().with(Part::NormBeforeRope).unwrap();
        let [a, b] = [after, before].map(|config| logits(&formula(&config, |_, w| w)));
        assert!(furthest(&a, &b) < 1e-6, "{family:?}: a rotation keeps the length");
    }
}

#[test]
fn a_gated_mlp_of_the_series_has_as_many_numbers_as_the_plain_one() {
    let plain = GptConfig::classic_from_depth(12, 32768, 1024).unwrap();
    let gated = plain.clone().with(Part::GatedMlp).unwrap();
    assert_eq!((gated.mlp_width(), gated.num_params()), (2048, plain.num_params()));
    assert_eq!(gated.flops_per_token(), plain.flops_per_token());
}

#[test]
fn an_embedding_that_is_the_head_gets_both_gradients_and_saves_one_matrix() {
    for family in [Family::Classic, Family::Current] {
        let own = small(family);
        let tied = own.clone().with(Part::TiedHead).unwrap();
        assert_eq!(own.num_params() - tied.num_params(), own.params_by_group().lm_head);
        assert_eq!(own.flops_per_token(), tied.flops_per_token());
        assert_eq!(
            (own.decode_flops(9), own.prefill_flops(9)),
            (tied.decode_flops(9), tied.prefill_flops(9))
        );
        assert_eq!(own.scaling_params(), tied.scaling_params());
        // The same numbers in both matrices of an untied model: its two gradients are the parts of the sum.
        let embedding = |gpt: &Gpt, name: &str| {
            let p = gpt.params().iter().find(|p| p.name == name).unwrap();
            (p.value().to_f64_vec(), p.grad().get().map(|g| g.to_f64_vec()))
        };
        let backward = |gpt: &Gpt| {
            let batch = random_batch(gpt.config(), 1, 12, 3, Device::Reference);
            let tape = Tape::new();
            let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape)).unwrap();
            loss.backward(1.0).unwrap();
        };
        let tied = formula(&tied, |_, w| w);
        backward(&tied);
        let (matrix, both) = embedding(&tied, "transformer.wte.weight");
        let weights = tied.params().iter().map(|p| (p.name.clone(), p.value().clone())).collect::<Vec<_>>();
        let of = |name: &str| weights.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        let untied = own.param_shapes().into_iter().map(|(name, _)| {
            let from = if name == "lm_head.weight" { "transformer.wte.weight" } else { &name };
            (name.clone(), of(from).unwrap().copied().unwrap())
        });
        let untied = Gpt::from_weights(own.clone(), untied.collect(), tied.options()).unwrap();
        backward(&untied);
        let (same, below) = embedding(&untied, "transformer.wte.weight");
        let (_, above) = embedding(&untied, "lm_head.weight");
        assert_eq!(matrix, same);
        let sum: Vec<f64> = below.unwrap().iter().zip(above.unwrap()).map(|(a, b)| a + b).collect();
        assert!(furthest(&both.unwrap(), &sum) < 1e-12);
    }
}

#[test]
fn an_embedding_that_is_the_head_moves_as_a_head() {
    let config = small(Family::Classic).with(Part::TiedHead).unwrap();
    let mut gpt = model(config, 1, GptOptions::default());
    let before = gpt.params()[0].value().to_f64_vec();
    learn(&mut gpt, 1);
    let moved = furthest(&gpt.params()[0].value().to_f64_vec(), &before);
    // AdamW's first step is the learning rate: 0.004·√(768/64), not 0.2·√(768/64).
    assert!((moved - 0.004 * 12f64.sqrt()).abs() < 1e-4, "{moved}");
}
