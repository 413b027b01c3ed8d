//! What an instruction reads and writes, in one table for everybody: liveness, register allocation, the checker of
//! uninitialised registers, and the stepper.

use super::{Access, Addr, Bank, Inst, Op, Reg, SINK, Width};

/// Read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Read,
    Write,
}

use Bank::{Double, Pred, Word};
use Role::{Read, Write};

/// The bank of a width.
pub(crate) fn bank_of(w: Width) -> Bank {
    if w == Width::W64 { Double } else { Word }
}

fn float_bank(ty: super::Float) -> Bank {
    if ty == super::Float::F64 { Double } else { Word }
}

/// The bank of a number type.
pub(crate) fn num_bank(num: super::Num) -> Bank {
    match num {
        super::Num::Int(64, _) | super::Num::F64 => Double,
        _ => Word,
    }
}

/// The bank an atomic instruction's operands are in.
pub(crate) fn atom_bank(ty: super::AtomType) -> Bank {
    match ty {
        super::AtomType::B64 | super::AtomType::F64 => Double,
        _ => Word,
    }
}

type See<'f> = &'f mut dyn FnMut(Bank, Role, &mut Reg);

impl Inst {
    /// Calls `see` with every operand, the guard first. `SINK` is no operand.
    pub fn visit(&mut self, see: See) {
        let mut real = |bank, role, reg: &mut Reg| {
            if *reg != SINK {
                see(bank, role, reg);
            }
        };
        if let Some((reg, _)) = &mut self.guard {
            real(Pred, Read, reg);
        }
        self.op.visit(&mut real);
    }
}

impl Addr {
    fn visit(&mut self, see: See) {
        see(self.bank, Read, &mut self.base);
    }
}

impl Access {
    fn visit(&mut self, role: Role, see: See) {
        self.addr.visit(see);
        for reg in &mut self.regs[..self.count.into()] {
            see(self.bank, role, reg);
        }
    }
}

