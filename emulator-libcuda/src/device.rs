//! The driver and its one device: an H100's numbers where the emulator has none of its own.

use crate::failure::{Code, Failure, answer};
use crate::host;
use crate::pretend::Pretended;
use crate::state::{State, with_any, with_driver};
use emulator::Gpu;
use std::ffi::{c_char, c_int, c_uint};

const NAME: &[u8] = b"nanochat emulator (a GPU in software)\0";

/// Is there such a device?
pub fn device(number: c_int) -> Result<(), Failure> {
    match number {
        0 if Pretended::from_env().count > 0 => Ok(()),
        _ => Err(Failure::new(Code::InvalidDevice, format!("device {number}: there is one at most, 0"))),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> c_uint {
    answer("cuInit", || {
        if flags != 0 {
            return Err(Failure::new(Code::InvalidValue, "flags must be 0"));
        }
        with_any(|state| {
            if state.pretended.count == 0 {
                return Err(Failure::new(Code::NoDevice, "there is no device"));
            }
            state.initialized = true;
            Ok(())
        })
    })
}

/// # Safety
/// `version` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_uint {
    // SAFETY: as the caller promises.
    answer("cuDriverGetVersion", || unsafe {
        host::put(version, Pretended::from_env().driver, "driverVersion")
    })
}

/// # Safety
/// `count` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_uint {
    answer("cuDeviceGetCount", || {
        with_driver(|state| {
            // SAFETY: as the caller promises.
            unsafe { host::put(count, state.pretended.count, "count") }
        })
    })
}

/// # Safety
/// `found` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(found: *mut c_int, ordinal: c_int) -> c_uint {
    answer("cuDeviceGet", || {
        with_driver(|_| {
            device(ordinal)?;
            // SAFETY: as the caller promises.
            unsafe { host::put(found, 0, "device") }
        })
    })
}

/// # Safety
/// `name` is null or has room for `room` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, room: c_int, number: c_int) -> c_uint {
    answer("cuDeviceGetName", || {
        with_driver(|_| {
            device(number)?;
            let Some(last) = usize::try_from(room).ok().and_then(|room| room.checked_sub(1)) else {
                return Err(Failure::new(Code::InvalidValue, "there is no room for the name"));
            };
            let mut text = NAME[..NAME.len().min(last)].to_vec();
            text.push(0);
            // SAFETY: at most `room` bytes, as the caller promises.
            unsafe { host::fill(name.cast(), &text, "name") }
        })
    })
}

/// # Safety
/// `uuid` is null or has room for 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], number: c_int) -> c_uint {
    answer("cuDeviceGetUuid_v2", || {
        with_driver(|_| {
            device(number)?;
            // SAFETY: as the caller promises.
            unsafe { host::put(uuid, *b"nanochatemulator", "uuid") }
        })
    })
}

/// # Safety
/// `bytes` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, number: c_int) -> c_uint {
    answer("cuDeviceTotalMem_v2", || {
        with_driver(|state| {
            device(number)?;
            // SAFETY: as the caller promises.
            unsafe { host::put(bytes, state.device.config().memory_bytes as usize, "bytes") }
        })
    })
}

/// # Safety
/// `value` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_uint, number: c_int) -> c_uint {
    answer("cuDeviceGetAttribute", || {
        with_driver(|state| {
            device(number)?;
            let found = attribute_of(state, attribute).ok_or_else(|| {
                let message = format!("device attribute {attribute} is not known to the emulator");
                Failure::new(Code::NotSupported, message)
            })?;
            // SAFETY: as the caller promises.
            unsafe { host::put(value, found, "pi") }
        })
    })
}

/// By the numbers of `CUdevice_attribute` in `cuda.h`.
fn attribute_of(state: &State, attribute: c_uint) -> Option<c_int> {
    let (gpu, config) = (Gpu::H100, state.device.config());
    let value = match attribute {
        1 => 1024,                                       // threads of a block
        2 | 3 => 1024,                                   // of a block in x, in y
        4 => 64,                                         // in z
        5 => (1 << 31) - 1,                              // blocks of a grid in x
        6 | 7 => 65535,                                  // in y, in z
        8 => 48 << 10,                                   // shared memory of a block, without an attribute
        9 => 64 << 10,                                   // constant memory
        10 => 32,                                        // lanes of a warp
        12 | 82 => gpu.registers,                        // registers of a block, of a multiprocessor
        16 => gpu.processors,                            // multiprocessors
        39 => gpu.threads,                               // threads of a multiprocessor
        75 => config.compute_capability / 10,            // compute capability, major
        76 => config.compute_capability % 10,            // minor
        81 => gpu.shared_bytes,                          // shared memory of a multiprocessor
        97 => config.shared_bytes_per_block as u32,      // of a block, with the attribute
        106 => gpu.blocks,                               // blocks of a multiprocessor
        115 => 1,                                        // memory pools: `cuMemAllocAsync` is there
        15 | 18 | 31 | 35 | 41 | 83 | 89 | 95 | 96 => 0, // overlap, integrated, managed and cooperative things: no
        _ => return None,
    };
    c_int::try_from(value).ok()
}
