//! Table lookup on the CPU.

use super::Embedding;
use crate::{Cpu, Reference, Result, View, ViewMut};

impl Embedding for Cpu {
    fn embedding_fwd(&self, w: View, ids: View, y: ViewMut) -> Result<()> {
        Reference.embedding_fwd(w, ids, y)
    }
    fn embedding_bwd(&self, dy: View, ids: View, dw: ViewMut) -> Result<()> {
        Reference.embedding_bwd(dy, ids, dw)
    }
}
