//! Finding a GPU that can be used, or saying why there is none.

use super::api::{Functions, Handle, code};
use super::trail::Trail;
use crate::driver::{DriverError, Unavailable};
use std::ffi::{CStr, c_int, c_uint};

/// CUDA 12.0, the first driver whose compiler reads PTX 8.0.
const OLDEST_DRIVER: i32 = 12000;
/// What the kernels' PTX is made for.
const OLDEST_GPU: (i32, i32) = (8, 0);
/// Of `CUdevice_attribute`.
const MAJOR: c_uint = 75;
const MINOR: c_uint = 76;
/// A stream that does not wait for the legacy one, which cuBLAS or others in the process may use.
const NON_BLOCKING: c_uint = 1;

/// What is known of the GPU and its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// As the driver calls it.
    pub name: String,
    /// 8.0 is (8, 0).
    pub capability: (i32, i32),
    /// The newest CUDA that the driver knows: 12090 is 12.9.
    pub driver: i32,
    /// Bytes that it has.
    pub memory: u64,
}

/// An open GPU: its context, and the stream in which everything happens.
pub struct Gpu {
    /// The driver.
    pub api: Functions,
    /// Of the device, as others in this process have it.
    pub context: Handle,
    /// Where everything is launched.
    pub stream: Handle,
    /// What was launched.
    pub trail: Trail,
    /// What it is.
    pub facts: Facts,
    device: c_int,
}

impl Gpu {
    /// The GPU of this number.
    pub fn open(api: Functions, number: usize) -> Result<Gpu, DriverError> {
        let trail = Trail::default();
        // SAFETY: no flags, which is all that there are.
        let begun = unsafe { (api.init)(0) };
        if begun == code::NO_DEVICE {
            return Err(Unavailable::NoDevice { asked: number, seen: 0 }.into());
        }
        api.checked("starting the CUDA driver", &trail, begun)?;
        let ask = |what: &str, of: &dyn Fn(&mut c_int) -> c_int| {
            let mut answer = 0;
            api.checked(what, &trail, of(&mut answer)).map(|()| answer)
        };
        // SAFETY: here and below, a place for a number.
        let driver = ask("asking the driver's version", &|n| unsafe { (api.version)(n) })?;
        if driver < OLDEST_DRIVER {
            return Err(Unavailable::OldDriver { has: format!("CUDA {}", dotted(driver)) }.into());
        }
        // SAFETY: as above.
        let seen = ask("counting GPUs", &|n| unsafe { (api.count)(n) })?;
        let seen = usize::try_from(seen).unwrap_or(0);
        let ordinal = c_int::try_from(number).ok().filter(|_| number < seen);
        let ordinal = ordinal.ok_or(Unavailable::NoDevice { asked: number, seen })?;
        // SAFETY: as above.
        let device = ask("choosing a GPU", &|n| unsafe { (api.device)(n, ordinal) })?;
        let attribute = |which: c_uint| {
            // SAFETY: as above.
            ask("asking the GPU's capability", &|n| unsafe { (api.attribute)(n, which, device) })
        };
        let capability = (attribute(MAJOR)?, attribute(MINOR)?);
        let name = name_of(&api, &trail, device)?;
        if capability < OLDEST_GPU {
            return Err(Unavailable::OldGpu { name, major: capability.0, minor: capability.1 }.into());
        }
        let (mut context, mut stream) = (Handle::NULL, Handle::NULL);
        // SAFETY: a place for a handle.
        api.checked("opening the GPU", &trail, unsafe { (api.retain)(&mut context, device) })?;
        let facts = Facts { name, capability, driver, memory: 0 };
        let mut gpu = Gpu { api, context, stream, trail, facts, device };
        gpu.bind()?;
        // SAFETY: as above.
        let made = unsafe { (gpu.api.stream)(&mut stream, NON_BLOCKING) };
        gpu.checked("making a stream", made)?;
        gpu.stream = stream;
        gpu.facts.memory = gpu.room()?.1;
        Ok(gpu)
    }
    /// Success, or the error of a call.
    pub fn checked(&self, what: &str, code: c_int) -> Result<(), DriverError> {
        self.api.checked(what, &self.trail, code)
    }
    /// Makes the GPU's context this thread's: calls come from any thread.
    pub fn bind(&self) -> Result<(), DriverError> {
        // SAFETY: a context that is retained until `self` is dropped.
        self.checked("using the GPU", unsafe { (self.api.set_current)(self.context) })
    }
    /// Bytes that are free, and all.
    pub fn room(&self) -> Result<(u64, u64), DriverError> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: places for numbers.
        let code = unsafe { (self.api.memory_info)(&mut free, &mut total) };
        self.checked("asking for free memory", code)?;
        Ok((free as u64, total as u64))
    }
    /// Waits for everything in the stream.
    pub fn wait(&self, what: &str) -> Result<(), DriverError> {
        // SAFETY: our stream.
        self.checked(what, unsafe { (self.api.wait)(self.stream) })
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.bind().is_ok() && self.stream != Handle::NULL {
            // SAFETY: nobody has the stream any more.
            unsafe { (self.api.end_stream)(self.stream) };
        }
        // SAFETY: retained once, in `open`.
        unsafe { (self.api.release)(self.device) };
    }
}

fn name_of(api: &Functions, trail: &Trail, device: c_int) -> Result<String, DriverError> {
    let mut text = [0_u8; 256];
    // SAFETY: room for so many bytes, of which the last stays zero.
    let code = unsafe { (api.device_name)(text.as_mut_ptr().cast(), 255, device) };
    api.checked("asking the GPU's name", trail, code)?;
    Ok(CStr::from_bytes_until_nul(&text).map_or("a GPU".into(), |name| name.to_string_lossy().into_owned()))
}

/// 12090 as 12.9.
pub fn dotted(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}
