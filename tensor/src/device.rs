//! Where a tensor lives and which backend computes on it: a run-time value, one virtual call per operation.

use cuda::hardware::Libraries;
use cuda::{Cuda, DriverError, DryRun, Emulated, Hardware, Memory};
use kernels::{Backend, Cpu, DType, Reference, Space};
use std::fmt;
use std::sync::{LazyLock, OnceLock};

/// A backend together with its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The fast CPU kernels, host memory.
    Cpu,
    /// The naive f64 definitions, host memory. The only device that stores f64.
    Reference,
    /// The CUDA kernels on a GPU: the one that [`open_gpu`] chose, or the first.
    Cuda,
    /// The CUDA kernels on the emulator, a GPU in software with memory of its own. For checking.
    Emulated,
    /// The CUDA kernels as they would be launched: nothing is computed, and memory is counted, not there.
    DryRun,
}

/// One GPU in software for the whole process.
static EMULATED: LazyLock<Cuda<Emulated>> = LazyLock::new(|| Cuda::new(Emulated::default()));
static DRY_RUN: LazyLock<Cuda<DryRun>> = LazyLock::new(|| Cuda::new(DryRun::default()));
/// One GPU for the whole process. Where there is none, every call says why.
static GPU: OnceLock<Cuda<Hardware>> = OnceLock::new();

fn gpu(number: usize) -> &'static Cuda<Hardware> {
    let open = || Hardware::open_or_refuse(number, &Libraries::from_env());
    GPU.get_or_init(|| Cuda::new(open()).with_reclaim(|| crate::storage::trim(Device::Cuda)))
}

/// Makes the GPU of this number what [`Device::Cuda`] means, unless that was settled before: a process has one.
///
/// # Errors
/// There is no driver, it is too old, or there is no such GPU that could be used.
pub fn open_gpu(number: usize) -> std::result::Result<&'static Cuda<Hardware>, DriverError> {
    let gpu = gpu(number);
    gpu.driver().facts().map(|_| gpu)
}

/// The launches of [`Device::DryRun`] since the last call.
pub fn dry_launches() -> Vec<cuda::Recorded> {
    DRY_RUN.driver().take_launches()
}

impl Device {
    /// The kernels of this device.
    pub fn backend(self) -> &'static dyn Backend {
        match self {
            Device::Cpu => &Cpu,
            Device::Reference => &Reference,
            Device::Cuda => gpu(0),
            Device::Emulated => &*EMULATED,
            Device::DryRun => &*DRY_RUN,
        }
    }
    /// Its memory, where that is not the host's.
    pub fn memory(self) -> Option<&'static dyn Memory> {
        match self {
            Device::Cpu | Device::Reference => None,
            Device::Cuda => Some(gpu(0)),
            Device::Emulated => Some(&*EMULATED),
            Device::DryRun => Some(&*DRY_RUN),
        }
    }
    pub(crate) fn space(self) -> Space {
        self.memory().map_or(Space::Host, |_| Space::Device(0))
    }
    /// Can a tensor of `dtype` live here?
    pub fn stores(self, dtype: DType) -> bool {
        self == Device::Reference || dtype != DType::F64
    }
    /// The device called `name`, as on the command line.
    pub fn from_name(name: &str) -> Option<Device> {
        match name {
            "cpu" => Some(Device::Cpu),
            "reference" => Some(Device::Reference),
            "cuda" => Some(Device::Cuda),
            "emulated" => Some(Device::Emulated),
            _ => None,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Device::Cpu => "cpu",
            Device::Reference => "reference",
            Device::Cuda => "cuda",
            Device::Emulated => "emulated",
            Device::DryRun => "dry-run",
        })
    }
}
