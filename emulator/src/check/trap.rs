//! A fault as the executing core sees it: program counters instead of lines, block numbers instead of coordinates. The
//! launch turns it into a `Fault`.

use crate::error::FaultKind;

/// The other party.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub action: &'static str,
    pub block: u64,
    pub warp: u32,
    pub lane: Option<u32>,
    pub pc: u32,
}

/// A broken rule. `pc`, `warp` and `block` are filled in where they are known.
#[derive(Clone, Debug)]
pub(crate) struct Trap {
    pub kind: FaultKind,
    pub message: String,
    pub lane: Option<u32>,
    pub pc: u32,
    pub warp: u32,
    pub block: u64,
    pub other: Option<Other>,
}

impl Trap {
    pub fn new(kind: FaultKind, lane: Option<u32>, message: impl Into<String>) -> Box<Trap> {
        Box::new(Trap { kind, message: message.into(), lane, pc: 0, warp: 0, block: 0, other: None })
    }

    pub fn against(mut self: Box<Self>, other: Other) -> Box<Trap> {
        self.other = Some(other);
        self
    }
}
