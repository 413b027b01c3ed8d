//! What all warps of a block share while they run: the program, the memories, the checkers, the counters.

use super::trace::Step;
use super::warp::Warp;
use super::watch;
use crate::check::{Checks, GlobalLog, SharedShadow};
use crate::code::Program;
use crate::count::PcCount;
use crate::memory::GlobalMemory;

/// Choices of a launch that the executing core looks at.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    pub checks: Checks,
    pub counters: bool,
    pub perturb: Option<u64>,
    pub truncate_mma: bool,
}

/// One worker's view of the launch, used for block after block.
pub(crate) struct Context<'m> {
    pub program: &'m Program,
    pub global: GlobalMemory<'m>,
    /// Index of the allocation that was hit last.
    pub hint: usize,
    pub params: &'m [u8],
    pub shared: Vec<u8>,
    /// All threads' local memories, one after another; a thread's has `program.local_bytes`.
    pub local: Vec<u8>,
    /// One byte per byte of it: was it written?
    pub local_written: Vec<u8>,
    pub log: GlobalLog,
    pub shadow: SharedShadow,
    pub counts: Vec<PcCount>,
    pub mode: Mode,
    /// By instruction: the registers it names which may be read before they are written. Empty where nobody asks.
    pub watched: Vec<Vec<watch::Named>>,
    /// Called after every instruction of a traced launch.
    pub observer: Option<&'m mut dyn FnMut(&Step)>,
}

impl<'m> Context<'m> {
    pub fn new(
        program: &'m Program,
        global: GlobalMemory<'m>,
        params: &'m [u8],
        shared_bytes: u64,
        threads: usize,
        mode: Mode,
    ) -> Context<'m> {
        let local = threads.next_multiple_of(32) * program.local_bytes as usize;
        let checks = mode.checks;
        let watched = if checks.shared_races || checks.uninitialized { shared_bytes } else { 0 };
        let warps = threads.div_ceil(32);
        let granule = program.shared_granule;
        Context {
            program,
            global,
            hint: 0,
            params,
            shared: vec![0; shared_bytes as usize],
            local: vec![0; local],
            local_written: vec![0; if checks.uninitialized { local } else { 0 }],
            log: GlobalLog::new(program.insts.len()),
            shadow: SharedShadow::new(watched, granule, warps, checks.shared_races, checks.uninitialized),
            counts: vec![PcCount::default(); program.insts.len()],
            mode,
            watched: if checks.uninitialized { watch::instructions(program) } else { Vec::new() },
            observer: None,
        }
    }

    /// A new block begins. What the last one left in shared memory is made useless, not zero.
    pub fn begin(&mut self, block: u64) {
        self.shared.fill(0xcd);
        self.local_written.fill(0);
        self.log.block = block;
        self.shadow.reset(block);
    }

    /// Shows an executed instruction to the observer, where there is one.
    #[inline]
    pub fn trace(&mut self, warp: &Warp, pc: u32, mask: u32, here: u32) {
        if let Some(observer) = &mut self.observer {
            let (program, registers, shared) = (self.program, &warp.registers, &self.shared[..]);
            observer(&Step {
                program,
                registers,
                block: self.log.block,
                warp: warp.index,
                pc,
                mask,
                here,
                shared,
            });
        }
    }

    /// Are shared accesses to be shown to the checker?
    pub fn watches_shared(&self) -> bool {
        self.mode.checks.shared_races || self.mode.checks.uninitialized
    }
}
