//! The definitions of softmax, log-sum-exp and their gradients.

use super::Softmax;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// Maximum of a row, NaN if there is one, and `Σ exp(x − max)`.
fn statistics(row: &[f64]) -> (f64, f64) {
    let larger = |m: f64, &x: &f64| if x > m || x.is_nan() { x } else { m };
    let max = row.iter().fold(f64::NEG_INFINITY, larger);
    (max, row.iter().map(|x| (x - max).exp()).sum())
}

impl Softmax for Reference {
    fn softmax_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        let c = x.layout().rows().1;
        let mut values = host("softmax_fwd", "x", x.to_f64())?;
        for row in values.chunks_mut(c) {
            let (max, sum) = statistics(row);
            row.iter_mut().for_each(|x| *x = (*x - max).exp() / sum);
        }
        host("softmax_fwd", "y", y.store_f64(&values).then_some(()))
    }

    fn softmax_bwd(&self, dy: View, y: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "softmax_bwd";
        let c = y.layout().rows().1;
        let (dy, y) = (host(OP, "dy", dy.to_f64())?, host(OP, "y", y.to_f64())?);
        let mut dxs = host(OP, "dx", dx.as_view().to_f64())?;
        // ANCHOR: gradient
        for row in 0..y.len() / c {
            let at = row * c..(row + 1) * c;
            let dot: f64 = at.clone().map(|i| dy[i] * y[i]).sum();
            for i in at {
                dxs[i] = y[i] * (dy[i] - dot) + if accumulate { dxs[i] } else { 0.0 };
            }
        }
        // ANCHOR_END: gradient
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }

    fn logsumexp_fwd(&self, x: View, mut lse: ViewMut) -> Result<()> {
        let (rows, c) = x.layout().rows();
        let x = host("logsumexp_fwd", "x", x.to_f64())?;
        let mut all = Vec::new();
        for row in 0..rows {
            let (max, sum) = statistics(&x[row * c..(row + 1) * c]);
            all.push(if max.is_infinite() { max } else { max + sum.ln() });
        }
        host("logsumexp_fwd", "lse", lse.store_f64(&all).then_some(()))
    }

    fn logsumexp_bwd(&self, x: View, lse: View, dl: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "logsumexp_bwd";
        let c = x.layout().rows().1;
        let x = host(OP, "x", x.to_f64())?;
        let (lse, dl) = (host(OP, "lse", lse.to_f64())?, host(OP, "dl", dl.to_f64())?);
        let mut dxs = host(OP, "dx", dx.as_view().to_f64())?;
        for i in 0..x.len() {
            let g = (x[i] - lse[i / c]).exp() * dl[i / c];
            dxs[i] = if accumulate { dxs[i] + g } else { g };
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }
}
