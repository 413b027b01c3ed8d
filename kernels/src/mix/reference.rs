//! The definition of a mixture and of the gradient of its scalars.

use super::Mix;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Mix for Reference {
    fn mix_fwd(&self, a: View, x: View, b: View, z: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "mix_fwd";
        let (a, b) = (host(OP, "a", a.to_f64())?[0], host(OP, "b", b.to_f64())?[0]);
        let (x, z) = (host(OP, "x", x.to_f64())?, host(OP, "z", z.to_f64())?);
        let mut ys = vec![0.0; x.len()];
        for i in 0..x.len() {
            ys[i] = a * x[i] + b * z[i];
        }
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }

    fn mix_bwd_scalar(&self, dy: View, x: View, mut da: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "mix_bwd_scalar";
        let (dy, x) = (host(OP, "dy", dy.to_f64())?, host(OP, "x", x.to_f64())?);
        let mut sum = if accumulate { host(OP, "da", da.as_view().to_f64())?[0] } else { 0.0 };
        for i in 0..x.len() {
            sum += dy[i] * x[i];
        }
        host(OP, "da", da.store_f64(&[sum]).then_some(()))
    }

    fn mix_bwd(
        &self,
        dy: View,
        inputs: [View; 4],
        outputs: [ViewMut; 4],
        accumulate: [bool; 4],
    ) -> Result<()> {
        let ([a, x, b, z], [da, dx, db, dz]) = (inputs, outputs);
        self.mix_bwd_scalar(dy, x, da, accumulate[0])?;
        self.mix_bwd_scalar(dy, z, db, accumulate[2])?;
        let dys = host("mix_bwd", "dy", dy.to_f64())?;
        for (factor, mut out, add) in [(a, dx, accumulate[1]), (b, dz, accumulate[3])] {
            let factor = host("mix_bwd", "a", factor.to_f64())?[0];
            let old = host("mix_bwd", "dx", out.as_view().to_f64())?;
            let mut total = vec![0.0; dys.len()];
            for i in 0..dys.len() {
                total[i] = factor * dys[i] + if add { old[i] } else { 0.0 };
            }
            host("mix_bwd", "dx", out.store_f64(&total).then_some(()))?;
        }
        Ok(())
    }
}
