//! What instructions compute: the fields of the variants of `op.rs`.

use super::Bank;
use crate::half::Round;

/// Width of integer arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    W16,
    W32,
    W64,
}

/// One operand, integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Int1 {
    Not,
    Neg,
    Abs,
    Brev,
}

/// A count of bits: the result is a word whatever the operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Popc,
    Clz,
    BfindU,
    BfindS,
}

/// Two operands, integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Int2 {
    Add,
    Sub,
    MulLo,
    MulHiS,
    MulHiU,
    DivS,
    DivU,
    RemS,
    RemU,
    MinS,
    MinU,
    MaxS,
    MaxU,
    And,
    Or,
    Xor,
}

/// Three operands of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word3 {
    Lop3(u8),
    Prmt,
    ShfLeftWrap,
    ShfLeftClamp,
    ShfRightWrap,
    ShfRightClamp,
}

/// A shift; amounts beyond the width clamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Left,
    RightS,
    RightU,
}

/// A product as wide as both factors together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wide {
    S16,
    U16,
    S32,
    U32,
}

/// Floating-point formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    F32,
    F64,
    F16,
    Bf16,
    F16x2,
    Bf16x2,
}

/// `.ftz` and `.sat`; `.rm` of `fma`, which rounds towards −∞ where all others round to the nearest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    pub ftz: bool,
    pub sat: bool,
    pub down: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float1 {
    Neg,
    Abs,
    Sqrt,
    Rcp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float2 {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    MinNan,
    MaxNan,
}

/// Instructions whose result is only bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approx {
    Ex2,
    Lg2,
    Sin,
    Cos,
    Tanh,
    Rcp,
    Rsqrt,
    Sqrt,
}

/// Number types of conversions and comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Num {
    /// Bits, signed.
    Int(u8, bool),
    F16,
    Bf16,
    F32,
    F64,
}

/// `cvt`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Convert {
    pub to: Num,
    pub from: Num,
    pub round: Round,
    /// `.rni` and its relatives: the result is a whole number.
    pub whole: bool,
    pub mode: Mode,
    /// Bits of the destination's register.
    pub to_bits: u8,
    pub from_bank: Bank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// `and`, `or`, `xor` of predicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Atomic {
    Add,
    MinS,
    MinU,
    MaxS,
    MaxU,
    And,
    Or,
    Xor,
    Exch,
    Cas,
    Inc,
    Dec,
}

/// What an atomic instruction works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtomType {
    B32,
    B64,
    F32,
    F64,
    F16x2,
    Bf16x2,
    F16,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Bfly,
    Idx,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uni,
    Ballot,
}

/// `bar.red`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BarReduce {
    Popc,
    And,
    Or,
}
