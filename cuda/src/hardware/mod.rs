//! The driver that is a GPU: NVIDIA's `libcuda`, found when the program runs.
//!
//! ```text
//! libraries.rs   which files        api.rs     the driver's functions     device.rs   a GPU, or why there is none
//! modules.rs     PTX to kernels     blas.rs    matrix products            timer.rs    how long it took
//! trail.rs       the last launches, which every error names
//! ```
//!
//! Everything is put into one stream and comes to pass there in order, behind the program: only reading a result waits. Uploads are
//! copied out of the host's memory before the call returns, so their source is free at once. Tests run this very code on
//! `emulator-libcuda`, a driver in software.

mod api;
mod blas;
mod device;
mod libraries;
mod modules;
mod timer;
mod trail;

pub use device::Facts;
pub use libraries::Libraries;
pub use modules::readable;
pub use timer::Clock;

use crate::driver::{Driver, DriverError, Launch, Value};
use crate::gemm::Gemm;
use api::{Functions, code};
use blas::Blas;
use device::Gpu;
use modules::Modules;
use std::ffi::c_void;

/// A GPU, or the reason why there is none, which every call then returns.
pub struct Hardware(Result<Open, DriverError>);

/// In the order in which they end: the context last.
struct Open {
    blas: Result<Blas, String>,
    modules: Modules,
    gpu: Gpu,
}

impl Hardware {
    /// The GPU of this number, by these libraries.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(number: usize, libraries: &Libraries) -> Result<Hardware, DriverError> {
        open(number, libraries).map(|open| Hardware(Ok(open)))
    }
    /// The same, where a refusal is to come with the first call.
    pub fn open_or_refuse(number: usize, libraries: &Libraries) -> Hardware {
        Hardware(open(number, libraries))
    }
    /// What the GPU is; or why there is none.
    ///
    /// # Errors
    /// The reason.
    pub fn facts(&self) -> Result<&Facts, DriverError> {
        self.open_gpu().map(|gpu| &gpu.facts)
    }
    /// Bytes of its memory that are free, and all.
    ///
    /// # Errors
    /// The driver's.
    pub fn room(&self) -> Result<(u64, u64), DriverError> {
        let gpu = self.open_gpu()?;
        gpu.bind()?;
        gpu.room()
    }
    /// Does cuBLAS multiply? Otherwise, why not.
    pub fn blas(&self) -> Result<(), String> {
        let open = self.0.as_ref().map_err(DriverError::to_string)?;
        open.blas.as_ref().map(|_| ()).map_err(String::clone)
    }
    /// Does NVRTC compile the kernels for this GPU?
    pub fn compiles(&self) -> bool {
        self.0.as_ref().is_ok_and(|open| open.modules.compiles())
    }
    /// The latest launches, the newest first, as errors name them.
    pub fn launches(&self) -> String {
        self.0.as_ref().map_or("none".into(), |open| open.gpu.trail.recent())
    }
    fn state(&self) -> Result<&Open, DriverError> {
        self.0.as_ref().map_err(DriverError::clone)
    }
    fn open_gpu(&self) -> Result<&Gpu, DriverError> {
        self.state().map(|open| &open.gpu)
    }
}

fn open(number: usize, libraries: &Libraries) -> Result<Open, DriverError> {
    let gpu = Gpu::open(Functions::find(&libraries.driver)?, number)?;
    let blas = Blas::open(&gpu, &libraries.blas);
    Ok(Open { blas, modules: Modules::new(&libraries.nvrtc), gpu })
}

impl Drop for Open {
    fn drop(&mut self) {
        // what cannot be given back to a driver that fails is lost with the process
        let _ = self.gpu.bind().and_then(|()| self.gpu.wait("ending"));
        self.modules.unload(&self.gpu);
    }
}

