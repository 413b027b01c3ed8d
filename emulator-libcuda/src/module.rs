//! Modules and functions. A module is a PTX text; a cubin, which is machine code of one GPU, is refused.

use crate::failure::{Code, Failure, answer};
use crate::handles::Handle;
use crate::host;
use crate::state::{Function, State, with_context};
use emulator::{Gpu, Module, occupancy};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::Arc;

/// Dynamic shared memory that needs no attribute.
pub const PLAIN_SHARED: u64 = 48 << 10;

fn load(state: &mut State, ptx: &str, name: &str) -> Result<Handle, Failure> {
    let module = Module::load(ptx, name)?;
    if module.target() > state.device.config().compute_capability {
        let message = format!("the module is for sm_{}, the device is older", module.target());
        return Err(Failure::new(Code::NoBinary, message));
    }
    Ok(state.modules.add(Arc::new(module)))
}

/// # Safety
/// `module` is null or a place for a handle, `image` null or a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> c_uint {
    answer("cuModuleLoadData", || {
        with_context(|state| {
            // SAFETY: as the caller promises. A cubin begins with the bytes of an ELF file; it may not end with a zero,
            // so it is recognised before it is read as a text.
            let start = unsafe { host::get(image.cast::<[u8; 4]>(), "image") }?;
            if start == *b"\x7fELF" {
                let message = "this is a cubin, machine code of one GPU; the emulator runs PTX";
                return Err(Failure::new(Code::NoBinary, message));
            }
            // SAFETY: as the caller promises.
            let text = unsafe { host::text(image.cast(), "image") }?;
            let loaded = load(state, &text, "module.ptx")?;
            // SAFETY: as the caller promises.
            unsafe { host::put(module, loaded, "module") }
        })
    })
}

/// The options are those of the driver's compiler, which has no part here.
///
/// # Safety
/// As for `cuModuleLoadData`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    image: *const c_void,
    _options: c_uint,
    _keys: *mut c_uint,
    _values: *mut *mut c_void,
) -> c_uint {
    // SAFETY: as the caller promises.
    unsafe { cuModuleLoadData(module, image) }
}

/// # Safety
/// `module` is null or a place for a handle, `path` null or a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoad(module: *mut Handle, path: *const c_char) -> c_uint {
    answer("cuModuleLoad", || {
        with_context(|state| {
            // SAFETY: as the caller promises.
            let path = unsafe { host::text(path, "fname") }?;
            let text = std::fs::read_to_string(&path)
                .map_err(|e| Failure::new(Code::FileNotFound, format!("{path}: {e}")))?;
            let loaded = load(state, &text, &path)?;
            // SAFETY: as the caller promises.
            unsafe { host::put(module, loaded, "module") }
        })
    })
}

/// Its functions end with it.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: Handle) -> c_uint {
    answer("cuModuleUnload", || {
        with_context(|state| {
            state.modules.remove(module)?;
            state.functions.retain(|function| function.module != module);
            Ok(())
        })
    })
}

/// # Safety
/// `function` is null or a place for a handle, `name` null or a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> c_uint {
    answer("cuModuleGetFunction", || {
        with_context(|state| {
            // SAFETY: as the caller promises.
            let kernel = unsafe { host::text(name, "name") }?;
            let code = state.modules.get(module)?.clone();
            if code.kernel(&kernel).is_none() {
                let names: Vec<&str> = code.kernels().collect();
                let message = format!("no kernel `{kernel}`; the module has {}", names.join(", "));
                return Err(Failure::new(Code::NotFound, message));
            }
            let known = state.functions.find(|f| f.module == module && f.kernel == kernel);
            let found = known.unwrap_or_else(|| {
                state.functions.add(Function { module, code, kernel, dynamic_shared: PLAIN_SHARED })
            });
            // SAFETY: as the caller promises.
            unsafe { host::put(function, found, "hfunc") }
        })
    })
}

