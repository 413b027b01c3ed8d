//! The compact form that is executed. A text is decoded into it once; after that no name, no string and no map is needed.
//!
//! Registers live in three banks, by what a warp holds for 32 lanes: `Word` (`[u32; 32]`: everything of 8 to 32 bits),
//! `Double` (`[u64; 32]`), `Pred` (one `u32` as a mask). An operand is a slot number. Constants and special registers are
//! slots too, filled before the first instruction, so an instruction has one kind of operand only.
//!
//! Read next: `op.rs` (the instructions), `function.rs` (what they compute), `visit.rs` (what each reads and writes), then `decode/`.

mod function;
mod op;
mod program;
mod visit;

pub(crate) use function::*;
pub(crate) use op::*;
pub(crate) use program::*;
pub(crate) use visit::Role;

/// A slot of a bank.
pub(crate) type Reg = u32;

/// Where registers of a width live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bank {
    Pred,
    Word,
    Double,
}

/// An instruction with its guard.
#[derive(Clone, Debug)]
pub(crate) struct Inst {
    pub op: Op,
    /// `@%p` or `@!%p`: slot, negated.
    pub guard: Option<(Reg, bool)>,
}
