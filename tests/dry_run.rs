//! A micro-batch of a d12 model as CUDA would run it, recorded and not computed: how many kernels a block launches and how much
//! memory it moves. The block is what two layers have more than one.
#![allow(clippy::unwrap_used)]

use kernels::profile;
use model::{GptConfig, GptOptions};
use tensor::{DType, Device};
use tests::{model, random_batch, small_config};

const C: usize = 768;
const B: usize = 8;
const T: usize = 512;

/// Launches and bytes of forward and backward; the names of what was launched.
fn counted(n_layer: usize) -> (Vec<String>, f64) {
    let config = GptConfig {
        sequence_len: T,
        vocab_size: 80,
        n_layer,
        n_head: 6,
        n_kv_head: 6,
        n_embd: C,
        ..small_config()
    };
    let (device, compute) = (Device::DryRun, DType::Bf16);
    let gpt = model(config.clone(), 1, GptOptions { device, compute, ..GptOptions::default() });
    let batch = random_batch(&config, B, T, 1, device);
    tensor::dry_launches();
    profile::start();
    let tape = autograd::Tape::new();
    let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape)).unwrap();
    loss.backward(1.0).unwrap();
    let bytes = profile::stop().iter().map(|(_, totals)| totals.cost.bytes).sum();
    (tensor::dry_launches().into_iter().map(|launch| launch.kernel).collect(), bytes)
}

#[test]
fn a_block_launches_few_kernels_and_moves_little() {
    let ((one, less), (two, more)) = (counted(1), counted(2));
    let mut block = two;
    for kernel in &one {
        block.remove(block.iter().position(|other| other == kernel).unwrap());
    }
    // weights become bf16 once per optimizer step on a GPU: counted there
    let launches = block.iter().filter(|kernel| !kernel.starts_with("copy_f32_bf16")).count();
    assert!(launches <= 30, "{launches}: {block:#?}");
    // the weights, 12·C²: read as bf16 by two products each, their gradients written in f32, rounded from f32 to bf16
    let weights = (12 * C * C) as f64 * (2.0 * 2.0 + 4.0 + 6.0);
    let elements = (more - less - weights) / 2.0 / (B * T * C) as f64;
    assert!(elements <= 150.0, "{elements}·C elements for each token");
    assert!(elements > 80.0, "{elements}·C elements for each token: something is not counted");
}
