//! `cuLaunchKernel`: pointers to arguments become arguments, the emulator runs the kernel with all its checks.

use crate::failure::{Code, Failure, answer};
use crate::handles::Handle;
use crate::host;
use crate::module::{PLAIN_SHARED, kernel_of};
use crate::state::{State, with_context};
use emulator::{Arg, Launch, Options};
use std::ffi::{c_uint, c_void};

/// # Safety
/// `params` is null or has a pointer for each parameter of the kernel, to as many bytes as it has: the driver, too, can check
/// neither.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> c_uint {
    answer("cuLaunchKernel", || {
        with_context(|state| {
            state.stream(stream)?;
            if !extra.is_null() {
                return Err(Failure::new(
                    Code::NotSupported,
                    "arguments through `extra`: use `kernelParams`",
                ));
            }
            let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
            // SAFETY: as the caller promises.
            unsafe { launch(state, function, grid, block, shared_bytes.into(), params) }
        })
    })
}

unsafe fn launch(
    state: &mut State,
    function: Handle,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u64,
    params: *mut *mut c_void,
) -> Result<(), Failure> {
    let f = state.functions.get(function)?;
    let (code, kernel, allowed) = (f.code.clone(), f.kernel.clone(), f.dynamic_shared);
    let sizes = kernel_of(f)?.params;
    if shared_bytes > allowed {
        let message = format!(
            "kernel {kernel}: {shared_bytes} bytes of dynamic shared memory, of {allowed} allowed: set the function's attribute"
        );
        return Err(Failure::new(Code::InvalidValue, message));
    }
    let mut args = Vec::new();
    for (i, bytes) in sizes.iter().enumerate() {
        // SAFETY: as many pointers as the kernel has parameters, each to as many bytes, as the caller promises.
        let value = unsafe {
            let at = host::get(
                params.cast_const().wrapping_add(if params.is_null() { 0 } else { i }),
                "kernelParams",
            )?;
            host::bytes(at, *bytes as usize, "a kernel parameter")?
        };
        args.push(Arg::raw(value));
    }
    let options = Options { large_shared: allowed > PLAIN_SHARED, ..state.options };
    let launch = Launch { grid, block, shared_bytes, options, ..Launch::of(&code, &kernel, &args) };
    state.device.launch(&launch)?;
    Ok(())
}
