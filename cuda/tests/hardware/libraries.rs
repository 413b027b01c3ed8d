//! Libraries and GPUs that are missing, too old, or there: a typed error that says what to do, or the way without.

use crate::child::{gpu, nvrtc, run};
use cuda::hardware::Libraries;
use cuda::{Cuda, DriverError, Hardware, Unavailable, verify};
use kernels::verify::Budget;
use kernels::{View, ViewMut};

fn refused(number: usize) -> Unavailable {
    match Hardware::open(number, &Libraries::from_env()).map(|_| ()) {
        Err(DriverError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_driver_the_error_names_what_was_looked_for() {
    let nothing = [("NANOCHAT_LIBCUDA", "/nowhere/libcuda.so.1")];
    run("libraries::without_a_driver_the_error_names_what_was_looked_for", &nothing, || {
        let why = refused(0);
        assert_eq!(why, Unavailable::NoDriver { tried: "/nowhere/libcuda.so.1".into() });
        assert!(why.to_string().contains("install NVIDIA's driver, or use --device cpu"), "{why}");
        // a backend without a GPU refuses every call with that, and does nothing else
        let gpu = Cuda::new(Hardware::open_or_refuse(0, &Libraries::from_env()));
        let mut y = [7.0_f32];
        let called = kernels::relu_squared::relu_squared_fwd(
            &gpu,
            View::from_slice(&[1.0_f32], &[1]).unwrap(),
            ViewMut::from_slice(&mut y, &[1]).unwrap(),
        );
        assert!(called.unwrap_err().to_string().contains("no CUDA driver"));
        assert_eq!(y, [7.0]);
    });
}

#[test]
fn a_library_that_is_no_driver_lacks_functions() {
    // NVRTC's names are not the driver's, and neither are those of the C library
    let other = [("NANOCHAT_LIBCUDA", "libc.so.6")];
    run("libraries::a_library_that_is_no_driver_lacks_functions", &other, || {
        let why = refused(0);
        assert!(matches!(&why, Unavailable::OldDriver { has } if has.contains("cuInit")), "{why}");
    });
}

#[test]
fn an_old_driver_is_named_with_its_version() {
    let old = [("EMULATOR_LIBCUDA_DEVICE", "driver=11040")];
    run("libraries::an_old_driver_is_named_with_its_version", &old, || {
        let why = refused(0);
        assert_eq!(why, Unavailable::OldDriver { has: "CUDA 11.4".into() });
        assert!(why.to_string().contains("CUDA 12.0 (version 525) or later"), "{why}");
    });
}

#[test]
fn a_driver_of_cuda_12_0_is_given_ptx_that_it_reads() {
    let old = [("EMULATOR_LIBCUDA_DEVICE", "driver=12000")];
    run("libraries::a_driver_of_cuda_12_0_is_given_ptx_that_it_reads", &old, || passes(&gpu(), "softmax"));
}

#[test]
fn an_old_gpu_is_named_with_its_capability() {
    let old = [("EMULATOR_LIBCUDA_DEVICE", "capability=75")];
    run("libraries::an_old_gpu_is_named_with_its_capability", &old, || {
        let why = refused(0);
        assert!(matches!(&why, Unavailable::OldGpu { major: 7, minor: 5, .. }), "{why}");
        assert!(why.to_string().contains("has compute capability 7.5; kernels need 8.0"), "{why}");
    });
}

#[test]
fn no_gpu_and_one_too_many_are_told_apart() {
    let none = [("EMULATOR_LIBCUDA_DEVICE", "count=0")];
    run("libraries::no_gpu_and_one_too_many_are_told_apart", &none, || {
        assert_eq!(refused(0), Unavailable::NoDevice { asked: 0, seen: 0 });
    });
}

#[test]
fn a_number_beyond_the_gpus_is_refused_with_their_count() {
    run("libraries::a_number_beyond_the_gpus_is_refused_with_their_count", &[], || {
        assert_eq!(refused(3), Unavailable::NoDevice { asked: 3, seen: 1 });
    });
}

/// A folder's kernels, few numbers.
fn passes(gpu: &Cuda<Hardware>, folder: &str) {
    let (_, table) = kernels::TABLES.iter().find(|(name, _)| *name == folder).unwrap();
    let (mut checks, mut failures) = (0, Vec::new());
    for info in *table {
        verify(info, gpu, Budget { max_elements: 300, ..Budget::default() }, &mut |result| {
            checks += 1;
            failures.extend((!result.ok).then(|| result.to_string()));
        });
    }
    assert!(checks > 30 && failures.is_empty(), "{checks} checks: {failures:#?}");
}

#[test]
fn without_cublas_our_kernels_multiply() {
    let none = [("NANOCHAT_LIBCUBLAS", "none")];
    run("libraries::without_cublas_our_kernels_multiply", &none, || {
        let gpu = gpu();
        assert_eq!(gpu.driver().blas(), Err("not found".into()));
        passes(&gpu, "matmul");
        assert!(gpu.driver().launches().contains("matmul_"), "{}", gpu.driver().launches());
    });
}

#[test]
fn a_library_that_is_not_cublas_is_done_without() {
    let other = [("NANOCHAT_LIBCUBLAS", "libc.so.6")];
    run("libraries::a_library_that_is_not_cublas_is_done_without", &other, || {
        let gpu = gpu();
        assert!(gpu.driver().blas().unwrap_err().contains("cublasCreate_v2"));
        passes(&gpu, "matmul");
    });
}

#[test]
fn with_nvrtc_kernels_are_compiled_for_the_gpu_and_without_it_the_committed_ptx_is_used() {
    const NAME: &str =
        "libraries::with_nvrtc_kernels_are_compiled_for_the_gpu_and_without_it_the_committed_ptx_is_used";
    let found = nvrtc();
    if found.is_none() {
        println!("notice: nothing is compiled for the GPU: run `cargo xtask nvrtc --fetch`");
    }
    let nvrtc = found.unwrap_or_else(|| "/nowhere/libnvrtc.so".into());
    run(NAME, &[("NANOCHAT_LIBNVRTC", &nvrtc)], || {
        let gpu = gpu();
        let there = std::env::var("NANOCHAT_LIBNVRTC").is_ok_and(|name| name.contains("target"));
        assert_eq!(gpu.driver().compiles(), there);
        for folder in ["rms_norm", "attention"] {
            passes(&gpu, folder);
        }
    });
}
