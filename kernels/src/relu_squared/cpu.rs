//! The squared rectifier on the CPU.

use super::ReluSquared;
use crate::{Cpu, Reference, Result, View, ViewMut};

impl ReluSquared for Cpu {
    fn relu_squared_fwd(&self, x: View, y: ViewMut) -> Result<()> {
        Reference.relu_squared_fwd(x, y)
    }
    fn relu_squared_bwd(&self, x: View, dy: View, dx: ViewMut, accumulate: bool) -> Result<()> {
        Reference.relu_squared_bwd(x, dy, dx, accumulate)
    }
}
