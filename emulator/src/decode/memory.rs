//! Loads, stores, atomics.

use super::At;
use super::operands::Fit;
use super::types::{Kind, Ty};
use crate::code::{Access, AtomType, Atomic, Bank, Inst, Op, SINK};
use crate::parse::{Operand, Space};

/// The space that a modifier names; `::cta` says for shared memory what is meant anyway.
fn space_of(name: &str) -> Option<Space> {
    Some(match name {
        "global" => Space::Global,
        "shared" | "shared::cta" => Space::Shared,
        "local" => Space::Local,
        "param" => Space::Param,
        "const" => Space::Const,
        _ => return None,
    })
}

impl<'a> At<'_, 'a> {
    pub fn memory(&mut self, mnemonic: &str) -> Result<Op, String> {
        match mnemonic {
            "ld" => self.load(),
            "st" => self.store(),
            "atom" | "red" => self.atom(mnemonic == "red"),
            _ => Err(self.unknown()),
        }
    }

    /// After `ld` or `st`: space, `.nc`, elements, type. What only advises caches (`.ca`, `.cg` …) or orders accesses more
    /// strictly (`.volatile`, `.relaxed`, `.acquire`, `.release`) changes nothing where there is one order of all.
    fn access_mods(&self, load: bool) -> Result<(Space, bool, u8, Ty), String> {
        let unknown = || self.unknown();
        let [before @ .., ty] = self.mods else { return Err(unknown()) };
        let ty = Ty::of(ty).filter(|ty| !ty.pair && ty.kind != Kind::Brain).ok_or_else(unknown)?;
        let mut rest = before;
        let mut any = |words: &[&str]| {
            let found = rest.first().filter(|word| words.contains(word)).copied();
            rest = if found.is_some() { &rest[1..] } else { rest };
            found
        };
        let order = any(&["volatile", "relaxed", if load { "acquire" } else { "release" }]);
        if order.is_some_and(|order| order != "volatile") {
            any(&["cta", "gpu", "sys"]).ok_or_else(unknown)?;
        }
        let space = any(&["global", "shared", "shared::cta", "local", "param", "const"]);
        let space = space.map_or(Some(Space::Generic), space_of).ok_or_else(unknown)?;
        let mut nc = false;
        if order.is_none() {
            let caches: &[&str] =
                if load { &["ca", "cg", "cs", "lu", "cv"] } else { &["wb", "cg", "cs", "wt"] };
            let cache = any(caches);
            nc = load && any(&["nc"]).is_some();
            let first = any(&["L1::no_allocate", "L1::evict_last", "L1::evict_first", "L1::evict_normal"]);
            if cache.is_some() && first.is_some() {
                return Err(unknown()); // two ways to say what the first cache does
            }
            any(&["L2::64B", "L2::128B", "L2::256B"]);
        }
        let count = match any(&["v2", "v4"]) {
            Some("v2") => 2,
            Some(_) => 4,
            None => 1,
        };
        let good = rest.is_empty() && !(nc && space != Space::Global) && count * ty.bits as u32 <= 128;
        let writable = load || !matches!(space, Space::Const | Space::Param);
        if good && writable { Ok((space, nc, count as u8, ty)) } else { Err(unknown()) }
    }

    fn load(&mut self) -> Result<Op, String> {
        let (space, nc, count, ty) = self.access_mods(true)?;
        let [d, addr] = self.operands()?;
        let addr = self.addr(&addr, space)?;
        self.transfer(&d, ty, count, true).map(|(bank, regs)| {
            let (bytes, signed) = (ty.bits / 8, ty.signed());
            Op::Load(Access { space, bytes, count, signed, nc, bank, addr, regs })
        })
    }

    fn store(&mut self) -> Result<Op, String> {
        let (space, nc, count, ty) = self.access_mods(false)?;
        let [addr, source] = self.operands()?;
        let addr = self.addr(&addr, space)?;
        self.transfer(&source, ty, count, false).map(|(bank, regs)| {
            let (bytes, signed) = (ty.bits / 8, false);
            Op::Store(Access { space, bytes, count, signed, nc, bank, addr, regs })
        })
    }

    /// The registers of a load or store; all in one bank.
    fn transfer(
        &mut self,
        operand: &Operand<'a>,
        ty: Ty,
        count: u8,
        load: bool,
    ) -> Result<(Bank, [u32; 4]), String> {
        let single = [operand.clone()];
        let parts: &[Operand] = match operand {
            Operand::Pack(parts) => parts,
            _ => &single,
        };
        if parts.len() != usize::from(count) {
            return Err(format!(
                "`{}` moves {count} elements, here are {}",
                self.statement.opcode,
                parts.len()
            ));
        }
        let (mut regs, mut bank) = ([SINK; 4], None);
        for (reg, part) in regs.iter_mut().zip(parts) {
            if load && *part == Operand::Sink {
                continue;
            }
            let register = match load {
                true => self.dst_fit(part, ty.bits, Fit::OrWider)?,
                false => self.src_fit(part, ty, Fit::OrWider)?,
            };
            if ty.is_float() && register.bits != ty.bits {
                return Err(format!("`{}` needs registers of {} bits", self.statement.opcode, ty.bits));
            }
            if bank.is_some_and(|bank| bank != register.bank) {
                return Err("the registers of one access must have one width".into());
            }
            bank = Some(register.bank);
            *reg = register.id;
        }
        Ok((bank.unwrap_or(Bank::Word), regs))
    }

    fn atom(&mut self, reduction: bool) -> Result<Op, String> {
        let unknown = || self.unknown();
        let [before @ .., ty] = self.mods else { return Err(unknown()) };
        let ty = Ty::of(ty).ok_or_else(unknown)?;
        let mut rest = before;
        let mut any = |words: &[&str]| {
            let found = rest.first().filter(|word| words.contains(word)).copied();
            rest = if found.is_some() { &rest[1..] } else { rest };
            found
        };
        any(&["relaxed", "acquire", "release", "acq_rel"]);
        any(&["cta", "gpu", "sys"]);
        let space = any(&["global", "shared", "shared::cta"]);
        let space = space.map_or(Some(Space::Generic), space_of).ok_or_else(unknown)?;
        let name = any(&["add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"])
            .ok_or_else(unknown)?;
        let noftz = any(&["noftz"]).is_some();
        if !rest.is_empty() {
            return Err(unknown());
        }
        let f = match (name, ty.kind, ty.bits) {
            ("add", Kind::Unsigned, 32 | 64) | ("add", Kind::Signed, 32) => Atomic::Add,
            ("add", Kind::Float, 32 | 64) if !noftz && !ty.pair => Atomic::Add,
            ("add", Kind::Float | Kind::Brain, 16 | 32) if noftz => Atomic::Add,
            ("min", Kind::Unsigned, 32 | 64) => Atomic::MinU,
            ("min", Kind::Signed, 32 | 64) => Atomic::MinS,
            ("max", Kind::Unsigned, 32 | 64) => Atomic::MaxU,
            ("max", Kind::Signed, 32 | 64) => Atomic::MaxS,
            ("and", Kind::Bits, 32 | 64) => Atomic::And,
            ("or", Kind::Bits, 32 | 64) => Atomic::Or,
            ("xor", Kind::Bits, 32 | 64) => Atomic::Xor,
            ("exch", Kind::Bits, 32 | 64) if !reduction => Atomic::Exch,
            ("cas", Kind::Bits, 32 | 64) if !reduction => Atomic::Cas,
            ("inc", Kind::Unsigned, 32) => Atomic::Inc,
            ("dec", Kind::Unsigned, 32) => Atomic::Dec,
            _ => return Err(unknown()),
        };
        if noftz && !(ty.pair || ty.bits == 16) {
            return Err(unknown());
        }
        let kind = match (ty.kind, ty.bits, ty.pair) {
            (Kind::Float, 64, _) => AtomType::F64,
            (Kind::Float, 32, false) => AtomType::F32,
            (Kind::Float, 32, true) => AtomType::F16x2,
            (Kind::Float, _, _) => AtomType::F16,
            (Kind::Brain, 32, _) => AtomType::Bf16x2,
            (Kind::Brain, _, _) => AtomType::Bf16,
            (_, 64, _) => AtomType::B64,
            _ => AtomType::B32,
        };
        let operands = self.statement.operands.clone();
        let (d, addr, b, c) = match (reduction, f == Atomic::Cas, operands.as_slice()) {
            (true, false, [addr, b]) => (&Operand::Sink, addr, b, None),
            (false, false, [d, addr, b]) => (d, addr, b, None),
            (false, true, [d, addr, b, c]) => (d, addr, b, Some(c)),
            _ => return Err(format!("`{}` has a wrong number of operands", self.statement.opcode)),
        };
        let d = if *d == Operand::Sink { SINK } else { self.dst(d, ty.bits)? };
        let (addr, b) = (self.addr(addr, space)?, self.src(b, ty)?);
        let c = c.map_or(Ok(SINK), |c| self.src(c, ty))?;
        Ok(Op::Atom { f, ty: kind, space, addr, d, b, c })
    }
}

/// The narrowest access that may go to shared memory, at most 16 bytes: with this granule the race checker needs the
/// fewest cells and still tells neighbours apart.
pub(super) fn shared_granule(insts: &[Inst]) -> u64 {
    let width = |inst: &Inst| match &inst.op {
        Op::Load(a) | Op::Store(a) if matches!(a.space, Space::Shared | Space::Generic) => {
            u64::from(a.bytes) * u64::from(a.count)
        }
        Op::Atom { ty, space: Space::Shared | Space::Generic, .. } => match ty {
            AtomType::B64 | AtomType::F64 => 8,
            AtomType::F16 | AtomType::Bf16 => 2,
            _ => 4,
        },
        Op::CopyAsync { bytes, .. } => u64::from(*bytes),
        _ => 16,
    };
    insts.iter().map(width).min().unwrap_or(16)
}
