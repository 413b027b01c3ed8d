//! The definition: turn the pairs of a head vector, then normalise it; the gradient in the opposite order.

use super::{RopeNorm, Rotation};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// Turn `x` (rows of `d`) by the angle of each row's token; backwards if `sign` is −1.
fn turn(op: &'static str, x: &mut [f64], d: usize, heads: usize, r: &Rotation, sign: f64) -> Result<()> {
    let positions = host(op, "positions", r.positions.to_f64())?;
    let (cos, sin) = (host(op, "cos", r.cos.to_f64())?, host(op, "sin", r.sin.to_f64())?);
    for row in 0..x.len() / d.max(1) {
        let at = positions[row / heads] as usize * (d / 2);
        for j in 0..d / 2 {
            let (first, second) = (row * d + j, row * d + d / 2 + j);
            let (c, s) = (cos[at + j], sign * sin[at + j]);
            (x[first], x[second]) = (x[first] * c + x[second] * s, x[second] * c - x[first] * s);
        }
    }
    Ok(())
}

impl RopeNorm for Reference {
    fn rope_norm_fwd(
        &self,
        x: View,
        rotation: Rotation,
        gain: f64,
        eps: f64,
        mut y: ViewMut,
        mut rstd: ViewMut,
    ) -> Result<()> {
        const OP: &str = "rope_norm_fwd";
        let (rows, d) = x.layout().rows();
        let mut z = host(OP, "x", x.to_f64())?;
        turn(OP, &mut z, d, x.dims()[2], &rotation, 1.0)?;
        let mut rstds = vec![0.0; rows];
        for row in 0..rows {
            let z = &mut z[row * d..(row + 1) * d];
            let mean_square = z.iter().map(|z| z * z).sum::<f64>() / d as f64;
            rstds[row] = 1.0 / (mean_square + eps).sqrt();
            z.iter_mut().for_each(|z| *z *= gain * rstds[row]);
        }
        host(OP, "y", (y.store_f64(&z) && rstd.store_f64(&rstds)).then_some(()))
    }

    fn rope_norm_bwd(
        &self,
        dy: View,
        y: View,
        rstd: View,
        rotation: Rotation,
        gain: f64,
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "rope_norm_bwd";
        let ((rows, d), heads) = (dy.layout().rows(), dy.dims()[2]);
        let (dy, y) = (host(OP, "dy", dy.to_f64())?, host(OP, "y", y.to_f64())?);
        let (rstd, old) = (host(OP, "rstd", rstd.to_f64())?, host(OP, "dx", dx.as_view().to_f64())?);
        let mut dz = vec![0.0; rows * d];
        for row in 0..rows {
            let at = row * d..(row + 1) * d;
            let mean = at.clone().map(|i| dy[i] * y[i]).sum::<f64>() / d as f64;
            at.for_each(|i| dz[i] = rstd[row] * (gain * dy[i] - y[i] * mean / gain));
        }
        turn(OP, &mut dz, d, heads, &rotation, -1.0)?;
        if accumulate {
            dz.iter_mut().zip(old).for_each(|(dz, old)| *dz += old);
        }
        host(OP, "dx", dx.store_f64(&dz).then_some(()))
    }
}