impl Driver for Hardware {
    fn name(&self) -> &'static str {
        "cuda"
    }
    fn usable(&self) -> Result<(), DriverError> {
        self.open_gpu().map(|_| ())
    }
    fn alloc(&self, bytes: u64) -> Result<u64, DriverError> {
        let gpu = self.open_gpu()?;
        gpu.bind()?;
        let mut address = 0;
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        // SAFETY: a place for an address.
        let code = unsafe { (gpu.api.alloc)(&mut address, size) };
        if code == code::OUT_OF_MEMORY {
            let (free, total) = gpu.room().unwrap_or((0, gpu.facts.memory));
            return Err(DriverError::Full { bytes, free, total });
        }
        gpu.checked("allocating device memory", code)?;
        Ok(address)
    }
    fn free(&self, address: u64, _: u64) -> Result<(), DriverError> {
        let gpu = self.open_gpu()?;
        gpu.bind()?;
        // SAFETY: memory of `alloc`, given up once; the driver waits for those who use it.
        gpu.checked("freeing device memory", unsafe { (gpu.api.free)(address) })
    }
    fn may_reuse(&self) -> bool {
        true // in one stream, whoever gets memory again comes after whoever had it
    }
    fn upload(&self, address: u64, data: &[u8]) -> Result<(), DriverError> {
        let gpu = self.open_gpu()?;
        gpu.bind()?;
        // SAFETY: so many bytes of ours, which the driver copies before it returns: they are not in page-locked memory.
        let code = unsafe { (gpu.api.upload)(address, data.as_ptr().cast(), data.len(), gpu.stream) };
        gpu.checked("copying to the GPU", code)
    }
    fn download(&self, address: u64, bytes: u64) -> Result<Option<Vec<u8>>, DriverError> {
        let gpu = self.open_gpu()?;
        gpu.bind()?;
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut data = vec![0_u8; size];
        // SAFETY: room for so many bytes, which lives until the stream was waited for.
        let code = unsafe { (gpu.api.download)(data.as_mut_ptr().cast(), address, size, gpu.stream) };
        gpu.checked("copying from the GPU", code)?;
        gpu.wait("waiting for the GPU")?;
        Ok(Some(data))
    }
    fn gemm(&self, op: &'static str, product: &Gemm) -> Result<bool, DriverError> {
        let open = self.state()?;
        let Ok(blas) = &open.blas else { return Ok(false) };
        open.gpu.bind()?;
        let done = blas.multiply(&open.gpu, product)?;
        if done {
            open.gpu.trail.add(op, "cublasGemmStridedBatchedEx", product.batch as u32, 1);
        }
        Ok(done)
    }
    fn synchronize(&self) -> Result<(), DriverError> {
        let gpu = self.open_gpu()?;
        gpu.bind()?;
        gpu.wait("waiting for the GPU")
    }
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DriverError> {
        let open = self.state()?;
        let gpu = &open.gpu;
        gpu.bind()?;
        let function = open.modules.function(gpu, launch)?;
        let (mut words, starts) = laid_out(launch.args);
        let mut pointers: Vec<*mut c_void> =
            starts.into_iter().map(|start| words[start..].as_mut_ptr().cast()).collect();
        gpu.trail.add_launch(launch);
        // SAFETY: a function of a loaded module, and for each of its parameters, which `signature` compared with the arguments, a
        // pointer to as many bytes. The driver reads them before it returns.
        let code = unsafe {
            (gpu.api.launch)(
                function,
                launch.grid,
                1,
                1,
                launch.block,
                1,
                1,
                launch.shared_bytes,
                gpu.stream,
                pointers.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        gpu.checked(&format!("launching {}", launch.kernel), code)
    }
}

/// The arguments one after the other, each from a boundary of 8 bytes on, and where each begins.
fn laid_out(args: &[Value]) -> (Vec<u64>, Vec<usize>) {
    let (mut words, mut starts) = (Vec::new(), Vec::with_capacity(args.len()));
    for arg in args {
        starts.push(words.len());
        match arg {
            Value::Address(value) | Value::U64(value) => words.push(*value),
            Value::U32(value) => words.push(u64::from(*value)),
            Value::F32(value) => words.push(u64::from(value.to_bits())),
            Value::F64(value) => words.push(value.to_bits()),
            Value::Bytes(bytes) => words.extend(bytes.chunks(8).map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(word)
            })),
        }
    }
    (words, starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_begins_on_a_boundary_and_keeps_its_bytes() {
        let args = [Value::U32(7), Value::Bytes((1..=12).collect()), Value::F32(1.5), Value::Address(9)];
        let (words, starts) = laid_out(&args);
        assert_eq!(starts, [0, 1, 3, 4]);
        assert_eq!((words[0], words[3], words[4]), (7, u64::from(1.5_f32.to_bits()), 9));
        assert_eq!(words[1].to_le_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(words[2].to_le_bytes(), [9, 10, 11, 12, 0, 0, 0, 0]);
    }
}
