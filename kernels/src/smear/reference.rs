//! The definition of smearing and of its gradients.

use super::Smear;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Smear for Reference {
    fn smear_fwd(&self, x: View, g: View, prev: Option<View>, mut y: ViewMut) -> Result<()> {
        const OP: &str = "smear_fwd";
        let (positions, (rows, c)) = (x.dims()[1], x.layout().rows());
        let (x, g) = (host(OP, "x", x.to_f64())?, host(OP, "g", g.to_f64())?);
        let prev = prev.map(|prev| host(OP, "prev", prev.to_f64())).transpose()?;
        // ANCHOR: forward
        let mut ys = x.clone();
        for r in 0..rows {
            for i in 0..c {
                if r % positions > 0 {
                    ys[r * c + i] += g[r] * x[(r - 1) * c + i];
                } else if let Some(prev) = &prev {
                    ys[r * c + i] += g[r] * prev[r / positions * c + i];
                }
            }
        }
        // ANCHOR_END: forward
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }

    fn smear_bwd_x(&self, dy: View, g: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "smear_bwd_x";
        let (positions, (rows, c)) = (dy.dims()[1], dy.layout().rows());
        let (dy, g) = (host(OP, "dy", dy.to_f64())?, host(OP, "g", g.to_f64())?);
        let mut dxs = host(OP, "dx", dx.as_view().to_f64())?;
        for r in 0..rows {
            for i in 0..c {
                let old = if accumulate { dxs[r * c + i] } else { 0.0 };
                dxs[r * c + i] = old + dy[r * c + i];
                if (r + 1) % positions > 0 {
                    dxs[r * c + i] += g[r + 1] * dy[(r + 1) * c + i];
                }
            }
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }

    fn smear_bwd_g(
        &self,
        dy: View,
        x: View,
        prev: Option<View>,
        mut dg: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "smear_bwd_g";
        let (positions, (rows, c)) = (x.dims()[1], x.layout().rows());
        let (dy, x) = (host(OP, "dy", dy.to_f64())?, host(OP, "x", x.to_f64())?);
        let prev = prev.map(|prev| host(OP, "prev", prev.to_f64())).transpose()?;
        let mut dgs = host(OP, "dg", dg.as_view().to_f64())?;
        for r in 0..rows {
            dgs[r] = if accumulate { dgs[r] } else { 0.0 };
            for i in 0..c {
                if r % positions > 0 {
                    dgs[r] += dy[r * c + i] * x[(r - 1) * c + i];
                } else if let Some(prev) = &prev {
                    dgs[r] += dy[r * c + i] * prev[r / positions * c + i];
                }
            }
        }
        host(OP, "dg", dg.store_f64(&dgs).then_some(()))
    }
}
