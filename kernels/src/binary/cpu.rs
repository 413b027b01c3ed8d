//! Elementwise functions of two arguments on the CPU.

use super::{Binary, BinaryOp};
use crate::{Cpu, Reference, Result, View, ViewMut};

impl Binary for Cpu {
    fn binary(&self, op: BinaryOp, a: View, b: View, y: ViewMut) -> Result<()> {
        Reference.binary(op, a, b, y)
    }
}
