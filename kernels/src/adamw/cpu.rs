//! AdamW on the CPU.

use super::{AdamW, AdamWParams};
use crate::{Cpu, Reference, Result, View, ViewMut};

impl AdamW for Cpu {
    fn adamw(&self, p: ViewMut, g: View, m: ViewMut, v: ViewMut, h: AdamWParams) -> Result<()> {
        Reference.adamw(p, g, m, v, h)
    }
}
