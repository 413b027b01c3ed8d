//! Reductions on the CPU.

use super::{Reduce, ReduceOp};
use crate::{Cpu, Reference, Result, View, ViewMut};

impl Reduce for Cpu {
    fn reduce(&self, op: ReduceOp, x: View, y: ViewMut) -> Result<()> {
        Reference.reduce(op, x, y)
    }
}
