//! A driver that remembers what it was asked to launch, and can ask for all of it again.
//!
//! A benchmark wants the kernels' time and not that of copies between host and device: an operation is called once, with everything
//! that belongs to a call, and then only its launches are repeated, on the memory that they had. Nothing else may use the backend
//! meanwhile, so that memory is still theirs: the pool keeps what a call gave up.

use crate::bundle::Bundled;
use crate::driver::{Driver, DriverError, Launch, Value};
use crate::gemm::Gemm;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was asked for.
enum Step {
    Launch {
        op: &'static str,
        module: &'static Bundled,
        kernel: String,
        shape: [u32; 3],
        args: Vec<Value>,
        bytes: f64,
    },
    Gemm {
        op: &'static str,
        product: Gemm,
    },
}

/// A driver over another, which it passes everything on to.
pub struct Replay<D> {
    inner: D,
    steps: Mutex<Vec<Step>>,
}

impl<D: Driver> Replay<D> {
    /// Over `inner`; nothing remembered yet.
    pub fn new(inner: D) -> Replay<D> {
        Replay { inner, steps: Mutex::default() }
    }
    /// The driver below.
    pub fn inner(&self) -> &D {
        &self.inner
    }
    fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Forgets everything.
    pub fn forget(&self) {
        self.steps().clear();
    }
    /// The names of what is remembered, in order.
    pub fn names(&self) -> Vec<String> {
        let name = |step: &Step| match step {
            Step::Launch { kernel, .. } => kernel.clone(),
            Step::Gemm { .. } => "cublas".into(),
        };
        self.steps().iter().map(name).collect()
    }
    /// Launches all of it once more.
    ///
    /// # Errors
    /// The driver's.
    pub fn again(&self) -> Result<(), DriverError> {
        for step in self.steps().iter() {
            match step {
                Step::Launch { op, module, kernel, shape: [grid, block, shared_bytes], args, bytes } => {
                    let (grid, block, shared_bytes) = (*grid, *block, *shared_bytes);
                    let launch =
                        Launch { op, module, kernel, grid, block, shared_bytes, args, bytes: *bytes };
                    self.inner.launch(&launch)?;
                }
                Step::Gemm { op, product } => {
                    self.inner.gemm(op, product)?;
                }
            }
        }
        Ok(())
    }
}

impl<D: Driver> Driver for Replay<D> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn usable(&self) -> Result<(), DriverError> {
        self.inner.usable()
    }
    fn alloc(&self, bytes: u64) -> Result<u64, DriverError> {
        self.inner.alloc(bytes)
    }
    fn free(&self, address: u64, bytes: u64) -> Result<(), DriverError> {
        self.inner.free(address, bytes)
    }
    fn may_reuse(&self) -> bool {
        true
    }
    fn upload(&self, address: u64, data: &[u8]) -> Result<(), DriverError> {
        self.inner.upload(address, data)
    }
    fn download(&self, address: u64, bytes: u64) -> Result<Option<Vec<u8>>, DriverError> {
        self.inner.download(address, bytes)
    }
    fn gemm(&self, op: &'static str, product: &Gemm) -> Result<bool, DriverError> {
        let done = self.inner.gemm(op, product)?;
        if done {
            self.steps().push(Step::Gemm { op, product: *product });
        }
        Ok(done)
    }
    fn synchronize(&self) -> Result<(), DriverError> {
        self.inner.synchronize()
    }
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DriverError> {
        self.inner.launch(launch)?;
        self.steps().push(Step::Launch {
            op: launch.op,
            module: launch.module,
            kernel: launch.kernel.into(),
            shape: [launch.grid, launch.block, launch.shared_bytes],
            args: launch.args.to_vec(),
            bytes: launch.bytes,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cuda, DryRun};
    use kernels::{View, ViewMut, relu_squared};

    #[test]
    fn what_was_launched_is_launched_again_with_the_same_arguments() {
        let gpu = Cuda::new(Replay::new(DryRun::default()));
        let mut y = [0.0_f32; 3];
        let (x, out) = (View::from_slice(&[1.0_f32, 2.0, 3.0], &[3]), ViewMut::from_slice(&mut y, &[3]));
        relu_squared::relu_squared_fwd(&gpu, x.unwrap(), out.unwrap()).unwrap();
        let first = gpu.driver().inner().take_launches();
        assert_eq!(gpu.driver().names(), [first[0].kernel.clone()]);
        gpu.driver().again().unwrap();
        assert_eq!(gpu.driver().inner().take_launches(), first);
        gpu.driver().forget();
        gpu.driver().again().unwrap();
        assert_eq!(gpu.driver().inner().take_launches(), []);
    }
}
