//! Which registers are alive where, by the classic equations over basic blocks: in = use ∪ (out − def), out = ∪ in of the
//! successors, to a fixed point. A guarded write defines nothing for the lanes it leaves out, so it does not end a life.
//!
//! A register alive at the entry is one that some path reads before it writes it. These are all the registers that the
//! checker of uninitialised reads has to watch; for the others the question is answered here, for every lane and path.

use crate::code::{Bank, Inst, Op, Reg, Role};

/// First and last instruction of each register's life, and what is alive at the entry.
pub(super) struct Lives {
    /// By bank and register: `None` if it is never named.
    pub ranges: [Vec<Option<(u32, u32)>>; 3],
    pub at_entry: Vec<(Bank, Reg)>,
}

/// A basic block.
struct Block {
    start: usize,
    end: usize,
    next: Vec<usize>,
}

fn leaders(insts: &[Inst]) -> Vec<bool> {
    let mut leader = vec![false; insts.len() + 1];
    leader[0] = true;
    for (at, inst) in insts.iter().enumerate() {
        match inst.op {
            Op::Bra { target, .. } => {
                leader[target as usize] = true;
                leader[at + 1] = true;
            }
            Op::Exit => leader[at + 1] = true,
            _ => {}
        }
    }
    leader
}

fn blocks(insts: &[Inst]) -> Vec<Block> {
    let leader = leaders(insts);
    let starts: Vec<usize> = (0..insts.len()).filter(|&at| leader[at]).collect();
    let mut index = vec![0; insts.len() + 1];
    for (block, &start) in starts.iter().enumerate() {
        index[start] = block;
    }
    let end = |block: usize| starts.get(block + 1).copied().unwrap_or(insts.len());
    let blocks = starts.iter().enumerate().map(|(block, &start)| {
        let end = end(block);
        let last = &insts[end - 1];
        let mut next = Vec::new();
        let falls = match last.op {
            Op::Bra { target, .. } => {
                next.push(index[target as usize]);
                last.guard.is_some()
            }
            Op::Exit => last.guard.is_some(),
            _ => true,
        };
        if falls && end < insts.len() {
            next.push(index[end]);
        }
        Block { start, end, next }
    });
    blocks.collect()
}

/// Solves the equations. `counts` is the number of registers in each bank.
pub(super) fn lives(insts: &mut [Inst], counts: [u32; 3]) -> Lives {
    let blocks = blocks(insts);
    let first = [0, counts[0] as usize, (counts[0] + counts[1]) as usize];
    let total = first[2] + counts[2] as usize;
    let words = total.div_ceil(64);
    let bit = |bank: Bank, reg: Reg| first[bank as usize] + reg as usize;
    let (mut used, mut defined) = (vec![0_u64; blocks.len() * words], vec![0_u64; blocks.len() * words]);
    let mut ranges: Vec<Option<(u32, u32)>> = vec![None; total];
    for (b, block) in blocks.iter().enumerate() {
        let row = b * words..(b + 1) * words;
        let (used, defined) = (&mut used[row.clone()], &mut defined[row]);
        for at in block.start..block.end {
            let guarded = insts[at].guard.is_some();
            insts[at].visit(&mut |bank, role, reg| {
                let i = bit(bank, *reg);
                let (w, m) = (i / 64, 1 << (i % 64));
                let range = ranges[i].get_or_insert((at as u32, at as u32));
                range.1 = at as u32;
                match role {
                    Role::Read if defined[w] & m == 0 => used[w] |= m,
                    Role::Write if !guarded => defined[w] |= m,
                    _ => {}
                }
            });
        }
    }
    let (mut live_in, mut live_out) = (used.clone(), vec![0_u64; blocks.len() * words]);
    let mut changed = true;
    while changed {
        changed = false;
        for b in (0..blocks.len()).rev() {
            for w in 0..words {
                let out = blocks[b].next.iter().fold(0, |all, &n| all | live_in[n * words + w]);
                let at = b * words + w;
                live_out[at] = out;
                let inside = used[at] | (out & !defined[at]);
                changed |= inside != live_in[at];
                live_in[at] = inside;
            }
        }
    }
    for (b, block) in blocks.iter().enumerate() {
        for w in 0..words {
            for (set, edge) in [(&live_in, block.start), (&live_out, block.end - 1)] {
                let mut bits = set[b * words + w];
                while bits != 0 {
                    let i = w * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    let range = ranges[i].get_or_insert((edge as u32, edge as u32));
                    *range = (range.0.min(edge as u32), range.1.max(edge as u32));
                }
            }
        }
    }
    let at = |i: usize| live_in[i / 64] >> (i % 64) & 1 == 1; // block 0 is the entry
    let mut at_entry = Vec::new();
    for bank in [Bank::Pred, Bank::Word, Bank::Double] {
        let count = counts[bank as usize];
        at_entry.extend((0..count).filter(|&reg| at(bit(bank, reg))).map(|reg| (bank, reg)));
    }
    let rest = ranges.split_off(first[1]);
    let (words_part, doubles) = rest.split_at(counts[1] as usize);
    Lives { ranges: [ranges, words_part.to_vec(), doubles.to_vec()], at_entry }
}
