//! The definition of a gated sum and of its gradients.

use super::GatedAdd;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl GatedAdd for Reference {
    fn gated_add_fwd(&self, v: View, g: View, u: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "gated_add_fwd";
        let (rows, d) = v.layout().rows();
        let (v, g, u) = (host(OP, "v", v.to_f64())?, host(OP, "g", g.to_f64())?, host(OP, "u", u.to_f64())?);
        let mut ys = vec![0.0; rows * d];
        for r in 0..rows {
            for i in r * d..(r + 1) * d {
                ys[i] = v[i] + g[r] * u[i];
            }
        }
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }

    fn gated_add_bwd_u(&self, dy: View, g: View, mut du: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "gated_add_bwd_u";
        let (rows, d) = dy.layout().rows();
        let (dy, g) = (host(OP, "dy", dy.to_f64())?, host(OP, "g", g.to_f64())?);
        let mut dus = host(OP, "du", du.as_view().to_f64())?;
        for r in 0..rows {
            for i in r * d..(r + 1) * d {
                dus[i] = if accumulate { dus[i] } else { 0.0 } + g[r] * dy[i];
            }
        }
        host(OP, "du", du.store_f64(&dus).then_some(()))
    }

    fn gated_add_bwd_g(&self, dy: View, u: View, mut dg: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "gated_add_bwd_g";
        let (rows, d) = dy.layout().rows();
        let (dy, u) = (host(OP, "dy", dy.to_f64())?, host(OP, "u", u.to_f64())?);
        let mut dgs = host(OP, "dg", dg.as_view().to_f64())?;
        for r in 0..rows {
            dgs[r] = if accumulate { dgs[r] } else { 0.0 };
            for i in r * d..(r + 1) * d {
                dgs[r] += dy[i] * u[i];
            }
        }
        host(OP, "dg", dg.store_f64(&dgs).then_some(()))
    }
}
