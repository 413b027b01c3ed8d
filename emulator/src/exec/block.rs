//! A block: its warps, run one after another, and the sixteen barriers at which they meet.

use super::context::Context;
use super::registers::Registers;
use super::simd::Level;
use super::warp::{AtBarrier, Pause, Warp};
use crate::check::{Other, Trap};
use crate::code::{Bank, BarReduce, LaneMask, Source, Special};
use crate::error::FaultKind;
use std::collections::VecDeque;

/// Shape of a launch.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
}

impl Shape {
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// Coordinates of a block from its number, x fastest.
    pub fn coordinates(&self, block: u64) -> [u32; 3] {
        let [x, y] = [u64::from(self.grid[0]), u64::from(self.grid[1])];
        [(block % x) as u32, (block / x % y) as u32, (block / x / y) as u32]
    }
}

/// A warp that has come to a barrier.
struct Arrival {
    warp: u32,
    at: AtBarrier,
    /// Its knowledge for the race checker.
    brought: Vec<u32>,
}

/// A small generator for shuffled orders (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// Without an order to shuffle, a warp runs so long before others get a turn: only programs that wait for each other
/// in loops notice.
const SLICE: u64 = 1 << 16;

/// One worker's warps, used for block after block.
pub(crate) struct Block {
    shape: Shape,
    warps: Vec<Warp>,
    /// Slots of `%ctaid`, which change with the block.
    ctaid: Vec<(u32, u8)>,
    arrivals: [Vec<Arrival>; 16],
    ready: VecDeque<u32>,
    done: usize,
}

impl Block {
    pub fn new(cx: &Context, shape: Shape, variables: &[u64], dynamic: (u64, u64)) -> Block {
        let count = shape.threads().div_ceil(32);
        let warp = |index: u32| {
            let mut registers = Registers::new(cx.program.slots);
            for &(bank, reg, source) in &cx.program.constants {
                let values = constant(source, shape, index, variables, dynamic);
                match bank {
                    Bank::Pred => registers.preds[reg as usize] = values[0] as u32,
                    Bank::Word => registers.words[reg as usize].0 = values.map(|x| x as u32),
                    Bank::Double => registers.doubles[reg as usize].0 = values,
                }
            }
            let written = vec![0; cx.program.watched.len()];
            Warp { index, registers, alive: 0, fragments: Vec::new(), copies: Default::default(), written }
        };
        let ctaid = cx.program.constants.iter().filter_map(|&(_, reg, source)| match source {
            Source::Special(Special::Ctaid(axis)) => Some((reg, axis)),
            _ => None,
        });
        Block {
            shape,
            warps: (0..count).map(warp).collect(),
            ctaid: ctaid.collect(),
            arrivals: Default::default(),
            ready: VecDeque::new(),
            done: 0,
        }
    }

    /// Runs a block to its end. Returns the instructions executed.
    pub fn run<L: Level, const WATCH: bool>(
        &mut self,
        level: L,
        cx: &mut Context,
        block: u64,
        order: Option<u64>,
        budget: u64,
    ) -> Result<u64, Box<Trap>> {
        cx.begin(block);
        let coordinates = self.shape.coordinates(block);
        let threads = self.shape.threads();
        for warp in &mut self.warps {
            let alive = threads - (warp.index * 32).min(threads);
            warp.begin(if alive >= 32 { u32::MAX } else { (1 << alive) - 1 });
            for &(reg, axis) in &self.ctaid {
                warp.registers.words[reg as usize].0 = [coordinates[usize::from(axis)]; 32];
            }
        }
        self.arrivals.iter_mut().for_each(Vec::clear);
        self.ready.clear();
        self.ready.extend(0..self.warps.len() as u32);
        self.done = 0;
        let mut random = order.map(|seed| Random::new(seed ^ block.wrapping_mul(0xd134_2543_de82_ef95)));
        let mut used = 0;
        while self.done < self.warps.len() {
            if let Some(random) = &mut random {
                let swap = random.below(self.ready.len().max(1) as u64) as usize;
                if swap < self.ready.len() {
                    self.ready.swap(0, swap);
                }
            }
            let Some(next) = self.ready.pop_front() else { return Err(self.deadlock()) };
            let slice = random.as_mut().map_or(SLICE, |random| 1 + random.below(200)).min(budget - used);
            let mut steps = slice;
            let warp = &mut self.warps[next as usize];
            let pause = warp.run::<L, WATCH>(level, cx, &mut steps)?;
            used += slice - steps;
            match pause {
                Pause::Done => {
                    self.done += 1;
                    for id in 0..16 {
                        self.open(cx, id)?;
                    }
                }
                Pause::Slice => self.ready.push_back(next),
                Pause::Barrier(at) => self.arrive(cx, next, at)?,
            }
            if used >= budget && self.done < self.warps.len() {
                let pc = self.warps[next as usize].fragments.first().map_or(0, |f| f.pc);
                let message =
                    format!("the block has executed {budget} instructions: does it wait for something?");
                let mut trap = Trap::new(FaultKind::Budget, None, message);
                (trap.pc, trap.warp) = (pc, next);
                return Err(trap);
            }
        }
        Ok(used)
    }