/// # Safety
/// `address` and `bytes` are null or places for numbers, `name` null or a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetGlobal_v2(
    address: *mut u64,
    bytes: *mut usize,
    module: Handle,
    name: *const c_char,
) -> c_uint {
    answer("cuModuleGetGlobal_v2", || {
        with_context(|state| {
            // SAFETY: as the caller promises.
            let name = unsafe { host::text(name, "name") }?;
            let code = state.modules.get(module)?.clone();
            let found = code.variable(&mut state.device, &name)?.ok_or_else(|| {
                Failure::new(Code::NotFound, format!("the module has no variable `{name}`"))
            })?;
            if !address.is_null() {
                // SAFETY: as the caller promises.
                unsafe { host::put(address, found.address, "dptr") }?;
            }
            if !bytes.is_null() {
                // SAFETY: as the caller promises.
                unsafe { host::put(bytes, found.bytes as usize, "bytes") }?;
            }
            Ok(())
        })
    })
}

/// # Safety
/// `value` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetAttribute(
    value: *mut c_int,
    attribute: c_uint,
    function: Handle,
) -> c_uint {
    answer("cuFuncGetAttribute", || {
        with_context(|state| {
            let (capability, f) = (state.device.config().compute_capability, state.functions.get(function)?);
            let (info, target) = (kernel_of(f)?, f.code.target());
            let found = match attribute {
                0 => info.max_threads.unwrap_or(1024),
                1 => info.shared_bytes,
                3 => info.local_bytes,
                4 => info.live_registers.into(), // a lower bound: the driver's compiler decides
                5 => target.into(),
                6 => capability.into(),
                8 => f.dynamic_shared,
                _ => return Err(unknown_attribute(attribute)),
            };
            // SAFETY: as the caller promises.
            unsafe { host::put(value, c_int::try_from(found).unwrap_or(c_int::MAX), "pi") }
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: Handle, attribute: c_uint, value: c_int) -> c_uint {
    answer("cuFuncSetAttribute", || {
        with_context(|state| {
            let most = state.device.config().shared_bytes_per_block;
            let f = state.functions.get(function)?;
            let fixed = kernel_of(f)?.shared_bytes;
            match (attribute, u64::try_from(value)) {
                (8, Ok(bytes)) if fixed + bytes <= most => f.dynamic_shared = bytes,
                (8, _) => {
                    let message = format!(
                        "{value} bytes of dynamic shared memory, beside {fixed} declared ones: a block has {most}"
                    );
                    return Err(Failure::new(Code::InvalidValue, message));
                }
                (9, _) => {} // how to divide the cache: a wish
                _ => return Err(unknown_attribute(attribute)),
            }
            Ok(())
        })
    })
}

/// A wish about the cache, which the emulator does not have.
#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetCacheConfig(function: Handle, _config: c_uint) -> c_uint {
    answer("cuFuncSetCacheConfig", || with_context(|state| state.functions.get(function).map(|_| ())))
}

/// With the registers that are alive at once, so an upper bound of what the real compiler's code reaches.
///
/// # Safety
/// `blocks` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: *mut c_int,
    function: Handle,
    threads: c_int,
    dynamic_bytes: usize,
) -> c_uint {
    answer("cuOccupancyMaxActiveBlocksPerMultiprocessor", || {
        with_context(|state| {
            let info = kernel_of(state.functions.get(function)?)?;
            let Some(threads) = u32::try_from(threads).ok().filter(|threads| *threads > 0) else {
                return Err(Failure::new(Code::InvalidValue, format!("blocks of {threads} threads")));
            };
            let shared = u32::try_from(info.shared_bytes + dynamic_bytes as u64).unwrap_or(u32::MAX - 2048);
            let found = occupancy(&Gpu::H100, threads, info.live_registers, shared.min(u32::MAX - 2048));
            // SAFETY: as the caller promises.
            unsafe { host::put(blocks, found.blocks as c_int, "numBlocks") }
        })
    })
}

/// What a function's kernel declares.
pub fn kernel_of(function: &Function) -> Result<emulator::Kernel, Failure> {
    let gone = || Failure::new(Code::InvalidHandle, "the kernel of this function is gone");
    function.code.kernel(&function.kernel).ok_or_else(gone)
}

fn unknown_attribute(attribute: c_uint) -> Failure {
    Failure::new(Code::NotSupported, format!("function attribute {attribute} is not known to the emulator"))
}
