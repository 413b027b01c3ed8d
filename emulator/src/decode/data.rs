//! Moving, converting, choosing, comparing.

use super::At;
use super::operands::Fit;
use super::types::{Kind, Ty};
use crate::code::{Bank, Compare, Convert, Int2, Logic, Mode, Num, Op, Reg, SINK, Source, Width};
use crate::half::Round;
use crate::memory::{LOCAL_WINDOW, SHARED_WINDOW};
use crate::parse::Operand;

const B16: Ty = Ty { kind: Kind::Bits, bits: 16, pair: false };
const B32: Ty = Ty { kind: Kind::Bits, bits: 32, pair: false };
const U64: Ty = Ty { kind: Kind::Unsigned, bits: 64, pair: false };

impl<'a> At<'_, 'a> {
    pub fn data(&mut self, mnemonic: &str) -> Result<Op, String> {
        match mnemonic {
            "mov" => self.mov(),
            "cvt" => self.cvt(),
            "cvta" => self.cvta(),
            "selp" => self.selp(),
            _ => self.setp(),
        }
    }

    /// The one type of an opcode without further modifiers.
    fn only_type(&self) -> Result<Ty, String> {
        match self.mods {
            [ty] => Ty::of(ty).filter(|ty| !ty.pair && ty.kind != Kind::Brain).ok_or_else(|| self.unknown()),
            _ => Err(self.unknown()),
        }
    }

    fn mov(&mut self) -> Result<Op, String> {
        let [d, a] = self.operands()?;
        if self.mods == ["pred"] {
            return Ok(Op::Mov { bank: Bank::Pred, d: self.dst(&d, 1)?, a: self.pred_plain(&a)? });
        }
        let ty = self.only_type()?;
        if ty.bits < 16 {
            return Err(self.unknown());
        }
        let bank = if ty.bits == 64 { Bank::Double } else { Bank::Word };
        match (&d, &a) {
            (Operand::Pack(_), Operand::Pack(_)) => Err(self.unknown()),
            (Operand::Pack(parts), _) if ty.kind == Kind::Bits => {
                let (halves, part) = self.part_type(ty, parts.len())?;
                let mut regs = [SINK; 4];
                for (reg, operand) in regs.iter_mut().zip(parts) {
                    *reg = if *operand == Operand::Sink { SINK } else { self.dst(operand, part.bits)? };
                }
                let (count, a) = (parts.len() as u8, self.src(&a, ty)?);
                Ok(Op::Unpack { halves, parts: regs, count, from: bank, a })
            }
            (_, Operand::Pack(parts)) if ty.kind == Kind::Bits => {
                let (halves, part) = self.part_type(ty, parts.len())?;
                let mut regs = [SINK; 4];
                for (reg, operand) in regs.iter_mut().zip(parts) {
                    *reg = self.src(operand, part)?;
                }
                Ok(Op::Pack {
                    halves,
                    parts: regs,
                    count: parts.len() as u8,
                    to: bank,
                    d: self.dst(&d, ty.bits)?,
                })
            }
            _ => Ok(Op::Mov { bank, d: self.dst(&d, ty.bits)?, a: self.src(&a, ty)? }),
        }
    }

    /// 2×16 = 32, 4×16 = 64, 2×32 = 64: are the parts halves of words, and their type.
    fn part_type(&self, whole: Ty, parts: usize) -> Result<(bool, Ty), String> {
        match (whole.bits, parts) {
            (32, 2) | (64, 4) => Ok((true, B16)),
            (64, 2) => Ok((false, B32)),
            _ => Err(format!("`{}` cannot be made of {parts} parts", self.statement.opcode)),
        }
    }

    fn cvt(&mut self) -> Result<Op, String> {
        let unknown = self.unknown();
        let [before @ .., to, from] = self.mods else { return Err(unknown) };
        let (Some(to), Some(from)) = (Ty::of(to), Ty::of(from)) else { return Err(unknown) };
        let mut rest = before;
        let (round, whole) = match rest.first() {
            Some(&"rn") => (Some(Round::Nearest), false),
            Some(&"rz") => (Some(Round::Zero), false),
            Some(&"rm") => (Some(Round::Down), false),
            Some(&"rp") => (Some(Round::Up), false),
            Some(&"rni") => (Some(Round::Nearest), true),
            Some(&"rzi") => (Some(Round::Zero), true),
            Some(&"rmi") => (Some(Round::Down), true),
            Some(&"rpi") => (Some(Round::Up), true),
            _ => (None, false),
        };
        rest = if round.is_some() { &rest[1..] } else { rest };
        if to.pair {
            return self.cvt_pair(to, from, round.filter(|_| !whole), rest);
        }
        let mut take = |word: &str| {
            let found = rest.first() == Some(&word);
            rest = if found { &rest[1..] } else { rest };
            found
        };
        let mode = Mode { ftz: take("ftz"), sat: take("sat"), down: false };
        let (Some(to_num), Some(from_num)) = (to.num(), from.num()) else { return Err(unknown) };
        let bits_only = to.kind == Kind::Bits || from.kind == Kind::Bits;
        let single = to_num == Num::F32 || from_num == Num::F32;
        if !rest.is_empty() || bits_only || (mode.ftz && !single) {
            return Err(unknown);
        }
        let good = match (to.is_float(), from.is_float()) {
            (false, false) => round.is_none(),
            (true, false) => round.is_some() && !whole,
            (false, true) => round.is_some() && whole,
            (true, true) if to_num == from_num => whole || round.is_none(),
            (true, true) if to.bits > from.bits => round.is_none(),
            (true, true) => round.is_some() && !whole && to.bits < from.bits,
        };
        if !good {
            return Err(unknown);
        }
        let contains = to.bits > from.bits && (to.signed() || !from.signed())
            || to.bits == from.bits && to.signed() == from.signed();
        if mode.sat && !to.is_float() && !from.is_float() && contains {
            return Err(format!(
                "`{}`: every number fits, so there is nothing to saturate",
                self.statement.opcode
            ));
        }
        let [d, a] = self.operands()?;
        let a = self.src_fit(&a, from, Fit::OrWider)?;
        let d = self.dst_fit(&d, to.bits, Fit::OrWider)?;
        // Integers may come from wider registers (cut first) and go to wider ones (extended).
        let exact = |register: super::symbols::Register, ty: Ty| !ty.is_float() || register.bits == ty.bits;
        if !exact(a, from) || !exact(d, to) {
            return Err(format!(
                "`{}` needs registers as wide as its floating-point types",
                self.statement.opcode
            ));
        }
        let round = round.unwrap_or(Round::Nearest);
        let (to, from, to_bits, from_bank) = (to_num, from_num, d.bits, a.bank);
        Ok(Op::Convert {
            how: Convert { to, from, round, whole, mode, to_bits, from_bank },
            d: d.id,
            a: a.id,
        })
    }

    fn cvt_pair(&mut self, to: Ty, from: Ty, round: Option<Round>, rest: &[&str]) -> Result<Op, String> {
        let relu = rest == ["relu"];
        let (Some(round @ (Round::Nearest | Round::Zero)), true) = (round, relu || rest.is_empty()) else {
            return Err(self.unknown());
        };
        if from.num() != Some(Num::F32) {
            return Err(self.unknown());
        }
        let [d, a, b] = self.operands()?;
        let (d, a, b) = (self.dst(&d, 32)?, self.src(&a, from)?, self.src(&b, from)?);
        Ok(Op::ConvertPair { bf16: to.kind == Kind::Brain, round, relu, d, a, b })
    }

    /// Between a space's own addresses and generic ones: the windows are at fixed places, global addresses are generic.
    fn cvta(&mut self) -> Result<Op, String> {
        let (to, space) = match self.mods {
            ["to", space, "u64"] => (true, *space),
            [space, "u64"] => (false, *space),
            _ => return Err(self.unknown()),
        };
        let window = match space {
            "global" | "const" => 0,
            "shared" | "shared::cta" => SHARED_WINDOW,
            "local" => LOCAL_WINDOW,
            _ => return Err(self.unknown()),
        };
        let [d, a] = self.operands()?;
        let (d, a) = (self.dst(&d, 64)?, self.src(&a, U64)?);
        if window == 0 {
            return Ok(Op::Mov { bank: Bank::Double, d, a });
        }
        let b = self.symbols.constant(Bank::Double, Source::Bits(window));
        Ok(Op::Int2 { f: if to { Int2::Sub } else { Int2::Add }, w: Width::W64, d, a, b })
    }

    fn selp(&mut self) -> Result<Op, String> {
        let ty = self.only_type()?;
        let w = ty.width().ok_or_else(|| self.unknown())?;
        let [d, a, b, p] = self.operands()?;
        let (d, a, b) = (self.dst(&d, ty.bits)?, self.src(&a, ty)?, self.src(&b, ty)?);
        let (p, negate) = self.pred_src(&p)?;
        Ok(Op::Selp { w, d, a, b, p, negate })
    }

    fn setp(&mut self) -> Result<Op, String> {
        let unknown = self.unknown();
        let [compare, middle @ .., ty] = self.mods else { return Err(unknown) };
        let ty = Ty::of(ty).filter(|ty| !ty.pair && ty.bits >= 16).ok_or(unknown.clone())?;
        let num = ty.num().ok_or(unknown.clone())?;
        let (logic, rest) = match middle {
            ["and", rest @ ..] => (Some(Logic::And), rest),
            ["or", rest @ ..] => (Some(Logic::Or), rest),
            ["xor", rest @ ..] => (Some(Logic::Xor), rest),
            rest => (None, rest),
        };
        let ftz = rest == ["ftz"];
        if !(rest.is_empty() || (ftz && num == Num::F32)) {
            return Err(unknown);
        }
        let operands = self.statement.operands.clone();
        let (d, a, b, with) = match (logic, operands.as_slice()) {
            (None, [d, a, b]) => (d, a, b, None),
            (Some(logic), [d, a, b, c]) => {
                let (reg, negate) = self.pred_src(c)?;
                (d, a, b, Some((logic, reg, negate)))
            }
            _ => return Err(format!("`{}` has a wrong number of operands", self.statement.opcode)),
        };
        let (d, not_d) = match d {
            Operand::Pair(p, q) => (self.pair_half(p)?, self.pair_half(q)?),
            other => (self.dst(other, 1)?, SINK),
        };
        let (a, b) = (self.src(a, ty)?, self.src(b, ty)?);
        if ty.is_float() && matches!(*compare, "num" | "nan") && with.is_none() && not_d == SINK && !ftz {
            return Ok(Op::SetpNan { nan: *compare == "nan", ty: num, d, a, b });
        }
        let (f, ordered) = match (*compare, ty.kind) {
            ("eq", _) => (Compare::Eq, true),
            // `.neu`'s plain form is false for NaN
            ("ne", _) => (Compare::Ne, true),
            ("lt" | "le" | "gt" | "ge", Kind::Bits) => return Err(unknown),
            ("lt", _) => (Compare::Lt, true),
            ("le", _) => (Compare::Le, true),
            ("gt", _) => (Compare::Gt, true),
            ("ge", _) => (Compare::Ge, true),
            ("lo", Kind::Unsigned) => (Compare::Lt, true),
            ("ls", Kind::Unsigned) => (Compare::Le, true),
            ("hi", Kind::Unsigned) => (Compare::Gt, true),
            ("hs", Kind::Unsigned) => (Compare::Ge, true),
            ("equ", Kind::Float | Kind::Brain) => (Compare::Eq, false),
            ("neu", Kind::Float | Kind::Brain) => (Compare::Ne, false),
            ("ltu", Kind::Float | Kind::Brain) => (Compare::Lt, false),
            ("leu", Kind::Float | Kind::Brain) => (Compare::Le, false),
            ("gtu", Kind::Float | Kind::Brain) => (Compare::Gt, false),
            ("geu", Kind::Float | Kind::Brain) => (Compare::Ge, false),
            _ => return Err(unknown),
        };
        Ok(Op::Setp { f, ty: num, ordered, ftz, d, not_d, with, a, b })
    }

    /// One side of `%p1|%p2`; `_` throws it away.
    pub fn pair_half(&mut self, name: &'a str) -> Result<Reg, String> {
        if name == "_" { Ok(SINK) } else { self.predicate_named(name) }
    }
}