    fn arrive(&mut self, cx: &mut Context, warp: u32, at: AtBarrier) -> Result<(), Box<Trap>> {
        let brought = cx.shadow.knowledge(warp);
        let (id, arrive, pc) = (at.id as usize, at.arrive, at.pc);
        if arrive {
            cx.shadow.tick(warp);
            self.ready.push_back(warp);
        }
        if let Some(first) = self.arrivals[id].first() {
            let counts = first.at.count != at.count;
            let places = cx.mode.checks.barriers && at.count.is_none() && first.at.pc != at.pc;
            if counts || places {
                let word =
                    if counts { "with another number of threads" } else { "at another place of the program" };
                let message = format!("warps meet at barrier {id} {word}");
                let action = "a warp that waits";
                let other = Other { action, block: 0, warp: first.warp, lane: None, pc: first.at.pc };
                let mut trap = Trap::new(FaultKind::DivergentBarrier, None, message).against(other);
                (trap.pc, trap.warp) = (pc, warp);
                return Err(trap);
            }
        }
        self.arrivals[id].push(Arrival { warp, at, brought });
        self.open(cx, id)
    }

    /// Opens a barrier if everybody has come.
    fn open(&mut self, cx: &mut Context, id: usize) -> Result<(), Box<Trap>> {
        let list = &self.arrivals[id];
        let Some(last) = list.last() else { return Ok(()) };
        let complete = match last.at.count {
            None => list.len() == self.warps.len() - self.done,
            Some(threads) if threads % 32 != 0 || threads == 0 => {
                let message = format!("a barrier for {threads} threads: it must be a multiple of 32");
                let mut trap = Trap::new(FaultKind::DivergentBarrier, None, message);
                (trap.pc, trap.warp) = (last.at.pc, last.warp);
                return Err(trap);
            }
            Some(threads) => list.len() as u32 * 32 >= threads,
        };
        if !complete {
            return Ok(());
        }
        if last.at.count.is_none() && cx.mode.checks.barriers {
            self.all_there(last)?;
        }
        let list = std::mem::take(&mut self.arrivals[id]);
        let waiting: Vec<u32> = list.iter().filter(|a| !a.at.arrive).map(|a| a.warp).collect();
        let brought: Vec<Vec<u32>> = list.iter().map(|a| a.brought.clone()).collect();
        cx.shadow.join(&brought, &waiting);
        let reductions: Vec<_> = list.iter().filter_map(|a| a.at.reduce.map(|r| (a.warp, r))).collect();
        let votes: u32 = reductions.iter().map(|(_, r)| r.2.count_ones()).sum();
        let voters: u32 = reductions.iter().map(|(_, r)| r.3.count_ones()).sum();
        for (warp, (f, d, _, mask)) in reductions {
            let registers = &mut self.warps[warp as usize].registers;
            let all = |yes: bool| if yes { u32::MAX } else { 0 };
            match f {
                BarReduce::Popc => registers.put_word(d, &[votes; 32], mask),
                BarReduce::And => registers.put_pred(d, all(votes == voters), mask),
                BarReduce::Or => registers.put_pred(d, all(votes > 0), mask),
            }
        }
        self.ready.extend(waiting);
        Ok(())
    }

