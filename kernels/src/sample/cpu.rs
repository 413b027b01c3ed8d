//! Drawing tokens on the CPU.

use super::Sample;
use crate::{Cpu, Reference, Result, View, ViewMut};

impl Sample for Cpu {
    fn sample(
        &self,
        logits: View,
        uniforms: View,
        temperature: f64,
        top_k: Option<usize>,
        ids: ViewMut,
    ) -> Result<()> {
        Reference.sample(logits, uniforms, temperature, top_k, ids)
    }
}
