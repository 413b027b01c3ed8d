//! Asynchronous copies, `ldmatrix`, `mma.sync`.

use super::At;
use super::types::{Kind, Ty};
use crate::code::{Bank, Op, SINK, Source};
use crate::parse::{Operand, Space};

const B32: Ty = Ty { kind: Kind::Bits, bits: 32, pair: false };
const F32: Ty = Ty { kind: Kind::Float, bits: 32, pair: false };

impl<'a> At<'_, 'a> {
    pub fn matrix(&mut self, mnemonic: &str) -> Result<Op, String> {
        match (mnemonic, self.mods) {
            ("cp", ["async", "commit_group"]) => self.operands::<0>().map(|_| Op::CopyCommit),
            ("cp", ["async", "wait_all"]) => self.operands::<0>().map(|_| Op::CopyWaitAll),
            ("cp", ["async", "wait_group"]) => {
                let [pending] = self.operands()?;
                Ok(Op::CopyWait { pending: self.immediate(&pending, 1 << 20)? })
            }
            ("cp", ["async", cache @ ("ca" | "cg"), "shared" | "shared::cta", "global", rest @ ..]) => {
                if !matches!(rest, [] | ["L2::64B" | "L2::128B" | "L2::256B"]) {
                    return Err(self.unknown());
                }
                let (ca, unknown) = (*cache == "ca", self.unknown());
                self.copy(ca, unknown)
            }
            ("ldmatrix", ["sync", "aligned", "m8n8", count, rest @ ..]) => {
                let count = match *count {
                    "x1" => 1,
                    "x2" => 2,
                    "x4" => 4,
                    _ => return Err(self.unknown()),
                };
                let (transposed, rest) = match rest {
                    ["trans", rest @ ..] => (true, rest),
                    rest => (false, rest),
                };
                if !matches!(rest, ["shared" | "shared::cta", "b16"]) {
                    return Err(self.unknown());
                }
                let [d, addr] = self.operands()?;
                let d = self.dst_pack(&d, count)?;
                Ok(Op::LoadMatrix { count, transposed, d, addr: self.addr(&addr, Space::Shared)? })
            }
            ("mma", ["sync", "aligned", "m16n8k16", "row", "col", "f32", a @ ("bf16" | "f16"), b, "f32"])
                if a == b =>
            {
                let bf16 = *a == "bf16";
                let [d, a, b, c] = self.operands()?;
                let mut regs = Box::new([SINK; 14]);
                regs[..4].copy_from_slice(&self.dst_pack(&d, 4)?);
                self.src_pack(&a, &mut regs[4..8], B32)?;
                self.src_pack(&b, &mut regs[8..10], B32)?;
                self.src_pack(&c, &mut regs[10..14], F32)?;
                Ok(Op::Mma { bf16, regs })
            }
            _ => Err(self.unknown()),
        }
    }

    fn pack<'o>(&self, operand: &'o Operand<'a>, count: usize) -> Result<&'o [Operand<'a>], String> {
        match operand {
            Operand::Pack(parts) if parts.len() == count => Ok(parts),
            other if count == 1 && matches!(other, Operand::Name(_)) => Ok(std::slice::from_ref(other)),
            _ => Err(format!("`{}` needs a pack of {count} registers", self.statement.opcode)),
        }
    }

    fn dst_pack(&mut self, operand: &Operand<'a>, count: u8) -> Result<[u32; 4], String> {
        let mut regs = [SINK; 4];
        for (reg, part) in regs.iter_mut().zip(self.pack(operand, count.into())?) {
            *reg = self.dst(part, 32)?;
        }
        Ok(regs)
    }

    fn src_pack(&mut self, operand: &Operand<'a>, regs: &mut [u32], ty: Ty) -> Result<(), String> {
        let count = regs.len();
        for (reg, part) in regs.iter_mut().zip(self.pack(operand, count)?) {
            *reg = self.src(part, ty)?;
        }
        Ok(())
    }

    fn copy(&mut self, ca: bool, unknown: String) -> Result<Op, String> {
        let operands = self.statement.operands.clone();
        let (shared, global, bytes, size) = match operands.as_slice() {
            [shared, global, bytes] => (shared, global, bytes, None),
            [shared, global, bytes, size] => (shared, global, bytes, Some(size)),
            _ => return Err(unknown),
        };
        let bytes = match self.immediate(bytes, 16)? {
            16 => 16,
            bytes @ (4 | 8) if ca => bytes as u8,
            bytes => return Err(format!("`{}` does not copy {bytes} bytes", self.statement.opcode)),
        };
        let shared = self.addr(shared, Space::Shared)?;
        let global = self.addr(global, Space::Global)?;
        let size = match size {
            Some(size) => self.src(size, B32)?,
            None => self.symbols.constant(Bank::Word, Source::Bits(bytes.into())),
        };
        Ok(Op::CopyAsync { bytes, shared, global, size })
    }
}
