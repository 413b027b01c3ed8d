//! Branches, barriers, exchange between the lanes of a warp.

use super::At;
use super::types::{Kind, Ty};
use crate::code::{Atomic, BarReduce, Op, SINK, Shuffle, Vote, Width};
use crate::parse::Operand;

const B32: Ty = Ty { kind: Kind::Bits, bits: 32, pair: false };
const B64: Ty = Ty { kind: Kind::Bits, bits: 64, pair: false };

impl<'a> At<'_, 'a> {
    pub fn control(&mut self, mnemonic: &str) -> Result<Op, String> {
        match (mnemonic, self.mods) {
            ("bra", [] | ["uni"]) => {
                let uniform = !self.mods.is_empty();
                let [Operand::Name(label)] = self.operands()? else {
                    return Err("`bra` needs a label".into());
                };
                let target = self.symbols.label(self.statement.scope, label);
                Ok(Op::Bra { target: target.ok_or(format!("there is no label `{label}`"))?, uniform })
            }
            ("ret" | "exit", []) => self.operands::<0>().map(|_| Op::Exit),
            ("membar", ["cta" | "gl" | "sys"]) | ("fence", ["sc" | "acq_rel", "cta" | "gpu" | "sys"]) => {
                self.operands::<0>().map(|_| Op::Fence)
            }
            ("nanosleep", ["u32"]) => {
                let [time] = self.operands()?;
                self.src(&time, B32)?;
                Ok(Op::Fence)
            }
            ("bar", ["sync"]) | ("barrier", ["sync", "aligned"]) => self.barrier(false, true),
            ("barrier", ["sync"]) => self.barrier(false, false),
            ("bar", ["arrive"]) | ("barrier", ["arrive", "aligned"]) => self.barrier(true, true),
            ("bar", ["warp", "sync"]) => {
                let [mask] = self.operands()?;
                Ok(Op::WarpSync { mask: self.src(&mask, B32)? })
            }
            ("bar", ["red", f, ty]) => self.barrier_reduce(f, ty),
            ("shfl", ["sync", f, "b32"]) => {
                let f = match *f {
                    "up" => Shuffle::Up,
                    "down" => Shuffle::Down,
                    "bfly" => Shuffle::Bfly,
                    "idx" => Shuffle::Idx,
                    _ => return Err(self.unknown()),
                };
                let [d, a, b, c, mask] = self.operands()?;
                let (d, p) = match d {
                    Operand::Pair(d, p) => (self.dst(&Operand::Name(d), 32)?, self.pair_half(p)?),
                    d => (self.dst(&d, 32)?, SINK),
                };
                let (a, b) = (self.src(&a, B32)?, self.src(&b, B32)?);
                Ok(Op::Shuffle { f, d, p, a, b, c: self.src(&c, B32)?, mask: self.src(&mask, B32)? })
            }
            ("vote", ["sync", f, ty]) => {
                let f = match (*f, *ty) {
                    ("all", "pred") => Vote::All,
                    ("any", "pred") => Vote::Any,
                    ("uni", "pred") => Vote::Uni,
                    ("ballot", "b32") => Vote::Ballot,
                    _ => return Err(self.unknown()),
                };
                let [d, p, mask] = self.operands()?;
                let d = self.dst(&d, if f == Vote::Ballot { 32 } else { 1 })?;
                let (p, negate) = self.pred_src(&p)?;
                Ok(Op::Vote { f, d, p, negate, mask: self.src(&mask, B32)? })
            }
            ("redux", ["sync", f, ty]) => {
                let f = match (*f, *ty) {
                    ("add", "u32" | "s32") => Atomic::Add,
                    ("min", "u32") => Atomic::MinU,
                    ("min", "s32") => Atomic::MinS,
                    ("max", "u32") => Atomic::MaxU,
                    ("max", "s32") => Atomic::MaxS,
                    ("and", "b32") => Atomic::And,
                    ("or", "b32") => Atomic::Or,
                    ("xor", "b32") => Atomic::Xor,
                    _ => return Err(self.unknown()),
                };
                let [d, a, mask] = self.operands()?;
                Ok(Op::Redux { f, d: self.dst(&d, 32)?, a: self.src(&a, B32)?, mask: self.src(&mask, B32)? })
            }
            ("match", [f @ ("any" | "all"), "sync", ty @ ("b32" | "b64")]) => {
                let (w, ty) = if *ty == "b32" { (Width::W32, B32) } else { (Width::W64, B64) };
                let all = *f == "all";
                let [d, a, mask] = self.operands()?;
                Ok(Op::Match {
                    all,
                    w,
                    d: self.dst(&d, 32)?,
                    a: self.src(&a, ty)?,
                    mask: self.src(&mask, B32)?,
                })
            }
            ("activemask", ["b32"]) => {
                let [d] = self.operands()?;
                Ok(Op::ActiveMask { d: self.dst(&d, 32)? })
            }
            _ => Err(self.unknown()),
        }
    }

    fn barrier(&mut self, arrive: bool, aligned: bool) -> Result<Op, String> {
        let operands = self.statement.operands.clone();
        match operands.as_slice() {
            [id] if !arrive => Ok(Op::Bar { id: self.src(id, B32)?, count: SINK, arrive, aligned }),
            [id, count] => {
                let (id, count) = (self.src(id, B32)?, self.src(count, B32)?);
                Ok(Op::Bar { id, count, arrive, aligned })
            }
            _ => Err(format!("`{}` has a wrong number of operands", self.statement.opcode)),
        }
    }

    fn barrier_reduce(&mut self, f: &str, ty: &str) -> Result<Op, String> {
        let (f, bits) = match (f, ty) {
            ("popc", "u32") => (BarReduce::Popc, 32),
            ("and", "pred") => (BarReduce::And, 1),
            ("or", "pred") => (BarReduce::Or, 1),
            _ => return Err(self.unknown()),
        };
        let [d, id, p] = self.operands()?;
        let (d, id) = (self.dst(&d, bits)?, self.src(&id, B32)?);
        let (p, negate) = self.pred_src(&p)?;
        Ok(Op::BarReduce { f, id, d, p, negate })
    }
}
