//! `cargo bench -p nanochat-benches`: criterion over every kernel of the registry, on real shapes.
//!
//! A group is called `op/device/dtype/shape`, e.g. `rms_norm_fwd/cpu/f32/d12.hidden`; in it `nanochat`, and for f32 matrix
//! products also the baselines. Throughput is bytes per second, or operations (`elem`) per second where arithmetic is the
//! bound. A full run takes about six minutes on two cores; `-- matmul/cpu/f32` runs some of it, `-- --quick` is shorter.
//! Criterion compares with its last run on this machine; comparisons with others belong in `paired.rs`, which takes turns.
#![allow(missing_docs)] // criterion's macros make public items without any

mod baselines;

use baselines::Operands;
use benches::product::Product;
use criterion::{Criterion, Throughput};
use kernels::measure::run::{Bench, Case, cases};
use kernels::{Cpu, DType, par};
use std::time::Duration;

fn every_kernel(c: &mut Criterion) {
    for case in cases(kernels::kernels()) {
        kernel(c, &case);
    }
}

fn kernel(c: &mut Criterion, case: &Case) {
    let mut group = c.benchmark_group(format!("{}/cpu/{}/{}", case.info.name, case.dtype, case.sample.label));
    let cost = case.cost();
    // More than ten operations per byte: no machine that this runs on moves bytes so slowly.
    group.throughput(match cost.flops > 10.0 * cost.bytes {
        true => Throughput::Elements(cost.flops as u64),
        false => Throughput::Bytes(cost.bytes as u64),
    });
    // Criterion calls the closure again for every sample, and not at all when it is filtered out.
    let mut bench = None;
    group.bench_function("nanochat", |b| {
        let bench =
            bench.get_or_insert_with(|| Bench::new(case).expect("the registry's samples can be placed"));
        b.iter(|| bench.call(&Cpu).expect("the registry's samples are accepted"));
    });
    let product = Product::of(case).filter(|_| case.info.name == "matmul" && case.dtype == DType::F32);
    for (name, call) in baselines::ALL.iter().filter(|_| product.is_some()) {
        let mut operands = None;
        group.bench_function(*name, |b| {
            let Some(product) = &product else { return };
            let operands = operands.get_or_insert_with(|| {
                let mut operands = Operands::new(product, par::threads());
                call(&mut operands);
                assert!(operands.error() < 1e-5, "{name} computes something else");
                operands
            });
            b.iter(|| call(operands));
        });
    }
    group.finish();
}

criterion::criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .nresamples(5000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    targets = every_kernel
}
criterion::criterion_main!(benches);
