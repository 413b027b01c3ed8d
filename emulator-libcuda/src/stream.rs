//! Streams and events. Every call is finished when it returns, so there is never anything to wait for. There is no time in the
//! emulator either: `cuEventElapsedTime` is refused, because any number would be taken for one.

use crate::failure::{Code, Failure, answer};
use crate::handles::Handle;
use crate::host;
use crate::state::with_context;
use std::ffi::{c_int, c_uint, c_void};

/// # Safety
/// `stream` is null or a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, _flags: c_uint) -> c_uint {
    answer("cuStreamCreate", || {
        with_context(|state| {
            // SAFETY: as the caller promises.
            unsafe { host::put(stream, state.streams.add(()), "phStream") }
        })
    })
}

/// # Safety
/// `stream` is null or a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(
    stream: *mut Handle,
    flags: c_uint,
    _priority: c_int,
) -> c_uint {
    // SAFETY: as the caller promises.
    unsafe { cuStreamCreate(stream, flags) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: Handle) -> c_uint {
    answer("cuStreamDestroy_v2", || with_context(|state| state.streams.remove(stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: Handle) -> c_uint {
    answer("cuStreamSynchronize", || with_context(|state| state.stream(stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: Handle) -> c_uint {
    answer("cuStreamQuery", || with_context(|state| state.stream(stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) -> c_uint {
    answer("cuStreamWaitEvent", || {
        with_context(|state| {
            state.stream(stream)?;
            state.events.get(event).map(|_| ())
        })
    })
}

/// Never.
///
/// # Safety
/// `status` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: Handle, status: *mut c_uint) -> c_uint {
    answer("cuStreamIsCapturing", || {
        with_context(|state| {
            state.stream(stream)?;
            // SAFETY: as the caller promises.
            unsafe { host::put(status, 0, "captureStatus") }
        })
    })
}

/// # Safety
/// `least` and `greatest` are null or places for numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) -> c_uint {
    answer("cuCtxGetStreamPriorityRange", || {
        with_context(|_| {
            for place in [least, greatest].into_iter().filter(|place| !place.is_null()) {
                // SAFETY: as the caller promises.
                unsafe { host::put(place, 0, "a priority") }?;
            }
            Ok(())
        })
    })
}

/// # Safety
/// `event` is null or a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut Handle, _flags: c_uint) -> c_uint {
    answer("cuEventCreate", || {
        with_context(|state| {
            // SAFETY: as the caller promises.
            unsafe { host::put(event, state.events.add(()), "phEvent") }
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> c_uint {
    answer("cuEventDestroy_v2", || with_context(|state| state.events.remove(event)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> c_uint {
    answer("cuEventRecord", || {
        with_context(|state| {
            state.stream(stream)?;
            state.events.get(event).map(|_| ())
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> c_uint {
    answer("cuEventQuery", || with_context(|state| state.events.get(event).map(|_| ())))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> c_uint {
    answer("cuEventSynchronize", || with_context(|state| state.events.get(event).map(|_| ())))
}

fn no_time(function: &str) -> c_uint {
    let message = "the emulator has no time: what it counts is in the launch's report, not in milliseconds";
    answer(function, || Err(Failure::new(Code::NotSupported, message)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventElapsedTime(_ms: *mut f32, _start: Handle, _end: Handle) -> c_uint {
    no_time("cuEventElapsedTime")
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventElapsedTime_v2(_ms: *mut f32, _start: Handle, _end: Handle) -> c_uint {
    no_time("cuEventElapsedTime_v2")
}

/// All work before it is finished, so the function can be called at once.
///
/// # Safety
/// `function` may be called with `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    function: Option<unsafe extern "C" fn(*mut c_void)>,
    data: *mut c_void,
) -> c_uint {
    answer("cuLaunchHostFunc", || {
        with_context(|state| state.stream(stream))?;
        let function = function.ok_or_else(|| Failure::new(Code::InvalidValue, "fn is a null pointer"))?;
        // SAFETY: as the caller promises; the state is not locked, so it may call the driver.
        unsafe { function(data) };
        Ok(())
    })
}
