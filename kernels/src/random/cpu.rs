//! Random numbers on the CPU.

use super::Random;
use crate::{Cpu, Reference, Result, ViewMut};

impl Random for Cpu {
    fn uniform(&self, seed: u64, stream: u64, first: u64, y: ViewMut) -> Result<()> {
        Reference.uniform(seed, stream, first, y)
    }
}
