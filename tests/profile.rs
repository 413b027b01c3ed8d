//! The profile: every kernel of the registry reports itself, with the registry's count of operations and bytes.
#![allow(clippy::unwrap_used)]

use kernels::registry::{Arg, Draw, Role, Sample};
use kernels::{Cpu, DType, KernelInfo, View, ViewMut, profile};
use tests::LeakCheck;

/// Memory of one argument: floats and ids are kept apart.
enum Data {
    Floats(Vec<f32>),
    Ids(Vec<i32>),
}

fn data(arg: &Arg) -> Data {
    match &arg.draw {
        Draw::Ids { lo, .. } => Data::Ids(vec![(*lo).max(0); arg.numel()]),
        Draw::Exact(values) => Data::Ids(values.clone()),
        _ => Data::Floats(vec![0.5; arg.numel()]),
    }
}

/// Run `kernel` on `sample` (all floats 0.5, all ids the smallest) and return what the profile saw.
fn observed(kernel: &KernelInfo, sample: &Sample) -> Vec<(&'static str, profile::Totals)> {
    let (mut ins, mut outs): (Vec<_>, Vec<_>) =
        sample.args.iter().map(|a| (a, data(a))).partition(|(a, _)| a.role == Role::In);
    let views: Vec<View<'_>> = ins
        .iter_mut()
        .map(|(arg, data)| match data {
            Data::Floats(v) => View::from_slice(v, &arg.dims).unwrap(),
            Data::Ids(v) => View::from_slice(v, &arg.dims).unwrap(),
        })
        .collect();
    let mut views_mut: Vec<ViewMut<'_>> = outs
        .iter_mut()
        .map(|(arg, data)| match data {
            Data::Floats(v) => ViewMut::from_slice(v, &arg.dims).unwrap(),
            Data::Ids(v) => ViewMut::from_slice(v, &arg.dims).unwrap(),
        })
        .collect();
    profile::start();
    let result = (kernel.run)(&Cpu, &views, &mut views_mut, &sample.scalars);
    let seen = profile::stop();
    result.unwrap_or_else(|e| panic!("{} on {:?}: {e}", kernel.name, sample.label));
    seen
}

// One test, because recording is a switch of the whole process.
#[test]
fn every_kernel_reports_itself_with_the_operations_and_bytes_of_the_registry() {
    let _leaks = LeakCheck::default();
    let (mut compared, mut wrong) = (0, Vec::new());
    for kernel in kernels::kernels().filter(|k| k.dtypes.contains(&DType::F32)) {
        let mut largest = 0.0;
        for sample in (kernel.samples)() {
            let seen = observed(kernel, &sample);
            let [(name, totals)] = seen[..] else {
                panic!("{} on {:?} was seen as {seen:?}", kernel.name, sample.label)
            };
            // Kernels with variants (`binary_add`, `gelu_tanh_bwd`) report under the name of the function that was called.
            let mut words = kernel.name.split('_');
            let named = name.split('_').all(|word| words.any(|own| own == word));
            assert!(named, "{} reports itself as {name}", kernel.name);
            assert_eq!(totals.calls, 1);
            let cost = (kernel.cost)(&sample, 4.0);
            let at = format!("{} on {:?}", kernel.name, sample.label);
            if (totals.cost.flops - cost.flops).abs() > 1e-9 * cost.flops {
                wrong.push(format!("{at}: {} operations, registry {}", totals.cost.flops, cost.flops));
            }
            // The registry counts the large arguments; tables, ids and statistics weigh something in small samples.
            if cost.bytes >= 4096.0 {
                let ratio = totals.cost.bytes / cost.bytes;
                if !(0.66..=1.5).contains(&ratio) {
                    wrong.push(format!("{at}: {} bytes, registry {}", totals.cost.bytes, cost.bytes));
                }
                compared += 1;
            }
            largest = f64::max(largest, cost.bytes);
        }
        assert!(largest > 0.0, "{} has no sample that moves a byte", kernel.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 40, "{compared} samples compared");
}
