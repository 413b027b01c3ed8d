//! Device memory: allocating, freeing, copying, filling. A device pointer is an address of the emulator, which keeps allocations
//! apart; a copy must lie inside one of them.

use crate::failure::{Code, Failure, answer};
use crate::handles::Handle;
use crate::host;
use crate::state::{State, with_context};
use emulator::Buffer;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{c_uchar, c_uint, c_ushort, c_void};

/// The allocation that holds `bytes` bytes from `address` on, and where in it.
pub fn locate(state: &State, address: u64, bytes: u64) -> Result<(Buffer, u64), Failure> {
    let found = state.device.find(address).ok_or_else(|| {
        Failure::new(Code::InvalidValue, format!("{address:#x} is in no allocation of the device"))
    })?;
    let offset = address - found.address;
    if bytes > found.bytes - offset {
        let message = format!(
            "{bytes} bytes from byte {offset} on of an allocation of {} bytes: beyond its end",
            found.bytes
        );
        return Err(Failure::new(Code::InvalidValue, message));
    }
    Ok((found, offset))
}

/// Bytes of the device.
pub fn read(state: &mut State, address: u64, bytes: usize) -> Result<Vec<u8>, Failure> {
    if bytes == 0 {
        return Ok(Vec::new());
    }
    let (buffer, offset) = locate(state, address, bytes as u64)?;
    Ok(state.device.read(buffer, offset, bytes)?)
}

/// Writes bytes of the device.
pub fn write(state: &mut State, address: u64, bytes: &[u8]) -> Result<(), Failure> {
    if bytes.is_empty() {
        return Ok(());
    }
    let (buffer, offset) = locate(state, address, bytes.len() as u64)?;
    Ok(state.device.write(buffer, offset, bytes)?)
}

unsafe fn allocate(function: &str, address: *mut u64, bytes: usize, stream: Handle) -> c_uint {
    answer(function, || {
        with_context(|state| {
            state.stream(stream)?;
            if bytes == 0 {
                return Err(Failure::new(Code::InvalidValue, "an allocation of 0 bytes"));
            }
            let buffer = state.device.alloc(bytes as u64)?;
            // SAFETY: the caller's `address` is null or a place for an address.
            unsafe { host::put(address, buffer.address, "dptr") }
        })
    })
}

fn free(function: &str, address: u64, stream: Handle) -> c_uint {
    answer(function, || {
        with_context(|state| {
            state.stream(stream)?;
            if address == 0 {
                return Ok(());
            }
            Ok(state.device.free(Buffer { address, bytes: 0 })?)
        })
    })
}

/// # Safety
/// `address` is null or a place for an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> c_uint {
    // SAFETY: as the caller promises.
    unsafe { allocate("cuMemAlloc_v2", address, bytes, std::ptr::null_mut()) }
}

/// # Safety
/// `address` is null or a place for an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: Handle) -> c_uint {
    // SAFETY: as the caller promises.
    unsafe { allocate("cuMemAllocAsync", address, bytes, stream) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> c_uint {
    free("cuMemFree_v2", address, std::ptr::null_mut())
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> c_uint {
    free("cuMemFreeAsync", address, stream)
}

/// # Safety
/// Both are null or places for numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_uint {
    answer("cuMemGetInfo_v2", || {
        with_context(|state| {
            // SAFETY: as the caller promises.
            unsafe { host::put(free, state.device.free_bytes() as usize, "free") }?;
            // SAFETY: as the caller promises.
            unsafe { host::put(total, state.device.config().memory_bytes as usize, "total") }
        })
    })
}

/// The copies of one direction, with and without a stream.
macro_rules! copies {
    ($($plain:ident $on_stream:ident ($to:ident: $To:ty, $from:ident: $From:ty) $body:expr;)*) => {$(
        /// # Safety
        /// The program's side is null or has as many bytes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $plain($to: $To, $from: $From, bytes: usize) -> c_uint {
            answer(stringify!($plain), || with_context(|state| ($body)(state, $to, $from, bytes)))
        }

        /// # Safety
        /// The program's side is null or has as many bytes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $on_stream($to: $To, $from: $From, bytes: usize, stream: Handle) -> c_uint {
            answer(stringify!($on_stream), || {
                with_context(|state| {
                    state.stream(stream)?;
                    ($body)(state, $to, $from, bytes)
                })
            })
        }
    )*};
}

