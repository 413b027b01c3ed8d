//! Kinds of instructions, as the tables name them.

use crate::code::{Float, Op};
use crate::parse::Space;

/// A kind of instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// Integer arithmetic and logic.
    Integer,
    /// f32 arithmetic.
    Float32,
    /// f64 arithmetic.
    Float64,
    /// 16-bit floating-point arithmetic.
    Half,
    /// Approximate functions and conversions: the special-function units.
    Special,
    /// Matrix products.
    Matrix,
    /// Moves, selections, comparisons.
    Move,
    /// Global loads.
    GlobalLoad,
    /// Global stores.
    GlobalStore,
    /// Shared loads, `ldmatrix` with them.
    SharedLoad,
    /// Shared stores.
    SharedStore,
    /// Local loads and stores.
    Local,
    /// Parameters and constants.
    Constant,
    /// Atomic updates.
    Atomic,
    /// Asynchronous copies and their waits.
    AsyncCopy,
    /// Barriers.
    Barrier,
    /// Exchange between lanes.
    Exchange,
    /// Branches and exits.
    Control,
}

fn of_float(ty: Float) -> Class {
    match ty {
        Float::F32 => Class::Float32,
        Float::F64 => Class::Float64,
        _ => Class::Half,
    }
}

/// The class of an instruction.
pub(crate) fn class(op: &Op) -> Class {
    match op {
        Op::Int1 { .. } | Op::Int2 { .. } | Op::Count { .. } | Op::Word3 { .. } | Op::Mad { .. } => {
            Class::Integer
        }
        Op::Shift { .. } | Op::Bfe { .. } | Op::Bfi { .. } | Op::MulWide { .. } | Op::MadWide { .. } => {
            Class::Integer
        }
        Op::Float1 { ty, .. } | Op::Float2 { ty, .. } | Op::Fma { ty, .. } => of_float(*ty),
        Op::Approx { .. } | Op::ApproxDiv { .. } | Op::Convert { .. } | Op::ConvertPair { .. } => {
            Class::Special
        }
        Op::Setp { .. } | Op::SetpNan { .. } | Op::Selp { .. } | Op::Pred2 { .. } | Op::PredNot { .. } => {
            Class::Move
        }
        Op::Mov { .. } | Op::Pack { .. } | Op::Unpack { .. } => Class::Move,
        Op::Load(a) => match a.space {
            Space::Global | Space::Generic => Class::GlobalLoad,
            Space::Shared => Class::SharedLoad,
            Space::Local => Class::Local,
            Space::Param | Space::Const => Class::Constant,
        },
        Op::Store(a) => match a.space {
            Space::Shared => Class::SharedStore,
            Space::Local => Class::Local,
            _ => Class::GlobalStore,
        },
        Op::Atom { .. } => Class::Atomic,
        Op::Bra { .. } | Op::Exit | Op::Fence => Class::Control,
        Op::Bar { .. } | Op::BarReduce { .. } | Op::WarpSync { .. } => Class::Barrier,
        Op::Shuffle { .. }
        | Op::Vote { .. }
        | Op::Redux { .. }
        | Op::Match { .. }
        | Op::ActiveMask { .. } => Class::Exchange,
        Op::CopyAsync { .. } | Op::CopyCommit | Op::CopyWait { .. } | Op::CopyWaitAll => Class::AsyncCopy,
        Op::LoadMatrix { .. } => Class::SharedLoad,
        Op::Mma { .. } => Class::Matrix,
    }
}
