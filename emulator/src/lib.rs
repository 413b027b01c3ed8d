//! A GPU in software: runs the PTX that NVRTC produces on the CPU, strictly, and finds what a GPU would hide.
//!
//! ```no_run
//! use emulator::{Config, Device, Launch, Module};
//! let module = Module::load(&std::fs::read_to_string("scale.ptx")?, "scale.ptx")?;
//! let mut device = Device::new(Config::default());
//! let x = device.upload(&[1.0_f32, 2.0, 3.0])?;
//! let args = [x.into(), 3_u32.into()];
//! let report = device.launch(&Launch { grid: [1, 1, 1], block: [32, 1, 1], ..Launch::of(&module, "scale", &args) })?;
//! assert_eq!(device.download::<f32>(x)?, [2.0, 4.0, 6.0]);
//! println!("{}", report.counters);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Three ideas. *Strict*: a text is decoded once, and an opcode, modifier or width that is not known is an error with its
//! line, never a guess. *Lock-step*: a warp is 32 lanes in arrays, so one instruction is one vectorised loop. *By meaning*:
//! races and stale reads are found from what the program orders, not from the order this machine happened to choose.
//!
//! What it is not: a model of time. It counts what can be counted exactly (instructions, sectors, bank conflicts) and
//! claims no milliseconds. Nothing here is a test on a GPU; results are checked by emulation.
//!
//! Where to look: `parse/` (text to names), `decode/` (names to the compact form), `code/` (the compact form), `memory/`,
//! `exec/` (warps, blocks, launches), `check/` (the rules), `count/` (the counters), `step/` (a launch as text).

mod check;
mod code;
mod count;
mod decode;
mod error;
mod exec;
pub mod half;
pub mod library;
mod memory;
mod module;
pub mod nvrtc;
mod parse;
mod step;

pub use check::Checks;
pub use count::{Class, Counters, Gpu, LineCount, Occupancy, occupancy};
pub use error::{Fault, FaultKind, LoadError, Party, Place};
pub use exec::{Arg, Launch, Options, Report, Step};
pub use memory::{Buffer, Config, Device, MemoryError, Plain};
pub use module::{Kernel, Module};
pub use step::{Story, line_table, narrate};

impl Device {
    /// Runs a kernel.
    ///
    /// # Errors
    /// Whatever rule was broken first: a limit, an argument, or one of `Options::checks`. Memory then holds what was
    /// written up to there.
    pub fn launch(&mut self, launch: &Launch) -> Result<Report, Box<Fault>> {
        exec::launch(self, launch, None)
    }

    /// The same, with `observer` called after every instruction of every warp, on one thread.
    ///
    /// # Errors
    /// As for `launch`.
    pub fn trace(&mut self, launch: &Launch, observer: &mut dyn FnMut(&Step)) -> Result<Report, Box<Fault>> {
        exec::launch(self, launch, Some(observer))
    }
}
