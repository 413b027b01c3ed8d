//! Kernels on the GPU: a module for each `.cu` file, loaded when it is first needed, and its functions.
//!
//! The text is what NVRTC makes of the source for this very GPU, where that compiler is there; otherwise, and where the driver refuses
//! that, the committed PTX. The driver compiles either to machine code, and keeps that on disk for the next time.

use super::api::{Handle, code};
use super::device::Gpu;
use crate::bundle::Bundled;
use crate::driver::{DriverError, Launch};
use emulator::nvrtc::Nvrtc;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CString, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Shared memory that every kernel may have unasked.
const PLAIN_SHARED: u32 = 48 << 10;
/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
const DYNAMIC_SHARED: c_uint = 8;

/// All that was loaded.
pub struct Modules {
    compiler: Option<Nvrtc>,
    loaded: Mutex<HashMap<&'static str, Loaded>>,
}

struct Loaded {
    module: Handle,
    /// By name: the function, and the shared memory that it may have.
    functions: HashMap<String, (Handle, u32)>,
}

impl Modules {
    /// Nothing loaded; the compiler is the first of these names that can be.
    pub fn new(compilers: &[String]) -> Modules {
        let compiler = compilers.iter().find_map(|name| Nvrtc::load(Path::new(name)).ok());
        Modules { compiler, loaded: Mutex::default() }
    }
    /// Is NVRTC there?
    pub fn compiles(&self) -> bool {
        self.compiler.is_some()
    }
    /// The function of a launch, allowed as much shared memory as that wants.
    pub fn function(&self, gpu: &Gpu, launch: &Launch<'_>) -> Result<Handle, DriverError> {
        let mut all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let name = launch.module.name;
        let loaded = match all.entry(name) {
            std::collections::hash_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let module = self.load(gpu, launch.module)?;
                place.insert(Loaded { module, functions: HashMap::new() })
            }
        };
        if !loaded.functions.contains_key(launch.kernel) {
            let function = find(gpu, loaded.module, name, launch.kernel)?;
            loaded.functions.insert(launch.kernel.into(), (function, PLAIN_SHARED));
        }
        let missing = || DriverError::Load(format!("{name} has no kernel {}", launch.kernel));
        let (function, allowed) = loaded.functions.get_mut(launch.kernel).ok_or_else(missing)?;
        if launch.shared_bytes > *allowed {
            // below 2³¹: the launch's own limit is far lower
            let bytes = launch.shared_bytes as c_int;
            // SAFETY: a function of a loaded module.
            let set = unsafe { (gpu.api.set_attribute)(*function, DYNAMIC_SHARED, bytes) };
            gpu.checked(&format!("allowing {} {bytes} bytes of shared memory", launch.kernel), set)?;
            *allowed = launch.shared_bytes;
        }
        Ok(*function)
    }
    fn load(&self, gpu: &Gpu, bundled: &Bundled) -> Result<Handle, DriverError> {
        let (major, minor) = gpu.facts.capability;
        let fresh = self.compiler.as_ref().and_then(|compiler| {
            let name = format!("{}.cu", bundled.name);
            compiler.with_lines(&bundled.source(), &name, &format!("compute_{major}{minor}")).ok()
        });
        if let Some(module) = fresh.and_then(|text| load(gpu, &text).ok()) {
            return Ok(module);
        }
        load(gpu, &readable(bundled.ptx, gpu.facts.driver)).map_err(|code| {
            let hint = if code == code::NEWER_PTX { "; update NVIDIA's driver" } else { "" };
            DriverError::Load(format!("{}.ptx: {}{hint}", bundled.name, gpu.api.words(code)))
        })
    }
    /// Gives everything back.
    pub fn unload(&self, gpu: &Gpu) {
        for (_, loaded) in self.loaded.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            // SAFETY: a loaded module, whose functions are forgotten with it.
            unsafe { (gpu.api.unload)(loaded.module) };
        }
    }
}

/// A module of this text, or the driver's code.
fn load(gpu: &Gpu, text: &str) -> Result<Handle, c_int> {
    const INVALID: c_int = 1;
    let text = CString::new(text).map_err(|_| INVALID)?;
    let mut module = Handle::NULL;
    // SAFETY: a place for a handle, and a text that ends with zero.
    match unsafe { (gpu.api.load)(&mut module, text.as_ptr().cast::<c_void>()) } {
        0 => Ok(module),
        code => Err(code),
    }
}

fn find(gpu: &Gpu, module: Handle, name: &str, kernel: &str) -> Result<Handle, DriverError> {
    let text = CString::new(kernel).map_err(|_| DriverError::Load(format!("{kernel:?} is no name")))?;
    let mut function = Handle::NULL;
    // SAFETY: a place for a handle, a loaded module, a text that ends with zero.
    let code = unsafe { (gpu.api.function)(&mut function, module, text.as_ptr()) };
    if code == code::NOT_FOUND {
        return Err(DriverError::Load(format!("{name} has no kernel {kernel}")));
    }
    gpu.checked(&format!("finding {kernel}"), code)?;
    Ok(function)
}

/// The committed text as a driver of this version reads it. A text says which PTX it is written in, the compiler's newest; nothing in
/// ours is newer than 8.0 (`cargo xtask ptxas` assembles it as that), which the oldest driver that is accepted knows.
pub fn readable(ptx: &str, driver: i32) -> Cow<'_, str> {
    const MADE_WITH: i32 = 12090;
    match ptx.find("\n.version ") {
        Some(at) if driver < MADE_WITH => {
            let rest = &ptx[at + 1..];
            let end = rest.find('\n').unwrap_or(rest.len());
            Cow::Owned(format!("{}\n.version 8.0{}", &ptx[..at], &rest[end..]))
        }
        _ => Cow::Borrowed(ptx),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle;

    #[test]
    fn an_older_driver_is_given_the_same_text_under_an_older_number() {
        for bundled in bundle::ALL {
            assert_eq!(readable(bundled.ptx, 12090), bundled.ptx);
            let (old, new) = (readable(bundled.ptx, 12000), bundled.ptx);
            let differ: Vec<(&str, &str)> = old.lines().zip(new.lines()).filter(|(a, b)| a != b).collect();
            assert_eq!(differ, [(".version 8.0", ".version 8.8")], "{}", bundled.name);
            assert_eq!(old.lines().count(), new.lines().count());
        }
    }
}
