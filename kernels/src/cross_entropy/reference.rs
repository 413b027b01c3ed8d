//! The definition of the soft-capped cross entropy and its gradient.

use super::CrossEntropy;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl CrossEntropy for Reference {
    fn softcap_cross_entropy_fwd(
        &self,
        mut z: ViewMut,
        targets: View,
        softcap: f32,
        mut loss: ViewMut,
        mut lse: ViewMut,
    ) -> Result<()> {
        const OP: &str = "softcap_cross_entropy_fwd";
        let ([n, v], cap) = ([z.dims()[0], z.dims()[1]], softcap as f64);
        let targets = host(OP, "targets", targets.to_f64())?;
        let mut zs = host(OP, "z", z.as_view().to_f64())?;
        let (mut losses, mut lses) = (vec![0.0; n], vec![0.0; n]);
        for row in 0..n {
            let z = &mut zs[row * v..][..v];
            let (mut max, mut sum) = (f64::NEG_INFINITY, 0.0);
            for z in z.iter_mut() {
                *z = if cap > 0.0 { cap * (*z / cap).tanh() } else { *z };
                max = max.max(*z); // skips NaN, which the sum then finds
            }
            for z in z.iter() {
                sum += (z - max).exp();
            }
            lses[row] = max + sum.ln();
            losses[row] = if targets[row] < 0.0 { 0.0 } else { lses[row] - z[targets[row] as usize] };
        }
        host(OP, "z", (z.store_f64(&zs) && loss.store_f64(&losses) && lse.store_f64(&lses)).then_some(()))
    }

    fn softcap_cross_entropy_bwd(
        &self,
        mut z: ViewMut,
        targets: View,
        softcap: f32,
        lse: View,
        weight: View,
    ) -> Result<()> {
        const OP: &str = "softcap_cross_entropy_bwd";
        let ([n, v], cap) = ([z.dims()[0], z.dims()[1]], softcap as f64);
        let targets = host(OP, "targets", targets.to_f64())?;
        let (lse, weight) = (host(OP, "lse", lse.to_f64())?, host(OP, "weight", weight.to_f64())?);
        let mut zs = host(OP, "z", z.as_view().to_f64())?;
        for at in 0..n * v {
            let (row, z) = (at / v, zs[at]);
            let hit = if targets[row] == (at % v) as f64 { 1.0 } else { 0.0 };
            let slope = if cap > 0.0 { 1.0 - (z / cap) * (z / cap) } else { 1.0 };
            let dz = weight[row] * ((z - lse[row]).exp() - hit) * slope;
            zs[at] = if targets[row] < 0.0 { 0.0 } else { dz };
        }
        host(OP, "z", z.store_f64(&zs).then_some(()))
    }
}