    /// A barrier of the whole block opens although threads have exited. Hardware no longer waits for those; CUDA's rule is
    /// that every thread of the block comes to it.
    fn all_there(&self, arrival: &Arrival) -> Result<(), Box<Trap>> {
        let threads = self.shape.threads();
        let all = |warp: &Warp| (threads - warp.index * 32).min(32);
        let Some(short) = self.warps.iter().find(|warp| warp.alive.count_ones() < all(warp)) else {
            return Ok(());
        };
        let lane = (!short.alive).trailing_zeros();
        let message =
            format!("threads have exited that should come here, too: lane {lane} of warp {}", short.index);
        let mut trap = Trap::new(FaultKind::DivergentBarrier, None, message);
        (trap.pc, trap.warp) = (arrival.at.pc, arrival.warp);
        Err(trap)
    }

    /// Nobody can run: some wait at barriers that others do not come to.
    fn deadlock(&self) -> Box<Trap> {
        let mut waiting = self.arrivals.iter().flatten();
        let message = "warps wait at a barrier that the others do not reach";
        let mut trap = Trap::new(FaultKind::DivergentBarrier, None, message);
        if let Some(first) = waiting.next() {
            (trap.pc, trap.warp) = (first.at.pc, first.warp);
            if let Some(other) = waiting.find(|a| a.at.pc != first.at.pc) {
                let action = "a warp that waits elsewhere";
                trap.other = Some(Other { action, block: 0, warp: other.warp, lane: None, pc: other.at.pc });
            }
        }
        trap
    }
}

/// The value of a constant slot for the lanes of a warp; `dynamic` is the offset and the size of dynamic shared memory.
fn constant(source: Source, shape: Shape, warp: u32, variables: &[u64], dynamic: (u64, u64)) -> [u64; 32] {
    let [nx, ny, _] = shape.block.map(u64::from);
    let of_lane = |f: &dyn Fn(u64) -> u64| std::array::from_fn(|lane| f(lane as u64));
    let thread = |lane: u64| u64::from(warp) * 32 + lane;
    match source {
        Source::Bits(bits) => [bits; 32],
        Source::Variable(index, offset) => {
            [variables.get(index as usize).map_or(0, |base| base.wrapping_add_signed(offset)); 32]
        }
        Source::DynamicShared(offset) => [dynamic.0.wrapping_add_signed(offset); 32],
        Source::Special(special) => match special {
            Special::Tid(0) => of_lane(&|lane| thread(lane) % nx),
            Special::Tid(1) => of_lane(&|lane| thread(lane) / nx % ny),
            Special::Tid(_) => of_lane(&|lane| thread(lane) / nx / ny),
            Special::Ntid(axis) => [shape.block[usize::from(axis)].into(); 32],
            Special::Ctaid(_) => [0; 32],
            Special::Nctaid(axis) => [shape.grid[usize::from(axis)].into(); 32],
            Special::LaneId => of_lane(&|lane| lane),
            Special::WarpId => [warp.into(); 32],
            Special::NWarpId => [shape.threads().div_ceil(32).into(); 32],
            Special::DynamicSharedSize => [dynamic.1; 32],
            Special::LaneMask(which) => {
                let of = |lane: u64| {
                    let (eq, below) = (1_u64 << lane, (1_u64 << lane) - 1);
                    let mask = match which {
                        LaneMask::Eq => eq,
                        LaneMask::Lt => below,
                        LaneMask::Le => below | eq,
                        LaneMask::Gt => !(below | eq),
                        LaneMask::Ge => !below,
                    };
                    mask & u64::from(u32::MAX)
                };
                of_lane(&of)
            }
        },
    }
}
