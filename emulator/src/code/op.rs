//! The instructions, one variant per shape of operands; what is computed is a field.

use super::{Bank, Reg};
use crate::half::Round;
use crate::parse::Space;

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

/// `.ftz` and `.sat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    pub ftz: bool,
    pub sat: bool,
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

/// Base register (of `bank`) plus a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addr {
    pub bank: Bank,
    pub base: Reg,
    pub offset: i64,
}

/// A load or store of `count` elements of `bytes` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub space: Space,
    pub bytes: u8,
    pub count: u8,
    pub signed: bool,
    /// `.nc`: through the read-only path.
    pub nc: bool,
    /// Bank of the registers.
    pub bank: Bank,
    pub addr: Addr,
    /// The registers; `SINK` for one that is thrown away.
    pub regs: [Reg; 4],
}

/// Stands for `_`.
pub(crate) const SINK: Reg = Reg::MAX;

/// Everything that can be executed. `d` is the destination.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Int1 { f: Int1, w: Width, d: Reg, a: Reg },
    Count { f: Count, w: Width, d: Reg, a: Reg },
    Int2 { f: Int2, w: Width, d: Reg, a: Reg, b: Reg },
    Word3 { f: Word3, d: Reg, a: Reg, b: Reg, c: Reg },
    Mad { hi: bool, signed: bool, w: Width, d: Reg, a: Reg, b: Reg, c: Reg },
    Shift { f: Shift, w: Width, d: Reg, a: Reg, b: Reg },
    Bfe { signed: bool, w: Width, d: Reg, a: Reg, pos: Reg, len: Reg },
    Bfi { w: Width, d: Reg, a: Reg, b: Reg, pos: Reg, len: Reg },
    MulWide { f: Wide, d: Reg, a: Reg, b: Reg },
    MadWide { f: Wide, d: Reg, a: Reg, b: Reg, c: Reg },
    Float1 { f: Float1, ty: Float, mode: Mode, d: Reg, a: Reg },
    Float2 { f: Float2, ty: Float, mode: Mode, d: Reg, a: Reg, b: Reg },
    Fma { ty: Float, mode: Mode, d: Reg, a: Reg, b: Reg, c: Reg },
    Approx { f: Approx, ftz: bool, d: Reg, a: Reg },
    ApproxDiv { ftz: bool, d: Reg, a: Reg, b: Reg },
    Convert { how: Convert, d: Reg, a: Reg },
    /// `cvt.rn.bf16x2.f32 d, a, b`: `a` becomes the high half.
    ConvertPair { bf16: bool, round: Round, relu: bool, d: Reg, a: Reg, b: Reg },
    /// `ordered` is false for `.ltu` and its relatives, which are true for NaN.
    Setp { f: Compare, ty: Num, ordered: bool, ftz: bool, d: Reg, not_d: Reg, with: Option<(Logic, Reg, bool)>, a: Reg, b: Reg },
    /// `setp.num` and `setp.nan`.
    SetpNan { nan: bool, ty: Num, d: Reg, a: Reg, b: Reg },
    Selp { w: Width, d: Reg, a: Reg, b: Reg, p: Reg, negate: bool },
    Pred2 { f: Logic, d: Reg, a: Reg, b: Reg },
    PredNot { d: Reg, a: Reg },
    Mov { bank: Bank, d: Reg, a: Reg },
    /// Between the banks: 2×16 to 32, 2×32 or 4×16 to 64 bits.
    Pack { halves: bool, parts: [Reg; 4], count: u8, to: Bank, d: Reg },
    Unpack { halves: bool, parts: [Reg; 4], count: u8, from: Bank, a: Reg },
    Load(Access),
    Store(Access),
    Atom { f: Atomic, ty: AtomType, space: Space, addr: Addr, d: Reg, b: Reg, c: Reg },
    Bra { target: u32, uniform: bool },
    Exit,
    Bar { id: Reg, count: Reg, arrive: bool, aligned: bool },
    BarReduce { f: BarReduce, id: Reg, d: Reg, p: Reg, negate: bool },
    WarpSync { mask: Reg },
    Shuffle { f: Shuffle, d: Reg, p: Reg, a: Reg, b: Reg, c: Reg, mask: Reg },
    Vote { f: Vote, d: Reg, p: Reg, negate: bool, mask: Reg },
    Redux { f: Atomic, d: Reg, a: Reg, mask: Reg },
    Match { all: bool, w: Width, d: Reg, a: Reg, mask: Reg },
    ActiveMask { d: Reg },
    /// `membar`, `fence`, `nanosleep`: with one order of all accesses there is nothing to do.
    Fence,
    CopyAsync { bytes: u8, shared: Addr, global: Addr, size: Reg },
    CopyCommit,
    /// All but the last `pending` groups must be complete.
    CopyWait { pending: u32 },
    CopyWaitAll,
    LoadMatrix { count: u8, transposed: bool, d: [Reg; 4], addr: Addr },
    /// Registers: 4 of D, 4 of A, 2 of B, 4 of C.
    Mma { bf16: bool, regs: Box<[Reg; 14]> },
}
