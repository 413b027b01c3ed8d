//! Adding into a tensor on the CPU.

use super::Accumulate;
use crate::{Cpu, Reference, Result, View, ViewMut};

impl Accumulate for Cpu {
    fn accumulate(&self, alpha: f64, x: View, y: ViewMut) -> Result<()> {
        Reference.accumulate(alpha, x, y)
    }
    fn accumulate_scaled(&self, alpha: View, x: View, y: ViewMut) -> Result<()> {
        Reference.accumulate_scaled(alpha, x, y)
    }
}
