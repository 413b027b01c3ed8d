//! A classic model of two layers, through the code of `model` itself: gradients against central differences in f64, and
//! the CPU's in f32 and bf16 against those.

use autograd::Tape;
use model::{Gpt, GptConfig, GptOptions};
use tensor::{DType, Device, Tensor};
use tests::{LeakCheck, model, random_batch};
use train::data::Batch;

fn config() -> GptConfig {
    GptConfig {
        sequence_len: 8,
        vocab_size: 23,
        n_layer: 2,
        n_head: 4,
        n_kv_head: 2,
        n_embd: 16,
        ..GptConfig::default()
    }
}

/// Weights without zeros, so that every path carries signal.
fn shaken(options: GptOptions) -> Gpt {
    let mut gpt = model(config(), 1, GptOptions { compute: DType::F32, device: Device::Cpu, ..options });
    let mut weights = Vec::new();
    for (i, p) in gpt.params_mut().iter_mut().enumerate() {
        let [rows, cols] = [p.value().dim(0), p.value().dim(1)];
        let std = if i == 0 { 1.0 } else { 0.6 / (cols as f64).sqrt() };
        let w = model::init::normal(9, i as u64, std, &[rows, cols], Device::Cpu).unwrap();
        let dtype = if options.device == Device::Reference { DType::F64 } else { DType::F32 };
        let w = w.to_device(options.device).unwrap().cast(dtype).unwrap();
        weights.push((p.name.clone(), w));
    }
    Gpt::from_weights(config(), weights, options).unwrap()
}

fn loss(gpt: &Gpt, batch: &Batch, tape: Option<&Tape>) -> autograd::Var {
    let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, tape).unwrap();
    loss
}

fn gradients(gpt: &Gpt, batch: &Batch) -> Vec<(String, Vec<f64>)> {
    gpt.clear_grads();
    let tape = Tape::new();
    loss(gpt, batch, Some(&tape)).backward(1.0).unwrap();
    let named = |p: &autograd::Parameter| {
        let g = p.grad().get().unwrap_or_else(|| panic!("{} got no gradient", p.name));
        (p.name.clone(), g.to_f64_vec())
    };
    gpt.params().iter().map(named).collect()
}

#[test]
fn every_gradient_of_a_two_layer_model_is_the_slope_of_the_loss() {
    let _leaks = LeakCheck::default();
    let options = GptOptions { device: Device::Reference, compute: DType::F64, ..GptOptions::default() };
    let mut gpt = shaken(options);
    let batch = random_batch(&config(), 2, 8, 3, Device::Reference);
    let analytic = gradients(&gpt, &batch);
    let h = 1e-5;
    for (at, (name, gradient)) in analytic.iter().enumerate() {
        // Every weight of the small matrices; of the larger ones every fifth.
        let stride = if gradient.len() > 400 { 5 } else { 1 };
        for i in (0..gradient.len()).step_by(stride) {
            let original = gpt.params()[at].value().to_f64_vec();
            let dims = gpt.params()[at].value().dims().to_vec();
            let mut at_offset = |d: f64| {
                let mut values = original.clone();
                values[i] += d;
                let moved = Tensor::from_f64(&values, &dims, DType::F64, Device::Reference).unwrap();
                gpt.params_mut()[at].set(moved);
                loss(&gpt, &batch, None).value().item().unwrap()
            };
            let numeric = (at_offset(h) - at_offset(-h)) / (2.0 * h);
            at_offset(0.0);
            let error = (numeric - gradient[i]).abs();
            assert!(error <= 1e-7 + 1e-6 * numeric.abs(), "{name}[{i}]: {numeric} against {}", gradient[i]);
        }
    }
}

#[test]
// bf16 keeps 8 bits of every activation; through two layers and a softmax a few percent of a small gradient remain uncertain.
fn the_cpu_agrees_with_the_reference_in_both_precisions() {
    let _leaks = LeakCheck::default();
    let reference = GptOptions { device: Device::Reference, compute: DType::F64, ..GptOptions::default() };
    let exact = gradients(&shaken(reference), &random_batch(&config(), 2, 8, 3, Device::Reference));
    for (compute, tolerance) in [(DType::F32, 2e-6), (DType::Bf16, 8e-2)] {
        let gpt = shaken(GptOptions { compute, ..GptOptions::default() });
        let got = gradients(&gpt, &random_batch(&config(), 2, 8, 3, Device::Cpu));
        for ((name, got), (_, want)) in got.iter().zip(&exact) {
            let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
            let error = norm(&mut got.iter().zip(want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied());
            assert!(error <= tolerance, "{compute} {name}: relative error {error}");
        }
    }
}
