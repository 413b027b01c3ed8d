//! What goes wrong on a GPU, said so that it can be mended.

use crate::child::{gpu, run};
use cuda::{Driver, DriverError, Launch, Memory, Value, bundle};
use kernels::relu_squared::relu_squared_fwd;
use kernels::{KernelError, View, ViewMut};

/// `y = relu(x)²` of five numbers.
fn squared(gpu: &cuda::Cuda<cuda::Hardware>) -> Result<[f32; 5], KernelError> {
    let mut y = [0.0_f32; 5];
    let x = [1.0_f32, -2.0, 3.0, 0.5, 0.0];
    relu_squared_fwd(gpu, View::from_slice(&x, &[5])?, ViewMut::from_slice(&mut y, &[5])?)?;
    Ok(y)
}

#[test]
fn a_kernels_fault_names_the_launches_before_it_and_ends_everything() {
    run("errors::a_kernels_fault_names_the_launches_before_it_and_ends_everything", &[], || {
        let gpu = gpu();
        assert_eq!(squared(&gpu).unwrap(), [1.0, 0.0, 9.0, 0.25, 0.0]);
        // an address of nothing; the right number and types of arguments, or a launch would be refused before
        let mut args = vec![Value::Address(0x10); 6];
        args.push(Value::U32(4));
        let (module, kernel) = (&bundle::ADAMW, "adamw_packs");
        let launch = Launch {
            op: "adamw",
            module,
            kernel,
            grid: 1,
            block: 32,
            shared_bytes: 0,
            args: &args,
            bytes: 0.0,
        };
        let fault = gpu.driver().launch(&launch).unwrap_err();
        let DriverError::Failed { what, reason, launches } = &fault else { panic!("{fault}") };
        assert_eq!(what, "launching adamw_packs");
        assert!(reason.starts_with("CUDA_ERROR_ILLEGAL_ADDRESS: "), "{reason}");
        let order = ["adamw_packs of adamw (1 × 32), ", "relu_squared_fwd"];
        assert!(
            launches.starts_with(order[0]) && launches[order[0].len()..].starts_with(order[1]),
            "{launches}"
        );
        // the context is lost: what follows is refused with the same reason and the same launches
        let later = squared(&gpu).unwrap_err();
        assert!(matches!(later, KernelError::Device { .. }), "{later}");
        assert!(later.to_string().contains("newest first: adamw_packs of adamw"), "{later}");
        assert!(gpu.driver().synchronize().unwrap_err().to_string().contains("ILLEGAL_ADDRESS"));
    });
}

#[test]
fn memory_that_is_not_there_is_refused_with_what_is() {
    let small = [("EMULATOR_LIBCUDA_DEVICE", "memory=1048576")];
    run("errors::memory_that_is_not_there_is_refused_with_what_is", &small, || {
        let gpu = gpu();
        let kept = gpu.driver().alloc(1 << 19).unwrap();
        let refused = gpu.driver().alloc(1 << 20).unwrap_err();
        assert_eq!(refused, DriverError::Full { bytes: 1 << 20, free: 1 << 19, total: 1 << 20 });
        assert!(refused.to_string().contains("`nanochat plan` says what fits"), "{refused}");
        assert_eq!(Memory::take(&gpu, 1 << 20), None);
        gpu.driver().free(kept, 1 << 19).unwrap();
        let again = Memory::take(&gpu, 1 << 20).unwrap();
        gpu.give_back(again, 1 << 20);
        // nothing is broken by it
        assert_eq!(squared(&gpu).unwrap()[2], 9.0);
    });
}

#[test]
fn a_kernel_or_a_launch_that_cannot_be_is_named() {
    run("errors::a_kernel_or_a_launch_that_cannot_be_is_named", &[], || {
        let gpu = gpu();
        let launch = |kernel: &str, block: u32, shared_bytes: u32| {
            let args = [];
            let module = &bundle::ADAMW;
            let launch =
                Launch { op: "x", module, kernel, grid: 1, block, shared_bytes, args: &args, bytes: 0.0 };
            gpu.driver().launch(&launch).unwrap_err().to_string()
        };
        assert!(launch("no_such", 32, 0).contains("adamw has no kernel no_such"));
        let too_much = launch("adamw_packs", 32, 1 << 20);
        assert!(too_much.contains("allowing adamw_packs 1048576 bytes of shared memory"), "{too_much}");
    });
}
