//! Operands: the right number of them, of the right width, each turned into a slot.

use super::At;
use super::arithmetic::U32;
use super::symbols::{Address, Register, special};
use super::types::Ty;
use crate::code::{Addr, Bank, Reg, Source};
use crate::parse::{Base, Number, Operand, Space};

/// How strictly a register's width must fit.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fit {
    Exact,
    /// Loads, stores and conversions take wider registers than their type.
    OrWider,
}

impl<'a> At<'_, 'a> {
    /// The operands, if there are `N`.
    pub fn operands<const N: usize>(&self) -> Result<[Operand<'a>; N], String> {
        let found = self.statement.operands.len();
        let list: Result<[Operand<'a>; N], _> = self.statement.operands.clone().try_into();
        list.map_err(|_| format!("`{}` takes {N} operands, here are {found}", self.statement.opcode))
    }

    fn register(&mut self, name: &'a str) -> Result<Register, String> {
        let found = self.symbols.register(self.statement.scope, name);
        found.ok_or_else(|| format!("`{name}` is not declared"))
    }

    fn fits(&mut self, name: &'a str, bits: u8, fit: Fit) -> Result<Register, String> {
        let register = self.register(name)?;
        let good = match fit {
            Fit::Exact => register.bits == bits,
            Fit::OrWider => register.bits >= bits && register.bits > 1,
        };
        if good {
            return Ok(register);
        }
        let opcode = self.statement.opcode;
        Err(format!("`{opcode}` needs a register of {bits} bits, `{name}` has {}", register.bits))
    }

    /// A register that is written.
    pub fn dst(&mut self, operand: &Operand<'a>, bits: u8) -> Result<Reg, String> {
        Ok(self.dst_fit(operand, bits, Fit::Exact)?.id)
    }

    pub fn dst_fit(&mut self, operand: &Operand<'a>, bits: u8, fit: Fit) -> Result<Register, String> {
        match operand {
            Operand::Name(name) => self.fits(name, bits, fit),
            _ => Err(format!("`{}` writes to a register", self.statement.opcode)),
        }
    }

    /// A register or a constant of a type.
    pub fn src(&mut self, operand: &Operand<'a>, ty: Ty) -> Result<Reg, String> {
        Ok(self.src_fit(operand, ty, Fit::Exact)?.id)
    }

    pub fn src_fit(&mut self, operand: &Operand<'a>, ty: Ty, fit: Fit) -> Result<Register, String> {
        let bank = if ty.bits == 64 { Bank::Double } else { Bank::Word };
        let constant = |at: &mut Self, source| {
            Ok(Register { bank, bits: ty.bits, id: at.symbols.constant(bank, source) })
        };
        match *operand {
            Operand::Name(name) if special(name).is_some() => {
                let Some((special, bits)) = special(name) else { return Err(self.unknown()) };
                if bits != ty.bits {
                    return Err(format!(
                        "`{name}` has {bits} bits, `{}` takes {}",
                        self.statement.opcode, ty.bits
                    ));
                }
                constant(self, Source::Special(special))
            }
            Operand::Name(name) => match self.symbols.register(self.statement.scope, name) {
                Some(_) => self.fits(name, ty.bits, fit),
                None => {
                    let source = self.address_of(name, 0)?;
                    if ty.is_float() || ty.bits < 32 {
                        return Err(format!(
                            "the address `{name}` is not of type `{}`",
                            self.statement.opcode
                        ));
                    }
                    constant(self, source)
                }
            },
            Operand::NamePlus(name, offset) if !ty.is_float() && ty.bits >= 32 => {
                let source = self.address_of(name, offset)?;
                constant(self, source)
            }
            Operand::Number(number) => {
                let bits = self.literal(number, ty)?;
                constant(self, Source::Bits(bits))
            }
            _ => Err(format!("an operand of `{}` must be a register or a constant", self.statement.opcode)),
        }
    }

    fn address_of(&mut self, name: &'a str, offset: i64) -> Result<Source, String> {
        match self.symbols.address(name) {
            Some(Address::Fixed(_, at)) => Ok(Source::Bits(at.wrapping_add_signed(offset))),
            Some(Address::Dynamic) => Ok(Source::DynamicShared(offset)),
            Some(Address::Global(_, index)) => Ok(Source::Variable(index, offset)),
            None => Err(format!("`{name}` is neither a register nor a variable")),
        }
    }

    /// The bits of a literal of a type.
    fn literal(&self, number: Number, ty: Ty) -> Result<u64, String> {
        let wrong = || format!("the constant does not fit the type of `{}`", self.statement.opcode);
        match number {
            Number::F32(bits) if ty.bits == 32 && !ty.pair => Ok(bits.into()),
            Number::F64(bits) if ty.bits == 64 => Ok(bits),
            Number::Int(n) if !ty.is_float() => {
                let (low, high) = (-(1_i128 << (ty.bits - 1)), (1_i128 << ty.bits) - 1);
                let mask = u64::MAX >> (64 - ty.bits);
                if (low..=high).contains(&n) { Ok(n as u64 & mask) } else { Err(wrong()) }
            }
            _ => Err(wrong()),
        }
    }

    pub fn predicate_named(&mut self, name: &'a str) -> Result<Reg, String> {
        Ok(self.fits(name, 1, Fit::Exact)?.id)
    }

    /// `%p`, `!%p`, or a constant: slot, negated.
    pub fn pred_src(&mut self, operand: &Operand<'a>) -> Result<(Reg, bool), String> {
        match *operand {
            Operand::Name(name) => Ok((self.predicate_named(name)?, false)),
            Operand::Not(name) => Ok((self.predicate_named(name)?, true)),
            Operand::Number(Number::Int(n @ (-1..=1))) => {
                let bits = if n == 0 { 0 } else { u64::from(u32::MAX) };
                Ok((self.symbols.constant(Bank::Pred, Source::Bits(bits)), false))
            }
            _ => Err(format!("`{}` needs a predicate here", self.statement.opcode)),
        }
    }

    /// A predicate without negation.
    pub fn pred_plain(&mut self, operand: &Operand<'a>) -> Result<Reg, String> {
        match self.pred_src(operand)? {
            (reg, false) => Ok(reg),
            _ => Err(format!("`{}` takes no negated predicate here", self.statement.opcode)),
        }
    }

    /// A whole number known now.
    pub fn immediate(&self, operand: &Operand<'a>, most: i128) -> Result<u32, String> {
        match *operand {
            Operand::Number(Number::Int(n)) if (0..=most).contains(&n) => Ok(n as u32),
            _ => Err(format!("`{}` needs a constant from 0 to {most} here", self.statement.opcode)),
        }
    }

    /// A position or length of a field of bits: a register of 32 bits, of which eight count, or a constant that has no more.
    pub fn field(&mut self, operand: &Operand<'a>) -> Result<Reg, String> {
        if matches!(operand, Operand::Number(_)) {
            self.immediate(operand, 255)?;
        }
        self.src(operand, U32)
    }

    /// `[base+offset]` in a space. Shared addresses may have 32 bits.
    pub fn addr(&mut self, operand: &Operand<'a>, space: Space) -> Result<Addr, String> {
        let Operand::Address(base, offset) = *operand else {
            return Err(format!("`{}` needs an address in brackets", self.statement.opcode));
        };
        let fixed = |at: &mut Self, source| {
            Ok(Addr { bank: Bank::Double, base: at.symbols.constant(Bank::Double, source), offset })
        };
        let name = match base {
            Base::Absolute => return fixed(self, Source::Bits(0)),
            Base::Name(name) => name,
        };
        if let Some(register) = self.symbols.register(self.statement.scope, name) {
            let narrow = matches!(space, Space::Shared | Space::Local | Space::Const);
            return match register.bits {
                64 => Ok(Addr { bank: Bank::Double, base: register.id, offset }),
                32 if narrow => Ok(Addr { bank: Bank::Word, base: register.id, offset }),
                bits => Err(format!("`{name}` has {bits} bits, too few for an address")),
            };
        }
        if space == Space::Param {
            let (_, at) = self.symbols.param(name).ok_or(format!("`{name}` is not a parameter"))?;
            return fixed(self, Source::Bits(at));
        }
        let here = match self.symbols.address(name) {
            None => return Err(format!("`{name}` is neither a register nor a variable")),
            Some(Address::Fixed(here, _) | Address::Global(here, _)) => here,
            Some(Address::Dynamic) => Space::Shared,
        };
        if here != space {
            return Err(format!("`{name}` is not in the space that `{}` names", self.statement.opcode));
        }
        let source = self.address_of(name, 0)?;
        fixed(self, source)
    }
}
