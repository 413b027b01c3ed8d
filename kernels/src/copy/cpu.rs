//! Copies on the CPU.

use super::CopyCast;
use crate::{Cpu, Reference, Result, View, ViewMut};

impl CopyCast for Cpu {
    fn copy(&self, x: View, y: ViewMut) -> Result<()> {
        Reference.copy(x, y)
    }
    fn fill(&self, value: f64, y: ViewMut) -> Result<()> {
        Reference.fill(value, y)
    }
}
