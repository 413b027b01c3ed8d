//! Elementwise functions of one argument on the CPU.

use super::{Unary, UnaryOp};
use crate::{Cpu, Reference, Result, View, ViewMut};

impl Unary for Cpu {
    fn unary(&self, op: UnaryOp, x: View, y: ViewMut) -> Result<()> {
        Reference.unary(op, x, y)
    }
}
