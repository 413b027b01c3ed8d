//! A warp: its registers, and its fragments. Lanes that branch differently are apart until their program counters are equal
//! again; the fragment that is furthest behind runs first, so that the others can be caught up with. A fragment that
//! reaches a `.sync` instruction or a barrier waits there for the lanes it names.

use super::async_copy::Copies;
use super::context::Context;
use super::registers::Registers;
use super::simd::Level;
use super::step::{Flow, step};
use super::watch;
use crate::check::{Other, Trap};
use crate::code::{BarReduce, Reg};
use crate::error::FaultKind;

/// Why a fragment waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// At a `.sync` instruction or an aligned one, for these lanes to come to the same place.
    Lanes(u32),
    /// At `bar.warp.sync` with this mask, which lanes may execute at different places.
    Warp(u32),
    /// At a barrier.
    Barrier,
}

/// Lanes that are at the same instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    pub pc: u32,
    pub mask: u32,
    pub hold: Option<Hold>,
}

/// A barrier that a warp has come to.
#[derive(Clone, Debug)]
pub(crate) struct AtBarrier {
    pub id: u32,
    /// Threads to wait for, where the instruction says.
    pub count: Option<u32>,
    pub pc: u32,
    /// `bar.arrive`: the warp goes on.
    pub arrive: bool,
    /// `bar.red`: function, destination, votes, lanes.
    pub reduce: Option<(BarReduce, Reg, u32, u32)>,
}

/// Why a warp stopped running.
pub(crate) enum Pause {
    /// All its lanes have exited.
    Done,
    Barrier(AtBarrier),
    /// It has executed as many instructions as it was given.
    Slice,
}

/// One warp of a block.
pub(crate) struct Warp {
    pub index: u32,
    pub registers: Registers,
    pub alive: u32,
    pub fragments: Vec<Fragment>,
    pub copies: Copies,
    /// Lanes that have written, per watched register.
    pub written: Vec<u32>,
}

impl Warp {
    pub fn begin(&mut self, alive: u32) {
        self.alive = alive;
        self.fragments.clear();
        self.fragments.push(Fragment { pc: 0, mask: alive, hold: None });
        self.copies.reset();
        self.written.fill(0);
    }

    /// Joins fragments at the same instruction; they try it again together.
    fn merge(&mut self) {
        let mut i = 0;
        while i < self.fragments.len() {
            let mut j = i + 1;
            while j < self.fragments.len() {
                if self.fragments[j].pc == self.fragments[i].pc {
                    let other = self.fragments.swap_remove(j);
                    self.fragments[i].mask |= other.mask;
                    self.fragments[i].hold = None;
                } else {
                    j += 1;
                }
            }
            i += 1;
        }
    }

    /// Fragments at `bar.warp.sync` pass if all lanes of the mask that are left are at one.
    fn pass_warp_barriers(&mut self, cx: &mut Context) -> bool {
        let waiting = |f: &Fragment| match f.hold {
            Some(Hold::Warp(mask)) => Some(mask),
            _ => None,
        };
        for mask in self.fragments.iter().filter_map(waiting).collect::<Vec<_>>() {
            let here = self.fragments.iter().filter(|f| f.hold == Some(Hold::Warp(mask)));
            let lanes = here.fold(0, |all, f| all | f.mask);
            if mask & self.alive & !lanes == 0 {
                for f in self.fragments.iter_mut().filter(|f| f.hold == Some(Hold::Warp(mask))) {
                    f.pc += 1;
                    f.hold = None;
                }
                cx.shadow.tick(self.index);
                return true;
            }
        }
        false
    }

    /// Nothing can run any more: every fragment waits for lanes that wait elsewhere.
    fn stuck(&self) -> Box<Trap> {
        let first = self.fragments[0];
        let barrier = self.fragments.iter().any(|f| f.hold == Some(Hold::Barrier));
        let kind = if barrier { FaultKind::DivergentBarrier } else { FaultKind::MemberMask };
        let lane = Some(first.mask.trailing_zeros());
        let message = match barrier {
            true => format!("only lanes {:#010x} of {:#010x} reach the barrier", first.mask, self.alive),
            false => {
                format!("lanes {:#010x} wait here for others that wait elsewhere or never come", first.mask)
            }
        };
        let mut trap = Trap::new(kind, lane, message);
        (trap.pc, trap.warp) = (first.pc, self.index);
        if let Some(other) = self.fragments.get(1) {
            let lane = Some(other.mask.trailing_zeros());
            let action = "lanes that wait";
            trap.other = Some(Other { action, block: 0, warp: self.index, lane, pc: other.pc });
        }
        trap
    }

