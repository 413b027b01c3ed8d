//! A micro-batch of a d12 model as CUDA would run it, recorded and not computed: how many kernels a block launches and how much
//! memory it moves. Two blocks are what a model of six layers has more than one of four: of the current generation one of them has
//! value embeddings and one has not. The book tells the tally by hand (`book/src/kernels.md`).
#![allow(clippy::unwrap_used)]

use kernels::profile::{self, Totals};
use model::{Family, GptConfig, GptOptions};
use std::collections::BTreeMap;
use tensor::{DType, Device};
use tests::{model, random_batch};

const C: usize = 768;
const B: usize = 8;
const T: usize = 512;

/// Launches by kernel and bytes by operation, of forward and backward; and bytes by launch, each of its operands once.
#[derive(Default)]
struct Counted {
    launches: BTreeMap<String, usize>,
    bytes: BTreeMap<&'static str, f64>,
    launched: f64,
}

fn counted(family: Family, n_layer: usize) -> Counted {
    let config = GptConfig {
        sequence_len: T,
        vocab_size: 80,
        n_layer,
        n_head: 6,
        n_kv_head: 6,
        n_embd: C,
        ..GptConfig::of(family)
    };
    let (device, compute) = (Device::DryRun, DType::Bf16);
    let gpt = model(config.clone(), 1, GptOptions { device, compute, ..GptOptions::default() });
    let batch = random_batch(&config, B, T, 1, device);
    let micro_batch = || {
        let tape = autograd::Tape::new();
        let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape)).unwrap();
        loss.backward(1.0).unwrap();
    };
    micro_batch(); // rounds the weights to bf16, once per step
    tensor::dry_launches();
    profile::start();
    micro_batch();
    let mut all = Counted::default();
    for (op, Totals { cost, .. }) in profile::stop() {
        *all.bytes.entry(op).or_default() += cost.bytes;
    }
    for launch in tensor::dry_launches() {
        all.launched += launch.bytes;
        *all.launches.entry(launch.kernel).or_default() += 1;
    }
    all
}

/// What two blocks add.
fn two_blocks(family: Family) -> Counted {
    let (less, mut more) = (counted(family, 4), counted(family, 6));
    less.launches.iter().for_each(|(kernel, n)| *more.launches.get_mut(kernel).unwrap() -= n);
    less.bytes.iter().for_each(|(op, n)| *more.bytes.get_mut(op).unwrap() -= n);
    more.launched -= less.launched;
    more.launches.retain(|_, n| *n > 0);
    more
}

/// Launches of two blocks. Looking rows up in a table of value embeddings is done before the block, for all tokens, and counted with the
/// embeddings.
fn launches(blocks: &Counted) -> usize {
    let rounded = |kernel: &String| kernel.starts_with("copy_f32_bf16");
    assert!(
        !blocks.launches.keys().any(rounded),
        "weights are rounded once per step, not in every micro-batch"
    );
    let elsewhere = ["embedding_", "fill_f32"];
    let counted = |kernel: &&String| !elsewhere.iter().any(|name| kernel.starts_with(name));
    blocks.launches.iter().filter(|(kernel, _)| counted(kernel)).map(|(_, n)| n).sum()
}

#[test]
fn a_classic_block_launches_few_kernels_and_moves_little() {
    let blocks = two_blocks(Family::Classic);
    let n = launches(&blocks);
    assert!(n <= 2 * 30, "{n}: {:#?}", blocks.launches);
    // the weights, 12·C²: read as bf16 by two products each, their gradients read and written in f32
    let weights = 2.0 * (12 * C * C) as f64 * (2.0 * 2.0 + 8.0);
    let elements = (blocks.bytes.values().sum::<f64>() - weights) / 2.0 / (2 * B * T * C) as f64;
    // the tally of the book, and 0.1 for the statistics of rows
    assert!((113.0..113.2).contains(&elements), "{elements}·C elements for each token");
    // attention's gradient is two launches, which each ask for their operands
    let asked = (blocks.launched - weights) / 2.0 / (2 * B * T * C) as f64;
    assert!(asked > elements - 8.0 && asked <= 150.0, "{asked}·C elements for each token");
}

#[test]
fn a_current_block_launches_few_kernels() {
    let blocks = two_blocks(Family::Current);
    let n = launches(&blocks);
    assert!(n <= 2 * 36, "{n}: {:#?}", blocks.launches);
}
