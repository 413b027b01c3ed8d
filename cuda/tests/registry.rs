//! The registry's checks on the emulated driver: for every kernel that CUDA has, values, memory, NaN, layouts, both dtypes.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and says what it leaves out

use cuda::{Cuda, DryRun, Emulated, bundle};
use emulator::Module;
use emulator::nvrtc::{Nvrtc, header};
use kernels::verify::{Budget, verify_kernels};
use kernels::{View, ViewMut, relu_squared, rms_norm};
use std::path::Path;

/// The operations that have CUDA kernels, by their folders.
const SUPPORTED: [&str; 5] = ["rms_norm", "relu_squared", "adamw", "binary", "copy"];

#[test]
fn every_supported_kernel_passes_the_registrys_checks() {
    let gpu = Cuda::new(Emulated::default());
    let budget = Budget { max_elements: 3000, ..Budget::default() };
    for &(name, table) in kernels::TABLES.iter().filter(|(folder, _)| SUPPORTED.contains(folder)) {
        let (mut failures, mut refused) = (Vec::new(), 0);
        let summary = verify_kernels(table, &gpu, budget, &mut |result| {
            if result.detail.contains("is not supported on device emulated") {
                refused += 1;
            } else if !result.ok {
                failures.push(result.to_string());
            }
        });
        assert!(summary.checks > 10 + refused && failures.is_empty(), "{name}: {failures:#?}");
        // integers, which copy takes from and to anything
        assert_eq!(refused > 0, name == "copy", "{name}");
        println!("{name}: {} checks, {refused} of them refused as not supported", summary.checks);
    }
    assert_eq!(gpu.statistics().in_use, 0);
}

#[test]
fn elementwise_and_norm_move_the_fewest_sectors() {
    let gpu = Cuda::new(Emulated::default());
    let (rows, c) = (16, 256);
    let x: Vec<f32> = (0..rows * c).map(|i| (i % 37) as f32 - 18.0).collect();
    let (mut y, mut rstd) = (x.clone(), vec![1.0_f32; rows]);
    let x = View::from_slice(&x, &[rows, c]).unwrap();
    relu_squared::relu_squared_fwd(&gpu, x, ViewMut::from_slice(&mut y, &[rows, c]).unwrap()).unwrap();
    let sectors = (rows * c / 8) as u64; // 32 bytes each
    let counters = gpu.driver().counters().unwrap();
    assert_eq!((counters.load_sectors.0, counters.store_sectors.0), (sectors, sectors));
    let y = ViewMut::from_slice(&mut y, &[rows, c]).unwrap();
    let out = ViewMut::from_slice(&mut rstd, &[rows]).unwrap();
    rms_norm::rms_norm_fwd(&gpu, x, 1e-6, y, out).unwrap();
    let counters = gpu.driver().counters().unwrap();
    // each row's statistic is a store of its own
    assert_eq!((counters.load_sectors.0, counters.store_sectors.0), (sectors, sectors + rows as u64));
}

#[test]
fn a_dry_run_records_and_its_second_call_allocates_nothing() {
    let gpu = Cuda::new(DryRun::default());
    let (x, mut y) = (vec![1.0_f32; 1024], vec![0.0_f32; 1024]);
    for _ in 0..2 {
        let x = View::from_slice(&x, &[1024]).unwrap();
        relu_squared::relu_squared_fwd(&gpu, x, ViewMut::from_slice(&mut y, &[1024]).unwrap()).unwrap();
    }
    let launches = gpu.driver().launches();
    assert_eq!(launches.len(), 2);
    assert_eq!((launches[0].kernel.as_str(), launches[0].bytes), ("relu_squared_fwd_f32_packs", 8192.0));
    let statistics = gpu.statistics();
    assert_eq!((statistics.from_driver, statistics.reused, statistics.in_use), (2, 2, 0));
    assert!(y.iter().all(|y| *y == 0.0));
}

#[test]
fn the_committed_ptx_is_of_its_source() {
    let library = Nvrtc::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let nvrtc = library.map(|path| Nvrtc::load(&path).unwrap());
    if nvrtc.is_none() {
        println!("notice: the kernels' PTX is not compared with NVRTC's: run `cargo xtask nvrtc --fetch`");
    }
    for bundled in bundle::ALL {
        let (source, name) = (bundled.source(), format!("{}.cu", bundled.name));
        assert_eq!(
            bundled.ptx.lines().next(),
            Some(header(&source, &name).as_str()),
            "{name}: run `cargo xtask nvrtc`"
        );
        Module::load(bundled.ptx, &name).unwrap();
        if let Some(nvrtc) = &nvrtc {
            assert!(
                nvrtc.committed(&source, &name, "compute_80").unwrap() == bundled.ptx,
                "{name}: run `cargo xtask nvrtc`"
            );
        }
    }
}
