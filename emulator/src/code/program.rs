//! A decoded kernel and a decoded module.

use super::{Bank, Inst, Reg};

/// What fills a constant slot, once per launch, block or warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Bits(u64),
    /// Address of a `.global` or `.const` variable of the module, plus an offset.
    Variable(u32, i64),
    /// The first byte of the launch's dynamic shared memory, plus an offset.
    DynamicShared(i64),
    Special(Special),
}

/// Special registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Special {
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    LaneId,
    WarpId,
    NWarpId,
    LaneMask(LaneMask),
    DynamicSharedSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LaneMask {
    Eq,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Where an instruction stands: line of the PTX, number of the CUDA file, line in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Where {
    pub line: u32,
    pub file: u32,
    pub cuda_line: u32,
}

/// A parameter.
#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub bytes: u64,
    pub offset: u64,
}

/// A decoded kernel.
#[derive(Debug)]
pub(crate) struct Program {
    pub name: String,
    pub params: Vec<Param>,
    pub insts: Vec<Inst>,
    pub places: Vec<Where>,
    /// Slots that are filled from outside; they are the first of their banks.
    pub constants: Vec<(Bank, Reg, Source)>,
    /// Slots per bank: predicates, words, doubles.
    pub slots: [usize; 3],
    /// Registers that some path reads before it writes them: the only ones that must be watched.
    pub watched: Vec<(Bank, Reg)>,
    pub max_threads: Option<u64>,
    pub exact_threads: Option<[u64; 3]>,
    /// Bytes of declared shared memory; the dynamic part follows.
    pub shared_bytes: u64,
    pub dynamic_align: u64,
    pub local_bytes: u64,
    /// The narrowest access to shared memory, in bytes: what the race checker counts in.
    pub shared_granule: u64,
    /// Registers of 32 bits that are live at once, as liveness finds: a lower bound of what a GPU needs.
    pub live_words: u32,
}

/// A `.global` or `.const` variable.
#[derive(Debug)]
pub(crate) struct Global {
    pub name: String,
    pub align: u64,
    pub bytes: u64,
    pub initial: Vec<u8>,
    pub read_only: bool,
}
