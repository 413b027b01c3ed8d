//! The current family against the original. Weights that are a formula (element i of tensor p is `a·sin(0.7·i + p)`) and
//! 160 ids were run through it on the CPU in f32; its logits, loss and gradient norms are the tables below.

use crate::current::Current;
use crate::network::{Network, Setting, Values, gradients, norm, weights};
use autograd::ops::lm_head_loss::mean_weights;
use kernels::unary::UnaryOp;
use tensor::{DType, Device, Tensor};
use train::data::Batch;

const CPU: Setting = (Device::Cpu, DType::F32);

/// Sequence length 256, windows "SSSL": short is a quarter, but no less than 128, and the last layer is long.
fn network() -> Current {
    Current {
        vocab: 50,
        padded_vocab: 64,
        width: 32,
        heads: 2,
        kv_heads: 1,
        windows: vec![128, 128, 256],
        value_channels: 12,
        smear_channels: 24,
    }
}

fn formula(net: &Current) -> Values {
    let one = |(p, (name, dims)): (usize, (String, Vec<usize>))| {
        let a = if name == "transformer.wte.weight" { 0.5 } else { 0.15 };
        let wave = |i: usize| f64::from((a * (0.7 * i as f64 + p as f64).sin()) as f32);
        let value = |i| if name == "resid_lambdas" { 1.0 + 0.1 * wave(i) } else { wave(i) };
        (0..dims.iter().product()).map(value).collect()
    };
    net.shapes().into_iter().enumerate().map(one).collect()
}

/// The 160 ids and their targets, of which the first five are ignored.
fn ids() -> Batch {
    let id = |t: i32| (7 * t * t + 3 * t + 1) % 50;
    let ids: Vec<i32> = (0..160).map(id).collect();
    let targets: Vec<i32> = (0..160).map(|t| if t < 5 { -1 } else { id(t + 1) }).collect();
    let batch = Batch::new(&ids, &targets, 1, 160, Device::Cpu).unwrap();
    assert_eq!(mean_weights(&batch.targets, DType::F32).unwrap().1, 155);
    batch
}

/// Softcapped logits (T·V) of ids (1, T).
fn logits(net: &Current, ids: &Tensor) -> Vec<f64> {
    let w = weights(net, &formula(net), None, CPU);
    let z = net.hidden(&w, ids).unwrap().linear(&net.head(&w).unwrap()).unwrap().into_value();
    let squashed = z.affine(1.0 / 15.0, 0.0).unwrap().unary(UnaryOp::Tanh).unwrap();
    squashed.affine(15.0, 0.0).unwrap().to_f64_vec()
}

#[track_caller]
fn close(what: &str, ours: &[f64], theirs: &[f64], relative: f64, absolute: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= absolute + relative * b.abs(), "{what}: {ours:?} instead of {theirs:?}");
    }
}

#[test]
fn the_weights_are_named_and_ordered_as_in_the_original() {
    let names: Vec<String> = network().shapes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 29);
    let places =
        [(0, "resid_lambdas"), (4, "transformer.wte.weight"), (5, "transformer.h.0.attn.c_q.weight")];
    let more = [(25, "lm_head.weight"), (26, "smear_gate.weight"), (28, "value_embeds.2.weight")];
    for (place, name) in places.into_iter().chain(more) {
        assert_eq!(names[place], name);
    }
}

#[test]
fn the_logits_are_those_of_the_original() {
    let (net, batch) = (network(), ids());
    let logits_of_all = logits(&net, &batch.ids);
    let rows: [(usize, &[f64]); 4] = [
        (0, &[0.224816, -0.722723, 1.100523, -1.296740]),
        (1, &[0.908727, -0.495512, -0.000168, 0.495820]),
        (7, &[0.810030, -1.148068, 1.296947, -1.232951]),
        (159, &[1.251660, -1.351559, 1.229724, -0.905475, 0.431102, 0.115218]),
    ];
    for (row, theirs) in rows {
        close(&format!("row {row}"), &logits_of_all[row * 50..][..theirs.len()], theirs, 0.0, 5e-6);
    }
    close("sum", &[logits_of_all.iter().sum()], &[5.650452], 0.0, 1e-3);

    let prefix = logits(&net, &batch.ids.narrow(1, 0, 8).unwrap());
    close("a prefix", &prefix[7 * 50..], &logits_of_all[7 * 50..8 * 50], 0.0, 1e-6);
}

#[test]
fn the_loss_and_the_norm_of_every_gradient_are_those_of_the_original() {
    let net = network();
    let (loss, found) = gradients(&net, &formula(&net), &ids(), CPU);
    close("loss", &[loss], &[4.2493124], 0.0, 1e-6);
    // As printed: four to seven digits.
    let norms = [
        ("transformer.wte.weight", 1.261810e-1, 2e-6),
        ("transformer.h.0.attn.c_q.weight", 6.660e-3, 1e-4),
        ("transformer.h.0.attn.c_k.weight", 1.00367e-2, 1e-5),
        ("transformer.h.0.attn.c_v.weight", 1.092135e-1, 2e-6),
        ("transformer.h.0.attn.c_proj.weight", 5.865716e-1, 2e-6),
        ("transformer.h.0.mlp.c_fc.weight", 5.832797e-1, 2e-6),
        ("transformer.h.0.mlp.c_proj.weight", 1.844671, 2e-6),
        ("transformer.h.1.attn.c_q.weight", 5.1739e-4, 2e-5),
        ("transformer.h.2.attn.c_q.weight", 5.1221e-3, 2e-5),
        ("transformer.h.2.mlp.c_fc.weight", 6.192746e-1, 2e-6),
        ("transformer.h.2.mlp.c_proj.weight", 5.465873e-1, 2e-6),
        ("lm_head.weight", 1.017044, 2e-6),
        ("resid_lambdas", 2.395792e-1, 2e-6),
        ("x0_lambdas", 4.493850e-1, 2e-6),
        ("smear_lambda", 3.796955e-2, 2e-6),
        ("smear_gate.weight", 5.427735e-3, 2e-6),
        ("backout_lambda", 3.543697e-2, 2e-6),
        ("transformer.h.0.attn.ve_gate.weight", 6.631411e-3, 2e-6),
        ("transformer.h.2.attn.ve_gate.weight", 1.060073e-3, 2e-6),
        ("value_embeds.0.weight", 1.301768e-2, 2e-6),
        ("value_embeds.2.weight", 2.158223e-3, 2e-6),
    ];
    for (name, theirs, relative) in norms {
        let at = net.shapes().iter().position(|(n, _)| n == name).unwrap();
        close(name, &[norm(found[at].iter().copied())], &[theirs], relative, 0.0);
    }
}
