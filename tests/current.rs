//! The current family as a model: published numbers, decoding through the cache against the full forward pass, gradients of
//! every weight in f64, with each part on and off.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use autograd::Tape;
use autograd::ops::lm_head_loss::mean_weights;
use model::{Family, Gpt, GptConfig, GptOptions, Part, Parts};
use tensor::{DType, Device, Tensor};
use tests::LeakCheck;

/// Weight number p, element i: `a·sin(0.7·i + p)`, and shares near 1.
fn formula(config: &GptConfig, device: Device) -> Vec<(String, Tensor)> {
    let one = |(p, (name, dims)): (usize, (String, Vec<usize>))| {
        let a = if name == "transformer.wte.weight" { 0.5 } else { 0.15 };
        let wave = |i: usize| f64::from((a * (0.7 * i as f64 + p as f64).sin()) as f32);
        let value = |i| match name.as_str() {
            "resid_lambdas" => 1.0 + 0.1 * wave(i),
            "smear_lambda" if p == 0 => 0.1, // first without mixing, and sin 0 would leave nothing of the smear
            _ => wave(i),
        };
        let data: Vec<f64> = (0..dims.iter().product()).map(value).collect();
        let dtype = if device == Device::Reference { DType::F64 } else { DType::F32 };
        let weight = Tensor::from_f64(&data, &dims, dtype, device).unwrap();
        (name, weight)
    };
    config.param_shapes().into_iter().enumerate().map(one).collect()
}

fn config() -> GptConfig {
    let sizes = GptConfig { sequence_len: 256, vocab_size: 50, n_layer: 3, ..GptConfig::of(Family::Current) };
    GptConfig { n_head: 2, n_kv_head: 1, n_embd: 32, ..sizes }
}

fn ids(n: i32, device: Device) -> (Tensor, Tensor) {
    let id = |t: i32| (7 * t * t + 3 * t + 1) % 50;
    let ids: Vec<i32> = (0..n).map(id).collect();
    let targets: Vec<i32> = (0..n).map(|t| if t < 5 { -1 } else { id(t + 1) }).collect();
    let n = n as usize;
    (Tensor::ids(&ids, &[1, n], device).unwrap(), Tensor::ids(&targets, &[n], device).unwrap())
}

fn gpt(config: &GptConfig, device: Device) -> Gpt {
    let compute = if device == Device::Reference { DType::F64 } else { DType::F32 };
    let options = GptOptions { device, compute, ..GptOptions::default() };
    Gpt::from_weights(config.clone(), formula(config, device), options).unwrap()
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: f64, relative: f64, absolute: f64) {
    assert!(
        (ours - theirs).abs() <= absolute + relative * theirs.abs(),
        "{what}: {ours} instead of {theirs}"
    );
}

#[test]
fn the_formula_model_has_the_published_numbers() {
    let _leaks = LeakCheck::default();
    let gpt = gpt(&config(), Device::Cpu);
    let (ids, targets) = ids(160, Device::Cpu);
    let logits = gpt.all_logits(&ids).unwrap().to_f64_vec();
    let rows: [(usize, &[f64]); 4] = [
        (0, &[0.224816, -0.722723, 1.100523, -1.296740]),
        (1, &[0.908727, -0.495512, -0.000168, 0.495820]),
        (7, &[0.810030, -1.148068, 1.296947, -1.232951]),
        (159, &[1.251660, -1.351559, 1.229724, -0.905475, 0.431102, 0.115218]),
    ];
    for (row, theirs) in rows {
        for (i, theirs) in theirs.iter().enumerate() {
            close(&format!("logit {row},{i}"), logits[row * 50 + i], *theirs, 0.0, 1e-5);
        }
    }
    close("sum", logits.iter().sum(), 5.650452, 0.0, 2e-3);

    let (mean, _) = mean_weights(&targets, DType::F32).unwrap();
    let tape = Tape::new();
    let [loss, _] = gpt.loss(&ids, &targets, &mean, Some(&tape)).unwrap();
    loss.backward(1.0).unwrap();
    close("loss", loss.value().item().unwrap(), 4.2493124, 0.0, 2e-6);
    let norms = [
        ("transformer.wte.weight", 1.261810e-1),
        ("transformer.h.0.attn.c_q.weight", 6.660e-3),
        ("transformer.h.0.attn.c_k.weight", 1.00367e-2),
        ("transformer.h.0.attn.c_v.weight", 1.092135e-1),
        ("transformer.h.0.mlp.c_proj.weight", 1.844671),
        ("transformer.h.1.attn.c_q.weight", 5.1739e-4),
        ("transformer.h.2.mlp.c_fc.weight", 6.192746e-1),
        ("lm_head.weight", 1.017044),
        ("resid_lambdas", 2.395792e-1),
        ("x0_lambdas", 4.493850e-1),
        ("smear_lambda", 3.796955e-2),
        ("smear_gate.weight", 5.427735e-3),
        ("backout_lambda", 3.543697e-2),
        ("transformer.h.0.attn.ve_gate.weight", 6.631411e-3),
        ("transformer.h.2.attn.ve_gate.weight", 1.060073e-3),
        ("value_embeds.0.weight", 1.301768e-2),
        ("value_embeds.2.weight", 2.158223e-3),
    ];
    for (name, theirs) in norms {
        let p = gpt.params().iter().find(|p| p.name == name).unwrap();
        close(name, p.grad().get().unwrap().sum_squares().unwrap().sqrt(), theirs, 2e-4, 0.0);
    }
}

