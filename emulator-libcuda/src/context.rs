//! The primary context, the only one there is.

use crate::device::device;
use crate::failure::{Code, Failure, answer};
use crate::handles::Handle;
use crate::host;
use crate::state::{CONTEXT, State, is_current, set_current, with_context, with_driver};
use std::ffi::{c_int, c_uint};

/// # Safety
/// `context` is null or a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, number: c_int) -> c_uint {
    answer("cuDevicePrimaryCtxRetain", || {
        with_driver(|state| {
            device(number)?;
            // SAFETY: as the caller promises.
            unsafe { host::put(context, CONTEXT as Handle, "pctx") }?;
            state.retained += 1;
            Ok(())
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(number: c_int) -> c_uint {
    answer("cuDevicePrimaryCtxRelease_v2", || {
        with_driver(|state| {
            device(number)?;
            match state.retained {
                0 => Err(Failure::new(Code::InvalidContext, "the context was not retained")),
                1 => {
                    end(state);
                    Ok(())
                }
                _ => {
                    state.retained -= 1;
                    Ok(())
                }
            }
        })
    })
}

/// The last user has left: everything that was made in the context ends with it, a fault as well.
fn end(state: &mut State) {
    let (initialized, host) = (state.initialized, std::mem::take(&mut state.host));
    *state = State { initialized, host, ..State::new() };
}

/// # Safety
/// `context` is null or a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> c_uint {
    answer("cuCtxGetCurrent", || {
        with_driver(|_| {
            let found = if is_current() { CONTEXT } else { 0 };
            // SAFETY: as the caller promises.
            unsafe { host::put(context, found as Handle, "pctx") }
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: Handle) -> c_uint {
    answer("cuCtxSetCurrent", || {
        with_driver(|state| match context as usize {
            0 => {
                set_current(false);
                Ok(())
            }
            CONTEXT if state.retained > 0 => {
                set_current(true);
                Ok(())
            }
            _ => Err(Failure::new(Code::InvalidContext, "this is no context, or it was released")),
        })
    })
}

/// # Safety
/// `number` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(number: *mut c_int) -> c_uint {
    // SAFETY: as the caller promises.
    answer("cuCtxGetDevice", || with_context(|_| unsafe { host::put(number, 0, "device") }))
}

/// Nothing is ever left to wait for.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> c_uint {
    answer("cuCtxSynchronize", || with_context(|_| Ok(())))
}
