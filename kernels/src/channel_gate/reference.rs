//! The definition of the gate and of its gradients.

use super::ChannelGate;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

/// `σ(a) = 1/(1 + e^−a)` of the product of n channels and weights.
fn sigmoid(x: &[f64], w: &[f64], n: usize) -> f64 {
    let a: f64 = (0..n).map(|j| x[j] * w[j]).sum();
    1.0 / (1.0 + (-a).exp())
}

impl ChannelGate for Reference {
    fn channel_gate_fwd(&self, x: View, w: View, scale: f64, mut g: ViewMut) -> Result<()> {
        const OP: &str = "channel_gate_fwd";
        let ((rows, c), heads, n) = (x.layout().rows(), w.dims()[0], w.dims()[1]);
        let (x, w) = (host(OP, "x", x.to_f64())?, host(OP, "w", w.to_f64())?);
        let mut gs = vec![0.0; rows * heads];
        for r in 0..rows {
            for h in 0..heads {
                gs[r * heads + h] = scale * sigmoid(&x[r * c..], &w[h * n..], n);
            }
        }
        host(OP, "g", g.store_f64(&gs).then_some(()))
    }

    fn channel_gate_bwd_x(
        &self,
        dg: View,
        x: View,
        w: View,
        scale: f64,
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "channel_gate_bwd_x";
        let ((rows, c), heads, n) = (x.layout().rows(), w.dims()[0], w.dims()[1]);
        let (x, w) = (host(OP, "x", x.to_f64())?, host(OP, "w", w.to_f64())?);
        let dg = host(OP, "dg", dg.to_f64())?;
        let mut dxs = if accumulate { host(OP, "dx", dx.as_view().to_f64())? } else { vec![0.0; rows * c] };
        for r in 0..rows {
            for h in 0..heads {
                let s = sigmoid(&x[r * c..], &w[h * n..], n);
                let da = dg[r * heads + h] * scale * s * (1.0 - s);
                for j in 0..n {
                    dxs[r * c + j] += da * w[h * n + j];
                }
            }
        }
        host(OP, "dx", dx.store_f64(&dxs).then_some(()))
    }

    fn channel_gate_bwd_w(
        &self,
        dg: View,
        x: View,
        w: View,
        scale: f64,
        mut dw: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "channel_gate_bwd_w";
        let ((rows, c), heads, n) = (x.layout().rows(), w.dims()[0], w.dims()[1]);
        let (x, w) = (host(OP, "x", x.to_f64())?, host(OP, "w", w.to_f64())?);
        let dg = host(OP, "dg", dg.to_f64())?;
        let mut dws = if accumulate { host(OP, "dw", dw.as_view().to_f64())? } else { vec![0.0; heads * n] };
        for r in 0..rows {
            for h in 0..heads {
                let s = sigmoid(&x[r * c..], &w[h * n..], n);
                let da = dg[r * heads + h] * scale * s * (1.0 - s);
                for j in 0..n {
                    dws[h * n + j] += da * x[r * c + j];
                }
            }
        }
        host(OP, "dw", dw.store_f64(&dws).then_some(()))
    }
}