    /// Lanes exit that others wait for. Hardware lets those pass then; but which came first was chance.
    fn waited_for(&self, gone: u32, pc: u32) -> Result<(), Box<Trap>> {
        for f in &self.fragments {
            let missing = gone
                & match f.hold {
                    Some(Hold::Lanes(missing)) => missing,
                    Some(Hold::Warp(mask)) => mask & !f.mask,
                    _ => 0,
                };
            if missing != 0 {
                let lane = Some(f.mask.trailing_zeros());
                let message = format!("lanes {:#010x} wait here for lanes that exit without coming", f.mask);
                let (action, warp) = ("a lane that exits", self.index);
                let other = Other { action, block: 0, warp, lane: Some(missing.trailing_zeros()), pc };
                let mut trap = Trap::new(FaultKind::MemberMask, lane, message).against(other);
                (trap.pc, trap.warp) = (f.pc, warp);
                return Err(trap);
            }
        }
        Ok(())
    }

    /// Runs until something outside the warp is needed, or `steps` are used up.
    pub fn run<L: Level, const WATCH: bool>(
        &mut self,
        level: L,
        cx: &mut Context,
        steps: &mut u64,
    ) -> Result<Pause, Box<Trap>> {
        loop {
            if self.fragments.len() > 1 {
                self.merge();
            }
            let free = self.fragments.iter().enumerate().filter(|(_, f)| f.hold.is_none());
            let Some((index, _)) = free.min_by_key(|(_, f)| f.pc) else {
                if self.fragments.is_empty() {
                    return Ok(Pause::Done);
                }
                if self.pass_warp_barriers(cx) {
                    continue;
                }
                return Err(self.stuck());
            };
            let Fragment { mut pc, mask, .. } = self.fragments[index];
            // As long as no other fragment is reached, nobody needs to be asked.
            let alone = self.fragments.len() == 1;
            let others = self.fragments.iter().enumerate().filter(|(i, f)| *i != index && f.pc > pc);
            let limit = others.map(|(_, f)| f.pc).min().unwrap_or(u32::MAX);
            let pause = loop {
                if *steps == 0 {
                    break Some(Pause::Slice);
                }
                *steps -= 1;
                let flow = self.one::<L, WATCH>(level, cx, pc, mask).map_err(|mut trap| {
                    (trap.pc, trap.warp) = (pc, self.index);
                    trap
                })?;
                match flow {
                    Flow::Next => pc += 1,
                    Flow::Jump(target) => {
                        pc = target;
                        if !alone {
                            break None;
                        }
                    }
                    Flow::Split { taken, target } => {
                        self.fragments[index].mask = mask & !taken;
                        self.fragments.push(Fragment { pc: target, mask: taken, hold: None });
                        pc += 1;
                        break None;
                    }
                    Flow::Exit(gone) => {
                        if cx.mode.checks.barriers {
                            self.waited_for(gone, pc)?;
                        }
                        self.alive &= !gone;
                        self.fragments.iter_mut().for_each(|f| f.hold = None); // fewer lanes to wait for
                        self.fragments[index].mask = mask & !gone;
                        pc += 1;
                        break None;
                    }
                    Flow::Hold(hold) => {
                        self.fragments[index].hold = Some(hold);
                        break None;
                    }
                    Flow::Barrier(at) => {
                        pc += 1;
                        break Some(Pause::Barrier(at));
                    }
                }
                if pc >= limit {
                    break None;
                }
            };
            self.fragments[index].pc = pc;
            if self.fragments[index].mask == 0 {
                self.fragments.swap_remove(index);
            }
            if let Some(pause) = pause {
                return Ok(pause);
            }
        }
    }

    #[inline(always)]
    fn one<L: Level, const WATCH: bool>(
        &mut self,
        level: L,
        cx: &mut Context,
        pc: u32,
        here: u32,
    ) -> Result<Flow, Box<Trap>> {
        let program = cx.program;
        let inst = &program.insts[pc as usize];
        let mask = match inst.guard {
            None => here,
            Some((p, negate)) => here & if negate { !self.registers.pred(p) } else { self.registers.pred(p) },
        };
        if WATCH {
            let count = &mut cx.counts[pc as usize];
            count.warps += 1;
            count.lanes += u64::from(mask.count_ones());
            if let Some(named) = cx.watched.get(pc as usize)
                && !named.is_empty()
            {
                watch::check(named, &mut self.written, mask, here)?;
            }
        }
        let flow =
            if mask == 0 { Flow::Next } else { step::<L, WATCH>(level, cx, self, &inst.op, mask, here, pc)? };
        if WATCH {
            if matches!(flow, Flow::Split { .. }) {
                cx.counts[pc as usize].splits += 1;
            }
            cx.trace(self, pc, mask, here);
        }
        Ok(flow)
    }
}