copies! {
    cuMemcpyHtoD_v2 cuMemcpyHtoDAsync_v2 (to: u64, from: *const c_void) |state: &mut State, to, from, bytes| {
        // SAFETY: so many bytes, as the caller promises, for the time of this call.
        let data = unsafe { host::bytes(from, bytes, "srcHost") }?;
        write(state, to, data)
    };
    cuMemcpyDtoH_v2 cuMemcpyDtoHAsync_v2 (to: *mut c_void, from: u64) |state: &mut State, to, from, bytes| {
        let data = read(state, from, bytes)?;
        // SAFETY: room for so many bytes, as the caller promises.
        unsafe { host::fill(to, &data, "dstHost") }
    };
    cuMemcpyDtoD_v2 cuMemcpyDtoDAsync_v2 (to: u64, from: u64) |state: &mut State, to, from, bytes| {
        let data = read(state, from, bytes)?;
        write(state, to, &data)
    };
}

/// Fills of one width, with and without a stream.
macro_rules! fills {
    ($($plain:ident $on_stream:ident $ty:ty;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $plain(to: u64, value: $ty, count: usize) -> c_uint {
            answer(stringify!($plain), || with_context(|state| fill(state, to, &value.to_le_bytes(), count)))
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $on_stream(to: u64, value: $ty, count: usize, stream: Handle) -> c_uint {
            answer(stringify!($on_stream), || {
                with_context(|state| {
                    state.stream(stream)?;
                    fill(state, to, &value.to_le_bytes(), count)
                })
            })
        }
    )*};
}

fills! {
    cuMemsetD8_v2 cuMemsetD8Async c_uchar;
    cuMemsetD16_v2 cuMemsetD16Async c_ushort;
    cuMemsetD32_v2 cuMemsetD32Async c_uint;
}

fn fill(state: &mut State, to: u64, value: &[u8], count: usize) -> Result<(), Failure> {
    let bytes = value.len().saturating_mul(count) as u64;
    if count > 0 {
        locate(state, to, bytes)?; // before anything of that size is made
    }
    write(state, to, &value.repeat(count))
}

/// Host memory, which here is like any other.
///
/// # Safety
/// `place` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(place: *mut *mut c_void, bytes: usize, _flags: c_uint) -> c_uint {
    answer("cuMemHostAlloc", || {
        with_context(|state| {
            let refused = || Failure::new(Code::OutOfMemory, format!("{bytes} bytes of host memory"));
            let layout =
                Layout::from_size_align(bytes, 4096).ok().filter(|_| bytes > 0).ok_or_else(refused)?;
            // SAFETY: the layout's size is not zero.
            let memory = unsafe { alloc_zeroed(layout) };
            if memory.is_null() {
                return Err(refused());
            }
            state.host.insert(memory as usize, layout);
            // SAFETY: as the caller promises.
            unsafe { host::put(place, memory.cast(), "pp") }
        })
    })
}

/// # Safety
/// Nobody uses the memory any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeHost(memory: *mut c_void) -> c_uint {
    answer("cuMemFreeHost", || {
        with_context(|state| {
            let layout = state.host.remove(&(memory as usize)).ok_or_else(|| {
                Failure::new(Code::InvalidValue, "this is no host memory of cuMemHostAlloc")
            })?;
            // SAFETY: allocated with this layout, and removed from the table, so freed once.
            unsafe { dealloc(memory.cast(), layout) };
            Ok(())
        })
    })
}
