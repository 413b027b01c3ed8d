//! Integer, logical and floating-point arithmetic.

use super::At;
use super::types::{Kind, Ty};
use crate::code::{
    Approx, Count, Float, Float1, Float2, Int1, Int2, Logic, Mode, Op, Shift, Wide, Width, Word3,
};
use crate::parse::Operand;

pub(super) const U32: Ty = Ty { kind: Kind::Unsigned, bits: 32, pair: false };

impl<'a> At<'_, 'a> {
    pub fn arithmetic(&mut self, mnemonic: &str) -> Result<Op, String> {
        let Some((&last, before)) = self.mods.split_last() else { return Err(self.unknown()) };
        if last == "pred" && before.is_empty() {
            return self.logic(mnemonic);
        }
        let ty = Ty::of(last).ok_or_else(|| self.unknown())?;
        if ty.is_float() {
            return self.floating(mnemonic, before, ty);
        }
        match (mnemonic, before) {
            ("add" | "sub" | "min" | "max", []) if ty.is_int() => self.int2(mnemonic, ty),
            ("mul", ["lo" | "hi"]) if ty.is_int() => {
                self.int2(if before == ["lo"] { "mul.lo" } else { "mul.hi" }, ty)
            }
            ("div" | "rem", []) if ty.is_int() => self.int2(mnemonic, ty),
            ("and" | "or" | "xor", []) if ty.kind == Kind::Bits => self.int2(mnemonic, ty),
            ("mul" | "mad", ["wide"]) if ty.is_int() => self.wide(mnemonic == "mad", ty),
            ("mad", ["lo" | "hi"]) if ty.is_int() => {
                let (w, [d, a, b, c]) = (self.width(ty)?, self.operands()?);
                let (d, a) = (self.dst(&d, ty.bits)?, self.src(&a, ty)?);
                let (b, c) = (self.src(&b, ty)?, self.src(&c, ty)?);
                Ok(Op::Mad { hi: before == ["hi"], signed: ty.signed(), w, d, a, b, c })
            }
            ("neg" | "abs", []) if ty.signed() => {
                self.int1(if mnemonic == "neg" { Int1::Neg } else { Int1::Abs }, ty)
            }
            ("not", []) if ty.kind == Kind::Bits => self.int1(Int1::Not, ty),
            ("brev", []) if ty.kind == Kind::Bits && ty.bits >= 32 => self.int1(Int1::Brev, ty),
            ("popc", []) if ty.kind == Kind::Bits && ty.bits >= 32 => self.count(Count::Popc, ty),
            ("clz", []) if ty.kind == Kind::Bits && ty.bits >= 32 => self.count(Count::Clz, ty),
            ("bfind", []) if ty.is_int() && ty.bits >= 32 => {
                self.count(if ty.signed() { Count::BfindS } else { Count::BfindU }, ty)
            }
            ("shl", []) if ty.kind == Kind::Bits => self.shift(Shift::Left, ty),
            ("shr", []) if ty.signed() => self.shift(Shift::RightS, ty),
            ("shr", []) => self.shift(Shift::RightU, ty),
            ("bfe", []) if ty.is_int() && ty.bits >= 32 => {
                let (w, [d, a, pos, len]) = (self.width(ty)?, self.operands()?);
                let (d, a) = (self.dst(&d, ty.bits)?, self.src(&a, ty)?);
                let (pos, len) = (self.field(&pos)?, self.field(&len)?);
                Ok(Op::Bfe { signed: ty.signed(), w, d, a, pos, len })
            }
            ("bfi", []) if ty.kind == Kind::Bits && ty.bits >= 32 => {
                let (w, [d, a, b, pos, len]) = (self.width(ty)?, self.operands()?);
                let (d, a, b) = (self.dst(&d, ty.bits)?, self.src(&a, ty)?, self.src(&b, ty)?);
                let (pos, len) = (self.field(&pos)?, self.field(&len)?);
                Ok(Op::Bfi { w, d, a, b, pos, len })
            }
            ("lop3", []) if last == "b32" => {
                let [d, a, b, c, table] = self.operands()?;
                let table = self.immediate(&table, 255)? as u8;
                self.word3(Word3::Lop3(table), [d, a, b, c], ty)
            }
            ("prmt", []) if last == "b32" => {
                let operands = self.operands()?;
                self.word3(Word3::Prmt, operands, ty)
            }
            ("shf", [direction, how]) if last == "b32" => {
                let f = match (*direction, *how) {
                    ("l", "wrap") => Word3::ShfLeftWrap,
                    ("l", "clamp") => Word3::ShfLeftClamp,
                    ("r", "wrap") => Word3::ShfRightWrap,
                    ("r", "clamp") => Word3::ShfRightClamp,
                    _ => return Err(self.unknown()),
                };
                let operands = self.operands()?;
                self.word3(f, operands, ty)
            }
            _ => Err(self.unknown()),
        }
    }

    fn width(&self, ty: Ty) -> Result<Width, String> {
        ty.width().ok_or_else(|| self.unknown())
    }

    fn logic(&mut self, mnemonic: &str) -> Result<Op, String> {
        let f = match mnemonic {
            "and" => Logic::And,
            "or" => Logic::Or,
            "xor" => Logic::Xor,
            "not" => {
                let [d, a] = self.operands()?;
                return Ok(Op::PredNot { d: self.dst(&d, 1)?, a: self.pred_plain(&a)? });
            }
            _ => return Err(self.unknown()),
        };
        let [d, a, b] = self.operands()?;
        Ok(Op::Pred2 { f, d: self.dst(&d, 1)?, a: self.pred_plain(&a)?, b: self.pred_plain(&b)? })
    }

    fn int1(&mut self, f: Int1, ty: Ty) -> Result<Op, String> {
        let (w, [d, a]) = (self.width(ty)?, self.operands()?);
        Ok(Op::Int1 { f, w, d: self.dst(&d, ty.bits)?, a: self.src(&a, ty)? })
    }

    fn count(&mut self, f: Count, ty: Ty) -> Result<Op, String> {
        let (w, [d, a]) = (self.width(ty)?, self.operands()?);
        Ok(Op::Count { f, w, d: self.dst(&d, 32)?, a: self.src(&a, ty)? })
    }

    fn int2(&mut self, name: &str, ty: Ty) -> Result<Op, String> {
        let f = match (name, ty.signed()) {
            ("add", _) => Int2::Add,
            ("sub", _) => Int2::Sub,
            ("mul.lo", _) => Int2::MulLo,
            ("mul.hi", true) => Int2::MulHiS,
            ("mul.hi", false) => Int2::MulHiU,
            ("div", true) => Int2::DivS,
            ("div", false) => Int2::DivU,
            ("rem", true) => Int2::RemS,
            ("rem", false) => Int2::RemU,
            ("min", true) => Int2::MinS,
            ("min", false) => Int2::MinU,
            ("max", true) => Int2::MaxS,
            ("max", false) => Int2::MaxU,
            ("and", _) => Int2::And,
            ("or", _) => Int2::Or,
            ("xor", _) => Int2::Xor,
            _ => return Err(self.unknown()),
        };
        let (w, [d, a, b]) = (self.width(ty)?, self.operands()?);
        Ok(Op::Int2 { f, w, d: self.dst(&d, ty.bits)?, a: self.src(&a, ty)?, b: self.src(&b, ty)? })
    }

    fn shift(&mut self, f: Shift, ty: Ty) -> Result<Op, String> {
        let (w, [d, a, b]) = (self.width(ty)?, self.operands()?);
        Ok(Op::Shift { f, w, d: self.dst(&d, ty.bits)?, a: self.src(&a, ty)?, b: self.src(&b, U32)? })
    }

    fn wide(&mut self, add: bool, ty: Ty) -> Result<Op, String> {
        let f = match (ty.bits, ty.signed()) {
            (16, true) => Wide::S16,
            (16, false) => Wide::U16,
            (32, true) => Wide::S32,
            (32, false) => Wide::U32,
            _ => return Err(self.unknown()),
        };
        let twice = Ty { bits: 2 * ty.bits, ..ty };
        if add {
            let [d, a, b, c] = self.operands()?;
            let (d, a) = (self.dst(&d, twice.bits)?, self.src(&a, ty)?);
            return Ok(Op::MadWide { f, d, a, b: self.src(&b, ty)?, c: self.src(&c, twice)? });
        }
        let [d, a, b] = self.operands()?;
        Ok(Op::MulWide { f, d: self.dst(&d, twice.bits)?, a: self.src(&a, ty)?, b: self.src(&b, ty)? })
    }

    fn word3(&mut self, f: Word3, [d, a, b, c]: [Operand<'a>; 4], ty: Ty) -> Result<Op, String> {
        let (d, a) = (self.dst(&d, 32)?, self.src(&a, ty)?);
        Ok(Op::Word3 { f, d, a, b: self.src(&b, ty)?, c: self.src(&c, ty)? })
    }

    fn floating(&mut self, mnemonic: &str, before: &[&str], ty: Ty) -> Result<Op, String> {
        let float = ty.float().ok_or_else(|| self.unknown())?;
        let single = float == Float::F32;
        // rounding, then .ftz, then .sat, each at most once and in this order
        let (mut rest, mut mode) = (before, Mode::default());
        let mut take = |word: &str| {
            let found = rest.first() == Some(&word);
            rest = if found { &rest[1..] } else { rest };
            found
        };
        let (approx, full, rn) = (take("approx"), take("full"), take("rn"));
        mode.down = mnemonic == "fma" && single && take("rm");
        mode.ftz = take("ftz") && single;
        let nan = take("NaN");
        mode.sat = take("sat");
        // `.noftz` says for bf16 what holds anyway
        let unknown = self.unknown();
        if !rest.is_empty() || (before.contains(&"ftz") && !single) || (mode.sat && !single) {
            return Err(unknown);
        }
        let half = !matches!(float, Float::F32 | Float::F64);
        let exact = !approx && !full && !nan;
        match mnemonic {
            "add" | "sub" | "mul" if exact => {
                let f = match mnemonic {
                    "add" => Float2::Add,
                    "sub" => Float2::Sub,
                    _ => Float2::Mul,
                };
                self.float2(f, float, mode, ty)
            }
            "div" if exact && rn && !half && !mode.sat => self.float2(Float2::Div, float, mode, ty),
            "div" if (approx || full) && !rn && single && !mode.sat && !nan => {
                let [d, a, b] = self.operands()?;
                let (d, a, b) = (self.dst(&d, 32)?, self.src(&a, ty)?, self.src(&b, ty)?);
                Ok(Op::ApproxDiv { ftz: mode.ftz, d, a, b })
            }
            "min" | "max" if !(approx || full || rn || mode.sat || nan && float == Float::F64) => {
                let f = match (mnemonic, nan) {
                    ("min", false) => Float2::Min,
                    ("min", true) => Float2::MinNan,
                    (_, false) => Float2::Max,
                    (_, true) => Float2::MaxNan,
                };
                self.float2(f, float, mode, ty)
            }
            "fma" if exact && rn != mode.down => {
                let [d, a, b, c] = self.operands()?;
                let (d, a) = (self.dst(&d, ty.bits)?, self.src(&a, ty)?);
                Ok(Op::Fma { ty: float, mode, d, a, b: self.src(&b, ty)?, c: self.src(&c, ty)? })
            }
            "neg" | "abs" if exact && !rn && !mode.sat => {
                self.float1(if mnemonic == "neg" { Float1::Neg } else { Float1::Abs }, float, mode, ty)
            }
            "sqrt" | "rcp" if exact && rn && !half && !mode.sat => {
                self.float1(if mnemonic == "sqrt" { Float1::Sqrt } else { Float1::Rcp }, float, mode, ty)
            }
            "sqrt" | "rcp" | "rsqrt" | "ex2" | "lg2" | "sin" | "cos" | "tanh"
                if approx && single && !full && !rn && !nan && !mode.sat =>
            {
                let f = match mnemonic {
                    "sqrt" => Approx::Sqrt,
                    "rcp" => Approx::Rcp,
                    "rsqrt" => Approx::Rsqrt,
                    "ex2" => Approx::Ex2,
                    "lg2" => Approx::Lg2,
                    "sin" => Approx::Sin,
                    "cos" => Approx::Cos,
                    _ if mode.ftz => return Err(unknown), // tanh has no .ftz
                    _ => Approx::Tanh,
                };
                let [d, a] = self.operands()?;
                Ok(Op::Approx { f, ftz: mode.ftz, d: self.dst(&d, 32)?, a: self.src(&a, ty)? })
            }
            _ => Err(unknown),
        }
    }

    fn float1(&mut self, f: Float1, float: Float, mode: Mode, ty: Ty) -> Result<Op, String> {
        let [d, a] = self.operands()?;
        Ok(Op::Float1 { f, ty: float, mode, d: self.dst(&d, ty.bits)?, a: self.src(&a, ty)? })
    }

    fn float2(&mut self, f: Float2, float: Float, mode: Mode, ty: Ty) -> Result<Op, String> {
        let [d, a, b] = self.operands()?;
        let (d, a) = (self.dst(&d, ty.bits)?, self.src(&a, ty)?);
        Ok(Op::Float2 { f, ty: float, mode, d, a, b: self.src(&b, ty)? })
    }
}
