//! No weight is forgotten: with weights of no special kind every weight of every family gets a gradient that is not zero,
//! and with fresh weights exactly those listed here get zeros.
//!
//! The reason is the same in all of them. Output projections start as zero, so that a block starts as the identity: what
//! stands before one gets no gradient until it has moved. A head of zeros does the same to everything below it.

use crate::current::{self, Current};
use crate::gpt2;
use crate::network::{Network, REFERENCE, Values, batch, drawn, gradients};
use autograd::Tape;
use model::{Gpt, GptConfig, GptOptions};
use tensor::{DType, Device};
use tests::{model, random_batch};

/// Names of the weights whose gradient is zero, all of it.
fn zeros(names: impl Iterator<Item = String>, gradients: &Values) -> Vec<String> {
    let is_zero = |(_, g): &(String, &Vec<f64>)| g.iter().all(|&g| g == 0.0);
    names.zip(gradients).filter(is_zero).map(|(name, _)| name).collect()
}

fn zeros_of(net: &dyn Network, values: &Values, vocab: u32) -> Vec<String> {
    let batch = batch(vocab, [2, 5], Device::Reference);
    let (_, found) = gradients(net, values, &batch, REFERENCE);
    assert!(found.iter().flatten().all(|g| g.is_finite()));
    zeros(net.shapes().into_iter().map(|(name, _)| name), &found)
}

#[test]
fn every_weight_of_every_family_learns() {
    let current = current::small();
    for kv_heads in [1, 2] {
        for windows in [vec![2], vec![2, 5], vec![1, 2, 5], vec![2, 2, 2, 5]] {
            let net = Current { kv_heads, windows, ..current.clone() };
            assert_eq!(zeros_of(&net, &drawn(&net, current::shaken), 7), [""; 0]);
        }
    }
    for bias in [false, true] {
        let net = gpt2::small(bias);
        assert_eq!(zeros_of(&net, &drawn(&net, gpt2::shaken), 7), [""; 0]);
    }
}

#[test]
fn a_fresh_gpt2_has_no_weight_that_does_not_learn() {
    let net = gpt2::small(true);
    let fresh = |name: &str, dims: &[usize]| match dims {
        [_] => (0.0, if name.ends_with(".bias") { 0.0 } else { 1.0 }),
        _ if name.contains("c_proj") => (0.02 / (2.0 * net.layers as f64).sqrt(), 0.0),
        _ => (0.02, 0.0),
    };
    assert_eq!(zeros_of(&net, &drawn(&net, fresh), 7), [""; 0]);
}

#[test]
fn a_fresh_current_model_learns_where_nothing_starts_as_zero() {
    let net = Current { windows: vec![2, 2, 2, 5], ..current::small() };
    let layers = net.windows.len() as f64;
    let mut values = drawn(&net, |name, dims| match name {
        "smear_lambda" => (0.0, 0.0),
        "backout_lambda" => (0.0, 0.2),
        "lm_head.weight" => (0.001, 0.0),
        _ if name.contains("c_proj") => (0.0, 0.0),
        _ if name.contains("gate") => (0.005, 0.01),
        _ if name.contains("wte") => (0.8, 0.0),
        _ if name.contains("c_fc") => (0.4 / (dims[1] as f64).sqrt(), 0.0),
        _ => (1.0 / (dims.last().copied().unwrap_or(1) as f64).sqrt(), 0.0),
    });
    for (at, [first, last]) in [[1.15, 1.05], [0.20, 0.05]].into_iter().enumerate() {
        let value = |i: usize| first + (last - first) * i as f64 / (layers - 1.0);
        values[at] = (0..net.windows.len()).map(value).collect();
    }
    let mut expected = Vec::new();
    for layer in 0..4 {
        let block = |part: &str| format!("transformer.h.{layer}.{part}.weight");
        // Before an output projection of zeros: attention's c_proj, or the MLP's.
        expected.extend(["attn.c_q", "attn.c_k", "attn.c_v"].map(block));
        if layer % 2 == 1 {
            expected.push(block("attn.ve_gate"));
        }
        expected.push(block("mlp.c_fc"));
    }
    expected.push("smear_gate.weight".into()); // the gate is multiplied by smear_lambda, which starts as 0
    expected.extend([1, 3].map(|layer| format!("value_embeds.{layer}.weight"))); // before attention's c_proj
    assert_eq!(zeros_of(&net, &values, 7), expected);
}

/// Gradients of a classic model by name.
fn classic(gpt: &Gpt, device: Device) -> Values {
    let batch = random_batch(gpt.config(), 2, 8, 3, device);
    let tape = Tape::new();
    let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape)).unwrap();
    loss.backward(1.0).unwrap();
    let of = |p: &autograd::Parameter| p.grad().get().unwrap_or_else(|| panic!("{} got none", p.name));
    gpt.params().iter().map(|p| of(p).to_f64_vec()).collect()
}

#[test]
fn a_fresh_classic_model_learns_its_head_first() {
    let small = GptConfig { sequence_len: 8, vocab_size: 23, n_layer: 2, n_head: 4, ..GptConfig::default() };
    for n_kv_head in [1, 2, 4] {
        let config = GptConfig { n_kv_head, n_embd: 16, ..small.clone() };
        let options = GptOptions { device: Device::Reference, compute: DType::F64, ..GptOptions::default() };
        let gpt = model(config, 1, options);
        let names = || gpt.params().iter().map(|p| p.name.clone());
        // The head starts as zero: nothing below it gets anything.
        let below: Vec<String> = names().filter(|name| name != "lm_head.weight").collect();
        assert_eq!(zeros(names(), &classic(&gpt, Device::Reference)), below);
    }
}
