//! The definition of picking along an axis and of its gradient.

use super::Gather;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// For every element of the picked tensor (row-major): the element of the other one that it comes from, whose length along
/// the axis is `n`.
fn sources(axis: usize, dims: &[usize], n: usize, index: &[f64]) -> Vec<usize> {
    let inner: usize = dims[axis + 1..].iter().product();
    let outer = |i: usize| i / inner / dims[axis];
    (0..index.len()).map(|i| (outer(i) * n + index[i] as usize) * inner + i % inner).collect()
}

impl Gather for Reference {
    fn gather_fwd(&self, axis: usize, x: View, index: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "gather_fwd";
        let from = sources(axis, index.dims(), x.dims()[axis], &host(OP, "index", index.to_f64())?);
        let x = host(OP, "x", x.to_f64())?;
        let ys: Vec<f64> = from.into_iter().map(|i| x[i]).collect();
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }

    fn gather_bwd(&self, axis: usize, dy: View, index: View, mut dx: ViewMut) -> Result<()> {
        const OP: &str = "gather_bwd";
        let from = sources(axis, index.dims(), dx.dims()[axis], &host(OP, "index", index.to_f64())?);
        let dy = host(OP, "dy", dy.to_f64())?;
        let mut dxs = host(OP, "dx", dx.as_view().to_f64())?;
        // ANCHOR: gradient
        for i in 0..dy.len() {
            dxs[from[i]] += dy[i];
        }
        // ANCHOR_END: gradient
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }
}
