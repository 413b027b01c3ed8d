//! Selection of the largest on the CPU.

use super::TopK;
use crate::{Cpu, Reference, Result, View, ViewMut};

impl TopK for Cpu {
    fn top_k(&self, x: View, values: ViewMut, indices: ViewMut) -> Result<()> {
        Reference.top_k(x, values, indices)
    }
}
