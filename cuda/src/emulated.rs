//! The driver that is the emulator: the committed PTX runs on the CPU, every checker on. The only file that calls it.

use crate::driver::{Driver, DriverError, Launch, Value};
use emulator::{Arg, Buffer, Class, Config, Counters, Device, Module, Options};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A GPU in software.
pub struct Emulated {
    state: Mutex<State>,
    options: Options,
}

struct State {
    device: Device,
    modules: HashMap<&'static str, Arc<Module>>,
    counters: Option<Counters>,
    together: Together,
}

/// What all launches together did: sectors of 32 bytes that moved between global memory and the multiprocessors, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// How many launches there were.
    pub launches: u64,
    /// Sectors read.
    pub read: u64,
    /// Sectors written.
    pub written: u64,
    /// `mma` instructions.
    pub matrix: u64,
    /// Accesses to shared memory: what they took, and the least that they could.
    pub shared: (u64, u64),
}

impl Emulated {
    /// With `options`: checks, order, perturbation.
    pub fn new(options: Options) -> Emulated {
        let (device, together) = (Device::new(Config::default()), Together::default());
        let state = State { device, modules: HashMap::new(), counters: None, together };
        Emulated { state: Mutex::new(state), options }
    }
    /// The counters of the latest launch, if there was one.
    pub fn counters(&self) -> Option<Counters> {
        self.state().counters.clone()
    }
    /// What all launches so far did together.
    pub fn together(&self) -> Together {
        self.state().together
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Emulated {
    fn default() -> Emulated {
        Emulated::new(Options::default())
    }
}

fn memory(error: emulator::MemoryError) -> DriverError {
    DriverError::Memory(error.to_string())
}

impl Driver for Emulated {
    fn name(&self) -> &'static str {
        "emulated"
    }
    fn alloc(&self, bytes: u64) -> Result<u64, DriverError> {
        self.state().device.alloc(bytes).map(|buffer| buffer.address).map_err(memory)
    }
    fn free(&self, address: u64, bytes: u64) -> Result<(), DriverError> {
        self.state().device.free(Buffer { address, bytes }).map_err(memory)
    }
    fn may_reuse(&self) -> bool {
        false
    }
    fn upload(&self, address: u64, data: &[u8]) -> Result<(), DriverError> {
        let buffer = Buffer { address, bytes: data.len() as u64 };
        self.state().device.write(buffer, 0, data).map_err(memory)
    }
    fn download(&self, address: u64, bytes: u64) -> Result<Option<Vec<u8>>, DriverError> {
        // of a block that may be larger
        self.state().device.read(Buffer { address, bytes }, 0, bytes as usize).map(Some).map_err(memory)
    }
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DriverError> {
        let mut state = self.state();
        let module = match state.modules.get(launch.module.name) {
            Some(module) => module.clone(),
            None => {
                let module = Module::load(launch.module.ptx, launch.module.name);
                let module = Arc::new(module.map_err(|e| DriverError::Load(e.to_string()))?);
                state.modules.insert(launch.module.name, module.clone());
                module
            }
        };
        let args: Vec<Arg> = launch.args.iter().map(argument).collect();
        let (grid, block) = ([launch.grid, 1, 1], [launch.block, 1, 1]);
        let request = emulator::Launch {
            grid,
            block,
            shared_bytes: u64::from(launch.shared_bytes),
            // more than every GPU gives unasked: a driver sets the kernel's attribute
            options: Options { large_shared: launch.shared_bytes > 48 << 10, ..self.options },
            ..emulator::Launch::of(&module, launch.kernel, &args)
        };
        let report = state
            .device
            .launch(&request)
            .map_err(|fault| DriverError::Launch { kernel: launch.kernel.into(), what: fault.to_string() })?;
        state.together.launches += 1;
        state.together.read += report.counters.load_sectors.0;
        state.together.written += report.counters.store_sectors.0;
        state.together.matrix += report.counters.classes.get(&Class::Matrix).copied().unwrap_or(0);
        state.together.shared.0 += report.counters.total.wavefronts;
        state.together.shared.1 += report.counters.total.requests;
        state.counters = Some(report.counters);
        Ok(())
    }
}

fn argument(value: &Value) -> Arg {
    match value {
        Value::Address(value) | Value::U64(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::F32(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::Bytes(bytes) => Arg::raw(bytes),
    }
}
