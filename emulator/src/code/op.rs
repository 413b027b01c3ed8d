//! The instructions, one variant per shape of operands; what is computed is a field, whose kinds are in `function.rs`.

use super::function::*;
use super::{Bank, Reg};
use crate::half::Round;
use crate::parse::Space;

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
    Int1 {
        f: Int1,
        w: Width,
        d: Reg,
        a: Reg,
    },
    Count {
        f: Count,
        w: Width,
        d: Reg,
        a: Reg,
    },
    Int2 {
        f: Int2,
        w: Width,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Word3 {
        f: Word3,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Mad {
        hi: bool,
        signed: bool,
        w: Width,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Shift {
        f: Shift,
        w: Width,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Bfe {
        signed: bool,
        w: Width,
        d: Reg,
        a: Reg,
        pos: Reg,
        len: Reg,
    },
    Bfi {
        w: Width,
        d: Reg,
        a: Reg,
        b: Reg,
        pos: Reg,
        len: Reg,
    },
    MulWide {
        f: Wide,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    MadWide {
        f: Wide,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Float1 {
        f: Float1,
        ty: Float,
        mode: Mode,
        d: Reg,
        a: Reg,
    },
    Float2 {
        f: Float2,
        ty: Float,
        mode: Mode,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Fma {
        ty: Float,
        mode: Mode,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Approx {
        f: Approx,
        ftz: bool,
        d: Reg,
        a: Reg,
    },
    ApproxDiv {
        ftz: bool,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Convert {
        how: Convert,
        d: Reg,
        a: Reg,
    },
    /// `cvt.rn.bf16x2.f32 d, a, b`: `a` becomes the high half.
    ConvertPair {
        bf16: bool,
        round: Round,
        relu: bool,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    /// `ordered` is false for `.ltu` and its relatives, which are true for NaN.
    Setp {
        f: Compare,
        ty: Num,
        ordered: bool,
        ftz: bool,
        d: Reg,
        not_d: Reg,
        with: Option<(Logic, Reg, bool)>,
        a: Reg,
        b: Reg,
    },
    /// `setp.num` and `setp.nan`.
    SetpNan {
        nan: bool,
        ty: Num,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Selp {
        w: Width,
        d: Reg,
        a: Reg,
        b: Reg,
        p: Reg,
        negate: bool,
    },
    Pred2 {
        f: Logic,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    PredNot {
        d: Reg,
        a: Reg,
    },
    Mov {
        bank: Bank,
        d: Reg,
        a: Reg,
    },
    /// Between the banks: 2×16 to 32, 2×32 or 4×16 to 64 bits.
    Pack {
        halves: bool,
        parts: [Reg; 4],
        count: u8,
        to: Bank,
        d: Reg,
    },
    Unpack {
        halves: bool,
        parts: [Reg; 4],
        count: u8,
        from: Bank,
        a: Reg,
    },
    Load(Access),
    Store(Access),
    Atom {
        f: Atomic,
        ty: AtomType,
        space: Space,
        addr: Addr,
        d: Reg,
        b: Reg,
        c: Reg,
    },
    Bra {
        target: u32,
        uniform: bool,
    },
    Exit,
    Bar {
        id: Reg,
        count: Reg,
        arrive: bool,
        aligned: bool,
    },
    BarReduce {
        f: BarReduce,
        id: Reg,
        d: Reg,
        p: Reg,
        negate: bool,
    },
    WarpSync {
        mask: Reg,
    },
    Shuffle {
        f: Shuffle,
        d: Reg,
        p: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
        mask: Reg,
    },
    Vote {
        f: Vote,
        d: Reg,
        p: Reg,
        negate: bool,
        mask: Reg,
    },
    Redux {
        f: Atomic,
        d: Reg,
        a: Reg,
        mask: Reg,
    },
    Match {
        all: bool,
        w: Width,
        d: Reg,
        a: Reg,
        mask: Reg,
    },
    ActiveMask {
        d: Reg,
    },
    /// `membar`, `fence`, `nanosleep`: with one order of all accesses there is nothing to do.
    Fence,
    CopyAsync {
        bytes: u8,
        shared: Addr,
        global: Addr,
        size: Reg,
    },
    CopyCommit,
    /// All but the last `pending` groups must be complete.
    CopyWait {
        pending: u32,
    },
    CopyWaitAll,
    LoadMatrix {
        count: u8,
        transposed: bool,
        d: [Reg; 4],
        addr: Addr,
    },
    /// Registers: 4 of D, 4 of A, 2 of B, 4 of C.
    Mma {
        bf16: bool,
        regs: Box<[Reg; 14]>,
    },
}
