//! The types at the ends of opcodes.

use crate::code::{Float, Num, Width};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bits,
    Unsigned,
    Signed,
    Float,
    Brain,
}

/// `s32`, `bf16x2` …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ty {
    pub kind: Kind,
    pub bits: u8,
    /// `f16x2` and `bf16x2`: two of half the bits.
    pub pair: bool,
}

impl Ty {
    pub fn of(name: &str) -> Option<Ty> {
        let (kind, rest) = match name.as_bytes() {
            [b'b', b'f', ..] => (Kind::Brain, &name[2..]),
            [b'b', ..] => (Kind::Bits, &name[1..]),
            [b'u', ..] => (Kind::Unsigned, &name[1..]),
            [b's', ..] => (Kind::Signed, &name[1..]),
            [b'f', ..] => (Kind::Float, &name[1..]),
            _ => return None,
        };
        let (bits, pair) = match (kind, rest) {
            (Kind::Float | Kind::Brain, "16x2") => (32, true),
            (Kind::Float | Kind::Brain, "16") => (16, false),
            (Kind::Brain, _) => return None,
            (Kind::Float, "8") => return None,
            (_, "8") => (8, false),
            (_, "16") => (16, false),
            (_, "32") => (32, false),
            (_, "64") => (64, false),
            _ => return None,
        };
        Some(Ty { kind, bits, pair })
    }

    pub fn is_int(self) -> bool {
        matches!(self.kind, Kind::Unsigned | Kind::Signed)
    }

    pub fn is_float(self) -> bool {
        matches!(self.kind, Kind::Float | Kind::Brain)
    }

    pub fn signed(self) -> bool {
        self.kind == Kind::Signed
    }

    /// Of integer arithmetic, which has no 8 bits.
    pub fn width(self) -> Option<Width> {
        match self.bits {
            16 => Some(Width::W16),
            32 => Some(Width::W32),
            64 => Some(Width::W64),
            _ => None,
        }
    }

    pub fn float(self) -> Option<Float> {
        Some(match (self.kind, self.bits, self.pair) {
            (Kind::Float, 32, false) => Float::F32,
            (Kind::Float, 64, _) => Float::F64,
            (Kind::Float, 16, _) => Float::F16,
            (Kind::Float, _, true) => Float::F16x2,
            (Kind::Brain, 16, _) => Float::Bf16,
            (Kind::Brain, _, true) => Float::Bf16x2,
            _ => return None,
        })
    }

    /// As a number of a conversion or comparison; plain bits are unsigned.
    pub fn num(self) -> Option<Num> {
        Some(match (self.kind, self.bits, self.pair) {
            (_, _, true) => return None,
            (Kind::Float, 16, _) => Num::F16,
            (Kind::Float, 32, _) => Num::F32,
            (Kind::Float, _, _) => Num::F64,
            (Kind::Brain, _, _) => Num::Bf16,
            (kind, bits, _) => Num::Int(bits, kind == Kind::Signed),
        })
    }
}
