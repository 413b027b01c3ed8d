//! What mistakes become: errors of the driver, with the emulator's words.

use crate::child;
use cudarc::driver::sys::CUresult::{self, *};
use cudarc::driver::sys::{CUevent_flags, CUlimit};
use cudarc::driver::{CudaContext, CudaStream, DriverError, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use std::sync::Arc;

const MEMORY: &str = include_str!("../../../emulator/tests/ptx/memory.ptx");
const BARRIERS: &str = include_str!("../../../emulator/tests/ptx/barriers.ptx");

/// Launches one of the kernels `(out, in, n)` of the planted pairs.
fn launch(stream: &Arc<CudaStream>, ptx: &str, kernel: &str, threads: u32) -> Result<(), DriverError> {
    let module = stream.context().load_module(Ptx::from_src(ptx))?;
    let function = module.load_function(kernel)?;
    let input = stream.clone_htod(&[0.5_f32; 128])?;
    let (mut out, n) = (stream.alloc_zeros::<f32>(128)?, 128_i32);
    let mut launch = stream.launch_builder(&function);
    launch.arg(&mut out).arg(&input).arg(&n);
    let config = LaunchConfig { grid_dim: (2, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the arguments are those of the kernel; what it does with them is what the emulator checks.
    unsafe { launch.launch(config) }.map(|_| ())
}

fn text(error: DriverError) -> String {
    error.error_string().unwrap().to_string_lossy().into_owned()
}

fn code<T>(result: Result<T, DriverError>) -> CUresult {
    result.err().expect("an error").0
}

#[test]
fn a_kernel_out_of_bounds_is_an_error_that_names_kernel_and_line() {
    let name = "faults::a_kernel_out_of_bounds_is_an_error_that_names_kernel_and_line";
    let errors = child::run(name, || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        launch(&stream, MEMORY, "past_the_end_right", 64).unwrap();
        let error = launch(&stream, MEMORY, "past_the_end_wrong", 64).unwrap_err();
        assert_eq!(error.0, CUDA_ERROR_ILLEGAL_ADDRESS);
        let found = text(error);
        for word in [
            "cuLaunchKernel",
            "kernel past_the_end_wrong",
            "OutOfBounds",
            "PTX line",
            "memory.cu:9",
            "block (",
            "lane",
        ] {
            assert!(found.contains(word), "{word}: {found}");
        }
        // as on a GPU, nothing works any more until the context is gone
        assert_eq!(code(stream.synchronize()), CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!(code(stream.clone_htod(&[1_u8])), CUDA_ERROR_ILLEGAL_ADDRESS);
        drop((stream, context));
        let stream = CudaContext::new(0).unwrap().default_stream();
        launch(&stream, MEMORY, "past_the_end_right", 64).unwrap();
    });
    if !errors.is_empty() {
        assert!(
            errors.contains("emulator-libcuda: cuLaunchKernel: kernel past_the_end_wrong: OutOfBounds"),
            "{errors}"
        );
    }
}

#[test]
fn a_race_is_an_error_that_names_both_parties() {
    child::run("faults::a_race_is_an_error_that_names_both_parties", || {
        let stream = CudaContext::new(0).unwrap().default_stream();
        let error = launch(&stream, BARRIERS, "misplaced_wrong", 64).unwrap_err();
        assert_eq!(error.0, CUDA_ERROR_LAUNCH_FAILED);
        let found = text(error);
        assert!(
            found.contains("SharedRace") && found.contains("barriers.cu:26") && found.contains("against"),
            "{found}"
        );
    });
}

#[test]
fn what_the_host_does_wrong_is_refused_and_loses_nothing() {
    child::run("faults::what_the_host_does_wrong_is_refused_and_loses_nothing", || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let error = launch(&stream, MEMORY, "no_such_kernel", 64).unwrap_err();
        assert!(error.0 == CUDA_ERROR_NOT_FOUND && text(error).contains("past_the_end_right"));
        let error = launch(&stream, "garbage", "k", 64).unwrap_err();
        assert!(error.0 == CUDA_ERROR_INVALID_PTX && text(error).contains("module.ptx:1:"), "{error}");
        let error = launch(&stream, MEMORY, "past_the_end_right", 1025).unwrap_err();
        assert!(error.0 == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES && text(error).contains("1025"), "{error}");
        let cubin = Ptx::from_binary(b"\x7fELF machine code\0".to_vec());
        assert_eq!(context.load_module(cubin).err().unwrap().0, CUDA_ERROR_NO_BINARY_FOR_GPU);
        assert_eq!(code(stream.alloc_zeros::<u8>(8 << 30)), CUDA_ERROR_OUT_OF_MEMORY);
        let missing = Ptx::from_file("no/such/file.ptx");
        assert_eq!(context.load_module(missing).err().unwrap().0, CUDA_ERROR_FILE_NOT_FOUND);
        assert_eq!(code(CudaContext::new(1)), CUDA_ERROR_INVALID_DEVICE);
        launch(&stream, MEMORY, "past_the_end_right", 64).unwrap();
    });
}

#[test]
fn what_is_not_there_says_so() {
    let errors = child::run("faults::what_is_not_there_says_so", || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        assert_eq!(code(context.get_limit(CUlimit::CU_LIMIT_STACK_SIZE)), CUDA_ERROR_NOT_SUPPORTED);
        let event = || stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
        let error = event().elapsed_ms(&event()).unwrap_err();
        assert!(error.0 == CUDA_ERROR_NOT_SUPPORTED && text(error).contains("no time"), "{error}");
        launch(&stream, MEMORY, "past_the_end_right", 64).unwrap();
    });
    if !errors.is_empty() {
        assert!(errors.contains("cuCtxGetLimit: the emulator does not have this function"), "{errors}");
    }
}
