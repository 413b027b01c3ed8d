//! All there is: one device, its primary context, and what programs made on it. One lock; calls run one after the other, and
//! each is finished when it returns, so streams and events only keep order that is there anyway.

use crate::failure::{Code, Failure};
use crate::handles::{Handle, Handles};
use crate::pretend::Pretended;
use emulator::{Config, Device, Gpu, Module, Options};
use std::alloc::Layout;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// A kernel that was asked for by name.
pub struct Function {
    pub module: Handle,
    pub code: Arc<Module>,
    pub kernel: String,
    /// Dynamic shared memory that the program allows it, beyond 48 KiB by an attribute.
    pub dynamic_shared: u64,
}

/// What cuBLAS keeps for a handle.
#[derive(Default)]
pub struct Blas {
    /// Are `alpha` and `beta` addresses of the device?
    pub device_pointers: bool,
}

pub struct State {
    pub device: Device,
    pub pretended: Pretended,
    pub initialized: bool,
    /// How often the primary context was retained.
    pub retained: usize,
    pub modules: Handles<Arc<Module>>,
    pub functions: Handles<Function>,
    pub streams: Handles<()>,
    pub events: Handles<()>,
    pub blas: Handles<Blas>,
    /// Host memory by address.
    pub host: HashMap<usize, Layout>,
    /// The fault that the context was lost with.
    pub lost: Option<Failure>,
    pub options: Options,
}

// SAFETY: handles are numbers here, never followed as pointers, and everything else in it may change threads.
unsafe impl Send for State {}

impl State {
    /// Nothing made yet.
    pub fn new() -> State {
        let fast = std::env::var_os("EMULATOR_LIBCUDA_CHECKS").is_some_and(|value| value == "none");
        let shared_bytes_per_block = Gpu::H100.shared_bytes_per_block.into();
        let pretended = Pretended::from_env();
        let (memory_bytes, compute_capability) = (pretended.memory, pretended.capability);
        let config = Config { shared_bytes_per_block, memory_bytes, compute_capability };
        State {
            pretended,
            device: Device::new(config),
            initialized: false,
            retained: 0,
            modules: Handles::of("module"),
            functions: Handles::of("function"),
            streams: Handles::of("stream"),
            events: Handles::of("event"),
            blas: Handles::of("cuBLAS handle"),
            host: HashMap::new(),
            lost: None,
            options: if fast { Options::fast() } else { Options::default() },
        }
    }

    /// Is this a stream? The null stream and the per-thread one (2) always are, and 1, the legacy stream by its name.
    pub fn stream(&mut self, stream: Handle) -> Result<(), Failure> {
        if stream as usize <= 2 { Ok(()) } else { self.streams.get(stream).map(|_| ()) }
    }
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

thread_local! {
    /// Is the primary context current on this thread?
    static CURRENT: Cell<bool> = const { Cell::new(false) };
}

/// The one context's handle.
pub const CONTEXT: usize = 0x10;

pub fn is_current() -> bool {
    CURRENT.get()
}

pub fn set_current(yes: bool) {
    CURRENT.set(yes);
}

/// Runs `body` on the state, whatever state that is.
pub fn with_any<T>(body: impl FnOnce(&mut State) -> Result<T, Failure>) -> Result<T, Failure> {
    // a call that panicked is no reason to refuse the next one
    let mut guard: MutexGuard<Option<State>> = STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    body(guard.get_or_insert_with(State::new))
}

/// Runs `body` after `cuInit`.
pub fn with_driver<T>(body: impl FnOnce(&mut State) -> Result<T, Failure>) -> Result<T, Failure> {
    with_any(|state| match state.initialized {
        true => body(state),
        false => Err(Failure::new(Code::NotInitialized, "call cuInit first")),
    })
}

/// Runs `body` in the current context, unless that is lost. A fatal failure loses it.
pub fn with_context<T>(body: impl FnOnce(&mut State) -> Result<T, Failure>) -> Result<T, Failure> {
    with_driver(|state| {
        if !is_current() || state.retained == 0 {
            return Err(Failure::new(
                Code::InvalidContext,
                "no context is current on this thread: cuCtxSetCurrent",
            ));
        }
        if let Some(lost) = &state.lost {
            return Err(Failure { again: true, ..lost.clone() });
        }
        let result = body(state);
        if let Err(failure) = &result
            && failure.fatal
        {
            state.lost = Some(failure.clone());
        }
        result
    })
}
