//! What an observer sees after each instruction of a traced launch.

use super::registers::Registers;
use crate::code::{Bank, Program, Role};

/// One instruction of one warp, just executed.
pub struct Step<'a> {
    pub(crate) program: &'a Program,
    pub(crate) registers: &'a Registers,
    /// Number of the block in the grid, x fastest.
    pub block: u64,
    /// Warp in the block.
    pub warp: u32,
    /// Index of the instruction in the kernel.
    pub pc: u32,
    /// The lanes for which it was executed; zero if its guard was false everywhere.
    pub mask: u32,
    /// The lanes of the warp that are at this place; the rest went another way or has exited.
    pub here: u32,
    /// The block's shared memory.
    pub shared: &'a [u8],
}

impl Step<'_> {
    /// Line of the PTX.
    pub fn ptx_line(&self) -> u32 {
        self.program.places[self.pc as usize].line
    }

    /// Number of the CUDA file and line in it; (0, 0) without `.loc`.
    pub fn cuda_line(&self) -> (u32, u32) {
        let place = self.program.places[self.pc as usize];
        (place.file, place.cuda_line)
    }

    /// What the instruction wrote: for each destination the bits of all 32 lanes.
    pub fn written(&self) -> Vec<[u64; 32]> {
        let mut found = Vec::new();
        self.program.insts[self.pc as usize].clone().visit(&mut |bank, role, reg| {
            if role == Role::Write {
                found.push(match bank {
                    Bank::Double => self.registers.double(*reg),
                    Bank::Word => self.registers.word(*reg).map(u64::from),
                    Bank::Pred => {
                        let mask = self.registers.pred(*reg);
                        std::array::from_fn(|lane| u64::from(mask >> lane & 1))
                    }
                });
            }
        });
        found
    }
}
