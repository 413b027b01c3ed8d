//! The definition of layer normalisation: the formulas of the module's header, row by row.

use super::LayerNorm;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl LayerNorm for Reference {
    fn layer_norm_fwd(
        &self,
        x: View,
        gain: View,
        bias: Option<View>,
        eps: f64,
        mut y: ViewMut,
        mut mean: ViewMut,
        mut rstd: ViewMut,
    ) -> Result<()> {
        const OP: &str = "layer_norm_fwd";
        let (rows, c) = x.layout().rows();
        let (x, gain) = (host(OP, "x", x.to_f64())?, host(OP, "gain", gain.to_f64())?);
        let bias = bias.map_or(Ok(vec![0.0; c]), |bias| host(OP, "bias", bias.to_f64()))?;
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
        host(OP, "y", stored.then_some(()))
    }

    fn layer_norm_bwd(
        &self,
        dy: View,
        x: View,
        gain: View,
        mean: View,
        rstd: View,
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "layer_norm_bwd";
        let (rows, c) = dy.layout().rows();
        let read = |arg, view: View| host(OP, arg, view.to_f64());
        let (dy, x, gain) = (read("dy", dy)?, read("x", x)?, read("gain", gain)?);
        let (mean, rstd, mut dxs) = (read("mean", mean)?, read("rstd", rstd)?, read("dx", dx.as_view())?);
        for row in 0..rows {
            let at = |i: usize| row * c + i;
            let g = |i: usize| dy[at(i)] * gain[i];
            let unit = |i: usize| (x[at(i)] - mean[row]) * rstd[row];
            let mean_g = (0..c).map(g).sum::<f64>() / c as f64;
            let mean_gx = (0..c).map(|i| g(i) * unit(i)).sum::<f64>() / c as f64;
            for i in 0..c {
                let own = rstd[row] * (g(i) - mean_g - unit(i) * mean_gx);
                dxs[at(i)] = if accumulate { dxs[at(i)] + own } else { own };
            }
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }

    fn layer_norm_bwd_weights(
        &self,
        dy: View,
        x: View,
        mean: View,
        rstd: View,
        mut dgain: ViewMut,
        mut dbias: ViewMut,
    ) -> Result<()> {
        let (rows, c) = dy.layout().rows();
        let read = |arg, view: View| host("layer_norm_bwd_weights", arg, view.to_f64());
        let (dy, x) = (read("dy", dy)?, read("x", x)?);
        let (mean, rstd) = (read("mean", mean)?, read("rstd", rstd)?);
        let unit = |row: usize, i: usize| (x[row * c + i] - mean[row]) * rstd[row];
        let gain = |i: usize| (0..rows).map(|row| dy[row * c + i] * unit(row, i)).sum::<f64>();
        let bias = |i: usize| (0..rows).map(|row| dy[row * c + i]).sum::<f64>();
        let stored = dgain.store_f64(&(0..c).map(gain).collect::<Vec<_>>())
            && dbias.store_f64(&(0..c).map(bias).collect::<Vec<_>>());
        host("layer_norm_bwd_weights", "dgain", stored.then_some(()))
    }
}
