//! The definition: a sum, then the loops of RMSNorm.

use super::AddRmsNorm;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl AddRmsNorm for Reference {
    fn add_rms_norm_fwd(
        &self,
        x: View,
        r: View,
        eps: f64,
        mut h: ViewMut,
        mut y: ViewMut,
        mut rstd: ViewMut,
    ) -> Result<()> {
        const OP: &str = "add_rms_norm_fwd";
        let (rows, c) = x.layout().rows();
        let (x, r) = (host(OP, "x", x.to_f64())?, host(OP, "r", r.to_f64())?);
        let hs: Vec<f64> = (0..rows * c).map(|i| x[i] + r[i]).collect();
        let (mut ys, mut rstds) = (vec![0.0; rows * c], vec![0.0; rows]);
        for row in 0..rows {
            let mut mean_square = 0.0;
            for i in row * c..(row + 1) * c {
                mean_square += hs[i] * hs[i] / c as f64;
            }
            rstds[row] = 1.0 / (mean_square + eps).sqrt();
            for i in row * c..(row + 1) * c {
                ys[i] = hs[i] * rstds[row];
            }
        }
        let stored = h.store_f64(&hs) && y.store_f64(&ys) && rstd.store_f64(&rstds);
        host(OP, "y", stored.then_some(()))
    }

    fn add_rms_norm_bwd(&self, dh: View, dy: View, y: View, rstd: View, mut dx: ViewMut) -> Result<()> {
        const OP: &str = "add_rms_norm_bwd";
        let (rows, c) = dy.layout().rows();
        let (dh, dy) = (host(OP, "dh", dh.to_f64())?, host(OP, "dy", dy.to_f64())?);
        let (y, rstd) = (host(OP, "y", y.to_f64())?, host(OP, "rstd", rstd.to_f64())?);
        let mut dxs = dh;
        for row in 0..rows {
            let mut mean = 0.0;
            for i in row * c..(row + 1) * c {
                mean += dy[i] * y[i] / c as f64;
            }
            for i in row * c..(row + 1) * c {
                dxs[i] += rstd[row] * (dy[i] - y[i] * mean);
            }
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }
}