impl Op {
    fn visit(&mut self, see: See) {
        let mut all = |list: &mut [(Bank, Role, &mut Reg)]| {
            for (bank, role, reg) in list {
                see(*bank, *role, reg);
            }
        };
        match self {
            Op::Int1 { w, d, a, .. } => all(&mut [(bank_of(*w), Read, a), (bank_of(*w), Write, d)]),
            Op::Count { w, d, a, .. } => all(&mut [(bank_of(*w), Read, a), (Word, Write, d)]),
            Op::Int2 { w, d, a, b, .. } => {
                let bank = bank_of(*w);
                all(&mut [(bank, Read, a), (bank, Read, b), (bank, Write, d)]);
            }
            Op::Word3 { d, a, b, c, .. } => {
                all(&mut [(Word, Read, a), (Word, Read, b), (Word, Read, c), (Word, Write, d)]);
            }
            Op::Mad { w, d, a, b, c, .. } => {
                let bank = bank_of(*w);
                all(&mut [(bank, Read, a), (bank, Read, b), (bank, Read, c), (bank, Write, d)]);
            }
            Op::Shift { w, d, a, b, .. } => {
                all(&mut [(bank_of(*w), Read, a), (Word, Read, b), (bank_of(*w), Write, d)]);
            }
            Op::Bfe { w, d, a, pos, len, .. } => {
                let bank = bank_of(*w);
                all(&mut [(bank, Read, a), (Word, Read, pos), (Word, Read, len), (bank, Write, d)]);
            }
            Op::Bfi { w, d, a, b, pos, len } => {
                let bank = bank_of(*w);
                all(&mut [
                    (bank, Read, a),
                    (bank, Read, b),
                    (Word, Read, pos),
                    (Word, Read, len),
                    (bank, Write, d),
                ]);
            }
            Op::MulWide { f, d, a, b } => {
                all(&mut [(Word, Read, a), (Word, Read, b), (f.result(), Write, d)]);
            }
            Op::MadWide { f, d, a, b, c } => {
                all(&mut [(Word, Read, a), (Word, Read, b), (f.result(), Read, c), (f.result(), Write, d)]);
            }
            Op::Float1 { ty, d, a, .. } => {
                all(&mut [(float_bank(*ty), Read, a), (float_bank(*ty), Write, d)]);
            }
            Op::Float2 { ty, d, a, b, .. } => {
                let bank = float_bank(*ty);
                all(&mut [(bank, Read, a), (bank, Read, b), (bank, Write, d)]);
            }
            Op::Fma { ty, d, a, b, c, .. } => {
                let bank = float_bank(*ty);
                all(&mut [(bank, Read, a), (bank, Read, b), (bank, Read, c), (bank, Write, d)]);
            }
            Op::Approx { d, a, .. } => all(&mut [(Word, Read, a), (Word, Write, d)]),
            Op::ApproxDiv { d, a, b, .. } | Op::ConvertPair { d, a, b, .. } => {
                all(&mut [(Word, Read, a), (Word, Read, b), (Word, Write, d)]);
            }
            Op::Convert { how, d, a } => {
                let to = if how.to_bits == 64 { Double } else { Word };
                all(&mut [(how.from_bank, Read, a), (to, Write, d)]);
            }
            Op::Setp { ty, d, not_d, with, a, b, .. } => {
                all(&mut [(num_bank(*ty), Read, a), (num_bank(*ty), Read, b)]);
                if let Some((_, p, _)) = with {
                    all(&mut [(Pred, Read, p)]);
                }
                all(&mut [(Pred, Write, d), (Pred, Write, not_d)]);
            }
            Op::SetpNan { ty, d, a, b, .. } => {
                all(&mut [(num_bank(*ty), Read, a), (num_bank(*ty), Read, b), (Pred, Write, d)]);
            }
            Op::Selp { w, d, a, b, p, .. } => {
                let bank = bank_of(*w);
                all(&mut [(bank, Read, a), (bank, Read, b), (Pred, Read, p), (bank, Write, d)]);
            }
            Op::Pred2 { d, a, b, .. } => all(&mut [(Pred, Read, a), (Pred, Read, b), (Pred, Write, d)]),
            Op::PredNot { d, a } => all(&mut [(Pred, Read, a), (Pred, Write, d)]),
            Op::Mov { bank, d, a } => all(&mut [(*bank, Read, a), (*bank, Write, d)]),
            Op::Pack { parts, count, to, d, .. } => {
                for part in &mut parts[..usize::from(*count)] {
                    see(Word, Read, part);
                }
                see(*to, Write, d);
            }
            Op::Unpack { parts, count, from, a, .. } => {
                see(*from, Read, a);
                for part in &mut parts[..usize::from(*count)] {
                    see(Word, Write, part);
                }
            }
            Op::Load(access) => access.visit(Write, see),
            Op::Store(access) => access.visit(Read, see),
            Op::Atom { ty, addr, d, b, c, .. } => {
                addr.visit(see);
                let bank = atom_bank(*ty);
                for (role, reg) in [(Read, b), (Read, c), (Write, d)] {
                    see(bank, role, reg);
                }
            }
            Op::Bra { .. }
            | Op::Exit
            | Op::Fence
            | Op::CopyCommit
            | Op::CopyWait { .. }
            | Op::CopyWaitAll => {}
            Op::Bar { id, count, .. } => all(&mut [(Word, Read, id), (Word, Read, count)]),
            Op::BarReduce { f, id, d, p, .. } => {
                let bank = if *f == super::BarReduce::Popc { Word } else { Pred };
                all(&mut [(Word, Read, id), (Pred, Read, p), (bank, Write, d)]);
            }
            Op::WarpSync { mask } => all(&mut [(Word, Read, mask)]),
            Op::Shuffle { d, p, a, b, c, mask, .. } => all(&mut [
                (Word, Read, a),
                (Word, Read, b),
                (Word, Read, c),
                (Word, Read, mask),
                (Word, Write, d),
                (Pred, Write, p),
            ]),
            Op::Vote { f, d, p, mask, .. } => {
                let bank = if *f == super::Vote::Ballot { Word } else { Pred };
                all(&mut [(Pred, Read, p), (Word, Read, mask), (bank, Write, d)]);
            }
            Op::Redux { d, a, mask, .. } => all(&mut [(Word, Read, a), (Word, Read, mask), (Word, Write, d)]),
            Op::Match { w, d, a, mask, .. } => {
                all(&mut [(bank_of(*w), Read, a), (Word, Read, mask), (Word, Write, d)]);
            }
            Op::ActiveMask { d } => all(&mut [(Word, Write, d)]),
            Op::CopyAsync { shared, global, size, .. } => {
                shared.visit(see);
                global.visit(see);
                see(Word, Read, size);
            }
            Op::LoadMatrix { count, d, addr, .. } => {
                addr.visit(see);
                for reg in &mut d[..usize::from(*count)] {
                    see(Word, Write, reg);
                }
            }
            Op::Mma { regs, .. } => {
                let (d, sources) = regs.split_at_mut(4);
                for reg in sources {
                    see(Word, Read, reg);
                }
                for reg in d {
                    see(Word, Write, reg);
                }
            }
        }
    }
}

impl super::Wide {
    /// The bank of the product.
    pub fn result(self) -> Bank {
        match self {
            super::Wide::S16 | super::Wide::U16 => Word,
            super::Wide::S32 | super::Wide::U32 => Double,
        }
    }
}
