//! The registry's checks on the emulated driver: for every kernel that CUDA has, values, memory, NaN, layouts, both dtypes.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and says what it leaves out

use cuda::{Cuda, DryRun, Emulated, Rung, bundle, has_kernel, verify};
use emulator::nvrtc::{Nvrtc, header};
use emulator::{Module, Options};
use kernels::verify::Budget;
use kernels::{Bf16, DType, Layout, View, ViewMut, matmul, relu_squared, rms_norm};
use std::path::Path;

/// All kernels that CUDA has, on `gpu`.
fn all_pass(gpu: &Cuda<Emulated>, budget: Budget) {
    let mut failures = Vec::new();
    for &(_, table) in kernels::TABLES.iter().filter(|(folder, _)| has_kernel(folder)) {
        for info in table {
            let (mut failed, mut checks) = (Vec::new(), 0);
            let refused = verify(info, gpu, budget, &mut |result| {
                checks += 1;
                failed.extend((!result.ok).then(|| result.to_string()));
            });
            assert!(checks > 3, "{}: {checks} checks", info.name);
            assert_eq!(refused, 0, "{}", info.name);
            failures.extend(failed.into_iter().take(4));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(gpu.statistics().in_use, 0);
}

#[test]
fn every_kernel_passes_the_registrys_checks() {
    all_pass(&Cuda::new(Emulated::default()), Budget { max_elements: 3000, ..Budget::default() });
}

#[test]
fn every_kernel_passes_in_another_order_with_approximations_at_their_bounds() {
    let options = Options { order: Some(7), perturb: Some(7), ..Options::default() };
    all_pass(&Cuda::new(Emulated::new(options)), Budget { max_elements: 700, ..Budget::default() });
}

#[test]
fn every_rung_of_the_matmul_ladder_computes_the_product() {
    for rung in [Rung::Naive, Rung::Tiled, Rung::Tensor, Rung::Pipelined] {
        let gpu = Cuda::new(Emulated::default()).with_matmul(rung);
        let (mut failures, mut checks) = (Vec::new(), 0);
        for info in kernels::matmul::KERNELS {
            verify(info, &gpu, Budget { max_elements: 3000, ..Budget::default() }, &mut |result| {
                checks += 1;
                failures.extend((!result.ok).then(|| result.to_string()));
            });
        }
        failures.truncate(8);
        assert!(checks > 300 && failures.is_empty(), "{rung:?}, {checks} checks: {failures:#?}");
    }
}

#[test]
fn tiles_meet_no_bank_twice_and_each_rung_reads_less() {
    let (m, n, k) = (128, 64, 96);
    for dtype in [DType::F32, DType::Bf16] {
        let mut loads = Vec::new();
        for rung in [Rung::Naive, Rung::Tiled, Rung::Tensor, Rung::Pipelined] {
            if rung != Rung::Naive && rung != Rung::Tiled && dtype == DType::F32 {
                continue; // takes the rung below
            }
            // each operand dense along k, and along its other axis
            for across in [false, true] {
                let gpu = Cuda::new(Emulated::default()).with_matmul(rung);
                product(&gpu, dtype, [m, n, k], across);
                let counters = gpu.driver().counters().unwrap();
                let (used, least) = (counters.total.wavefronts, counters.total.requests);
                assert_eq!(used, least, "{rung:?} {dtype} across {across}");
                if !across {
                    loads.push(counters.load_sectors.0);
                }
            }
        }
        // the last rung reads the same, earlier
        assert!(loads[..loads.len().min(3)].is_sorted_by(|a, b| a > b), "{dtype}: {loads:?}");
        assert!(loads.get(3).is_none_or(|last| *last <= loads[2]), "{dtype}: {loads:?}");
    }
}

/// A product of ones on `gpu`.
fn product(gpu: &Cuda<Emulated>, dtype: DType, [m, n, k]: [usize; 3], across: bool) {
    let mut c = vec![0.0_f32; m * n];
    let (a, b) = if across {
        (Layout::strided(&[m, k], &[1, m], 0).unwrap(), Layout::contiguous(&[k, n]).unwrap())
    } else {
        (Layout::contiguous(&[m, k]).unwrap(), Layout::strided(&[k, n], &[1, k], 0).unwrap())
    };
    let out = ViewMut::from_slice(&mut c, &[m, n]).unwrap();
    if dtype == DType::F32 {
        let (x, y) = (vec![1.0_f32; m * k], vec![1.0_f32; k * n]);
        let x = View::from_slice(&x, &[m * k]).unwrap().with_layout(a).unwrap();
        let y = View::from_slice(&y, &[k * n]).unwrap().with_layout(b).unwrap();
        matmul::matmul(gpu, x, y, out, 1.0, 0.0).unwrap();
    } else {
        let (x, y) = (vec![Bf16::from_f32(1.0); m * k], vec![Bf16::from_f32(1.0); k * n]);
        let x = View::from_slice(&x, &[m * k]).unwrap().with_layout(a).unwrap();
        let y = View::from_slice(&y, &[k * n]).unwrap().with_layout(b).unwrap();
        matmul::matmul(gpu, x, y, out, 1.0, 0.0).unwrap();
    }
    assert!(c.iter().all(|v| *v == k as f32));
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
