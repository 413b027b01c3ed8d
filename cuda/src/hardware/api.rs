//! The functions of the CUDA driver that are called, found by name when the program runs; their errors as ours.
//!
//! Two dozen functions are a table of their own: a binding of all of the driver takes longer to build than this crate, and stops the
//! program where an older driver lacks one function. Types are those of `cuda.h`: a handle is a pointer, a device address 64 bits, a
//! result a number, 0 for success.

use super::trail::Trail;
use crate::driver::{DriverError, Unavailable};
use emulator::library::Library;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// What the library points to: a context, a module, a function, a stream, an event. Only the library looks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Handle(*mut c_void);

impl Handle {
    /// Of nothing.
    pub const NULL: Handle = Handle(std::ptr::null_mut());
}

// SAFETY: to us it is a number; the driver takes its handles from any thread whose context is current.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// A struct of pointers to functions of a library, and how it is filled.
macro_rules! functions {
    ($(#[$doc:meta])* $table:ident { $($field:ident = $symbol:literal ($($arg:ty),* $(,)?);)* }) => {
        $(#[$doc])*
        pub struct $table {
            $(pub $field: unsafe extern "C" fn($($arg),*) -> c_int,)*
        }

        impl $table {
            /// All of them, or the message about the first that the library lacks.
            pub fn of(library: &Library) -> Result<$table, String> {
                // SAFETY: each is the function that NVIDIA's header declares with these arguments.
                unsafe { Ok($table { $($field: library.function($symbol)?,)* }) }
            }
        }
    };
}
pub(super) use functions;

functions! {
    /// The driver's functions.
    Functions {
        init = c"cuInit"(c_uint);
        version = c"cuDriverGetVersion"(*mut c_int);
        count = c"cuDeviceGetCount"(*mut c_int);
        device = c"cuDeviceGet"(*mut c_int, c_int);
        device_name = c"cuDeviceGetName"(*mut c_char, c_int, c_int);
        attribute = c"cuDeviceGetAttribute"(*mut c_int, c_uint, c_int);
        retain = c"cuDevicePrimaryCtxRetain"(*mut Handle, c_int);
        release = c"cuDevicePrimaryCtxRelease_v2"(c_int);
        set_current = c"cuCtxSetCurrent"(Handle);
        memory_info = c"cuMemGetInfo_v2"(*mut usize, *mut usize);
        alloc = c"cuMemAlloc_v2"(*mut u64, usize);
        free = c"cuMemFree_v2"(u64);
        upload = c"cuMemcpyHtoDAsync_v2"(u64, *const c_void, usize, Handle);
        download = c"cuMemcpyDtoHAsync_v2"(*mut c_void, u64, usize, Handle);
        load = c"cuModuleLoadData"(*mut Handle, *const c_void);
        unload = c"cuModuleUnload"(Handle);
        function = c"cuModuleGetFunction"(*mut Handle, Handle, *const c_char);
        set_attribute = c"cuFuncSetAttribute"(Handle, c_uint, c_int);
        launch = c"cuLaunchKernel"(
            Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void,
        );
        stream = c"cuStreamCreate"(*mut Handle, c_uint);
        end_stream = c"cuStreamDestroy_v2"(Handle);
        wait = c"cuStreamSynchronize"(Handle);
        event = c"cuEventCreate"(*mut Handle, c_uint);
        end_event = c"cuEventDestroy_v2"(Handle);
        record = c"cuEventRecord"(Handle, Handle);
        between = c"cuEventElapsedTime"(*mut f32, Handle, Handle);
        error_name = c"cuGetErrorName"(c_int, *mut *const c_char);
        error_text = c"cuGetErrorString"(c_int, *mut *const c_char);
    }
}

/// Codes of `cuda.h` that mean something to us.
pub mod code {
    /// No room on the device.
    pub const OUT_OF_MEMORY: i32 = 2;
    /// `cuInit` found no GPU.
    pub const NO_DEVICE: i32 = 100;
    /// PTX newer than the driver's compiler.
    pub const NEWER_PTX: i32 = 222;
    /// The module has no such kernel.
    pub const NOT_FOUND: i32 = 500;
    /// Not on this device.
    pub const NOT_SUPPORTED: i32 = 801;
}

impl Functions {
    /// The driver under one of these names: the first that can be loaded.
    pub fn find(names: &[String]) -> Result<Functions, Unavailable> {
        let open = |name: &String| Library::open(name.as_ref()).ok();
        let library = names.iter().find_map(open);
        let library = library.ok_or_else(|| Unavailable::NoDriver { tried: names.join(", ") })?;
        Functions::of(&library).map_err(|lacks| Unavailable::OldDriver { has: lacks })
    }
    /// A code's name and meaning, as the driver words them.
    pub fn words(&self, code: c_int) -> String {
        let ask = |of: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int| {
            let mut text = std::ptr::null();
            // SAFETY: a place for a pointer to a text that is never freed.
            if unsafe { of(code, &mut text) } != 0 || text.is_null() {
                return None;
            }
            // SAFETY: the driver's text, which ends with zero.
            Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
        };
        match (ask(self.error_name), ask(self.error_text)) {
            (Some(name), Some(text)) => format!("{name}: {text}"),
            (Some(name), None) => name,
            _ => format!("error {code}"),
        }
    }
    /// Success, or what the driver says of `what`, with the launches before it.
    pub fn checked(&self, what: &str, trail: &Trail, code: c_int) -> Result<(), DriverError> {
        if code == 0 {
            return Ok(());
        }
        Err(DriverError::Failed { what: what.into(), reason: self.words(code), launches: trail.recent() })
    }
}
