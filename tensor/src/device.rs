//! Where a tensor lives and which backend computes on it: a run-time value, one virtual call per operation.

use cuda::{Cuda, Emulated};
use kernels::{Backend, Cpu, DType, Reference};
use std::fmt;
use std::sync::LazyLock;

/// A backend together with its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The fast CPU kernels, host memory.
    Cpu,
    /// The naive f64 definitions, host memory. The only device that stores f64.
    Reference,
    /// The CUDA kernels on the emulator, host memory: each call copies its arguments there and back. For checking.
    Emulated,
}

/// One GPU in software for the whole process.
static EMULATED: LazyLock<Cuda<Emulated>> = LazyLock::new(|| Cuda::new(Emulated::default()));

impl Device {
    /// The kernels of this device.
    pub fn backend(self) -> &'static dyn Backend {
        match self {
            Device::Cpu => &Cpu,
            Device::Reference => &Reference,
            Device::Emulated => &*EMULATED,
        }
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
            Device::Emulated => "emulated",
        })
    }
}
