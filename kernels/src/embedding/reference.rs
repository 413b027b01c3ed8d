//! The definition of table lookup and of its gradient.

use super::Embedding;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Embedding for Reference {
    fn embedding_fwd(&self, w: View, ids: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "embedding_fwd";
        let c = w.dims()[1];
        let (w, ids) = (host(OP, "w", w.to_f64())?, host(OP, "ids", ids.to_f64())?);
        let mut ys = Vec::with_capacity(ids.len() * c);
        for id in ids {
            ys.extend_from_slice(&w[id as usize * c..][..c]);
        }
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }

    fn embedding_bwd(&self, dy: View, ids: View, mut dw: ViewMut) -> Result<()> {
        const OP: &str = "embedding_bwd";
        let c = dw.dims()[1];
        let (dy, ids) = (host(OP, "dy", dy.to_f64())?, host(OP, "ids", ids.to_f64())?);
        let mut dws = host(OP, "dw", dw.as_view().to_f64())?;
        for n in 0..ids.len() {
            for i in 0..c {
                dws[ids[n] as usize * c + i] += dy[n * c + i];
            }
        }
        host(OP, "dw", dw.store_f64(&dws).then_some(()))
    }
}