#[test]
fn a_prompt_in_chunks_of_any_size_is_the_whole_prompt() {
    // Windows of 8 in every layer: from position 9 on, the oldest keys are out of sight, and the length is past sequence_len.
    for (window_pattern, sequence_len) in [("L", 8), ("SL", 24)] {
        let config = GptConfig { sequence_len, window_pattern: window_pattern.into(), ..config() };
        let gpt = gpt(&config, Device::Cpu);
        let (one, _) = ids(19, Device::Cpu);
        let values = one.to_vec::<i32>().unwrap();
        let rows: Vec<i32> = values.iter().copied().chain(values.iter().map(|id| (id + 1) % 50)).collect();
        let both = Tensor::ids(&rows, &[2, 19], Device::Cpu).unwrap();
        let whole = gpt.hidden(&both, None, &mut model::observe::Blind).unwrap().value().to_f64_vec();
        for chunk in [1, 2, 3, 7, 18, 19] {
            let mut cache = gpt.cache(2, 19).unwrap();
            for first in (0..19).step_by(chunk) {
                let n = chunk.min(19 - first);
                let part = both.narrow(1, first, n).unwrap().contiguous().unwrap();
                let ours = gpt.hidden_cached(&part, &mut cache).unwrap().value().to_f64_vec();
                for (i, v) in ours.iter().enumerate() {
                    let (row, t, c) = (i / (n * 32), first + i / 32 % n, i % 32);
                    close(
                        &format!("chunks of {chunk}, position {t}"),
                        *v,
                        whole[(row * 19 + t) * 32 + c],
                        0.0,
                        2e-5,
                    );
                }
            }
            let more = Tensor::ids(&[1, 1], &[2, 1], Device::Cpu).unwrap();
            assert!(gpt.hidden_cached(&more, &mut cache).is_err(), "a full cache took another token");
        }
    }
}

#[test]
fn every_weight_of_every_choice_of_parts_has_the_slope_of_the_loss_as_gradient() {
    let whole = GptConfig { sequence_len: 5, window_pattern: "L".into(), ..config() };
    let with = |part| whole.clone().with(part).unwrap();
    let without = |part| whole.clone().without(part).unwrap();
    let choices = [
        ("all", whole.clone()),
        ("none", GptConfig { parts: Parts::NONE, ..whole.clone() }),
        ("no value embeddings", without(Part::ValueEmbeds)),
        ("no mixing", without(Part::Mixing)),
        ("no smear", without(Part::Smear)),
        ("no backout", without(Part::Backout)),
        ("tied", with(Part::TiedHead)),
        ("gated", with(Part::GatedMlp)),
        ("norm first", with(Part::NormBeforeRope)),
        ("pairs", with(Part::AdjacentPairs)),
    ];
    for (choice, config) in choices {
        let gpt = gpt(&config, Device::Reference);
        let (ids, targets) = ids(12, Device::Reference);
        let weight = Tensor::full(1.0, &[12], DType::F64, Device::Reference).unwrap();
        let tape = Tape::new();
        let [loss, _] = gpt.loss(&ids, &targets, &weight, Some(&tape)).unwrap();
        loss.backward(1.0).unwrap();
        for (at, p) in gpt.params().iter().enumerate() {
            let gradient =
                p.grad().get().unwrap_or_else(|| panic!("{} got no gradient", p.name)).to_f64_vec();
            assert!(gradient.iter().any(|g| *g != 0.0), "{choice}: the gradient of {} is zero", p.name);
            // Along one direction that has a share of every element.
            let direction: Vec<f64> = (0..gradient.len()).map(|i| (1.3 * i as f64 + 0.4).sin()).collect();
            let loss_at = |h: f64| {
                let mut weights = formula(&config, Device::Reference);
                let moved: Vec<f64> =
                    weights[at].1.to_f64_vec().iter().zip(&direction).map(|(w, d)| w + h * d).collect();
                weights[at].1 =
                    Tensor::from_f64(&moved, p.value().dims(), DType::F64, Device::Reference).unwrap();
                let moved = Gpt::from_weights(config.clone(), weights, gpt.options()).unwrap();
                let [loss, _] = moved.loss(&ids, &targets, &weight, None).unwrap();
                loss.value().item().unwrap()
            };
            let numeric = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
            let analytic: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            close(&format!("{choice}: {}", p.name), analytic, numeric, 1e-5, 1e-6);
        }
    }
}

#[test]
fn what_contradicts_a_rule_is_refused_by_name() {
    let refused = |config: GptConfig| config.validate().unwrap_err().to_string();
    assert!(refused(GptConfig { window_pattern: "SXL".into(), ..config() }).contains("'X'"));
    assert!(refused(GptConfig { n_embd: 16, ..config() }).contains("24 channels"));
    assert!(refused(GptConfig { sequence_len: 1, ..config() }).contains("too short"));
    let gpt = gpt(&config(), Device::Cpu);
    let (one, target) = (Tensor::ids(&[1], &[1, 1], Device::Cpu), Tensor::ids(&[2], &[1], Device::Cpu));
    let weight = Tensor::full(1.0, &[1], DType::F32, Device::Cpu).unwrap();
    let short = gpt.loss(&one.unwrap(), &target.unwrap(), &weight, None).err().unwrap().to_string();
    assert!(short.contains("too short"), "{short}");
    let other = GptConfig { parts: Parts::NONE, ..config() };
    let weights = formula(&config(), Device::Cpu);
    let contradiction = Gpt::from_weights(other, weights, GptOptions::default()).err().unwrap().to_string();
    assert!(contradiction.contains("contradict"), "{contradiction}");
}
