//! The registry's checks on a CUDA driver, told apart from what has no kernel yet.

use crate::ops::MISSING;
use crate::{Cuda, Driver};
use kernels::KernelInfo;
use kernels::verify::{Budget, CheckResult, verify_kernels};

/// Has CUDA kernels for the operation in folder `kernels/src/<folder>/`?
pub fn has_kernel(folder: &str) -> bool {
    !MISSING.contains(&folder)
}

/// Checks one kernel; `on_result` hears of every check but the refused ones, whose number is returned: cases that the kernel
/// says are not supported, as a copy of integers.
pub fn verify<D: Driver>(
    info: &KernelInfo,
    gpu: &Cuda<D>,
    budget: Budget,
    on_result: &mut dyn FnMut(&CheckResult),
) -> usize {
    let mut refused = 0;
    let refusal = format!("is not supported on device {}", gpu.driver().name());
    verify_kernels([info], gpu, budget, &mut |result| {
        if !result.ok && result.detail.contains(&refusal) {
            refused += 1;
        } else {
            on_result(result);
        }
    });
    refused
}
