//! The definition of layer normalisation: the formulas of the module's header, row by row.

use super::LayerNorm;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

fn read(view: View) -> Result<Vec<f64>> {
    host("layer_norm", "an input", view.to_f64())
}

impl LayerNorm for Reference {
    fn layer_norm_fwd(
        &self,
        x: View,
        gain: View,
        bias: Option<View>,
        eps: f64,
        mut y: ViewMut,
        [mut mean, mut rstd]: [ViewMut; 2],
    ) -> Result<()> {
        let (rows, c) = x.layout().rows();
        let (x, gain, bias) = (read(x)?, read(gain)?, bias.map_or(Ok(vec![0.0; c]), read)?);
        let (mut ys, mut means, mut rstds) = (vec![0.0; rows * c], vec![0.0; rows], vec![0.0; rows]);
        for row in 0..rows {
            let x = &x[row * c..(row + 1) * c];
            means[row] = x.iter().sum::<f64>() / c as f64;
            let variance = x.iter().map(|x| (x - means[row]).powi(2)).sum::<f64>() / c as f64;
            rstds[row] = 1.0 / (variance + eps).sqrt();
            for i in 0..c {
                ys[row * c + i] = (x[i] - means[row]) * rstds[row] * gain[i] + bias[i];
            }
        }
        let stored = y.store_f64(&ys) && mean.store_f64(&means) && rstd.store_f64(&rstds);
        host("layer_norm", "y", stored.then_some(()))
    }

    fn layer_norm_bwd(
        &self,
        dy: View,
        x: View,
        gain: View,
        [mean, rstd]: [View; 2],
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        let (rows, c) = dy.layout().rows();
        let (dy, x, gain) = (read(dy)?, read(x)?, read(gain)?);
        let (mean, rstd, mut dxs) = (read(mean)?, read(rstd)?, read(dx.as_view())?);
        for row in 0..rows {
            let at = row * c;
            // ANCHOR: gradient
            let g = |i: usize| dy[at + i] * gain[i];
            let unit = |i: usize| (x[at + i] - mean[row]) * rstd[row];
            let mean_g = (0..c).map(g).sum::<f64>() / c as f64;
            let mean_gx = (0..c).map(|i| g(i) * unit(i)).sum::<f64>() / c as f64;
            for i in 0..c {
                let own = rstd[row] * (g(i) - mean_g - unit(i) * mean_gx);
                dxs[at + i] = if accumulate { dxs[at + i] + own } else { own };
            }
            // ANCHOR_END: gradient
        }
        host("layer_norm", "dx", dx.store_f64(&dxs).then_some(()))
    }

    fn layer_norm_bwd_weights(
        &self,
        dy: View,
        x: View,
        [mean, rstd]: [View; 2],
        mut dgain: ViewMut,
        mut dbias: ViewMut,
    ) -> Result<()> {
        let (rows, c) = dy.layout().rows();
        let (dy, x, mean, rstd) = (read(dy)?, read(x)?, read(mean)?, read(rstd)?);
        let (mut gain, mut bias) = (vec![0.0; c], vec![0.0; c]);
        for i in 0..rows * c {
            gain[i % c] += dy[i] * (x[i] - mean[i / c]) * rstd[i / c];
            bias[i % c] += dy[i];
        }
        let stored = dgain.store_f64(&gain) && dbias.store_f64(&bias);
        host("layer_norm", "dgain", stored.then_some(()))
    }
}
