//! The definition of the gated activations: every element by the formula.

use super::{Activation, Gated};
use crate::check::host;
use crate::gelu::{GeluForm, reference::phi};
use crate::{Reference, Result, View, ViewMut};

/// `act(a)` and `act'(a)`.
fn activation(act: Activation, a: f64) -> (f64, f64) {
    match act {
        Activation::ReluSquared if a < 0.0 => (0.0, 0.0),
        Activation::ReluSquared => (a * a, 2.0 * a),
        Activation::Silu => {
            let sigmoid = 1.0 / (1.0 + (-a).exp());
            (a * sigmoid, sigmoid + a * sigmoid * (1.0 - sigmoid))
        }
        Activation::GeluTanh => {
            let z = a.clamp(-40.0, 40.0); // the slope is 0 or 1 beyond, at infinity too
            let (phi, slope) = phi(GeluForm::Tanh, z);
            (a * phi, phi + z * slope)
        }
    }
}

impl Gated for Reference {
    fn gated_fwd(&self, act: Activation, a: View, b: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "gated_fwd";
        let (a, b) = (host(OP, "a", a.to_f64())?, host(OP, "b", b.to_f64())?);
        let ys: Vec<f64> = (0..a.len()).map(|i| activation(act, a[i]).0 * b[i]).collect();
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }

    fn gated_bwd(
        &self,
        act: Activation,
        a: View,
        b: View,
        dy: View,
        mut da: ViewMut,
        mut db: ViewMut,
    ) -> Result<()> {
        const OP: &str = "gated_bwd";
        let (a, b) = (host(OP, "a", a.to_f64())?, host(OP, "b", b.to_f64())?);
        let dy = host(OP, "dy", dy.to_f64())?;
        let das: Vec<f64> = (0..a.len()).map(|i| dy[i] * b[i] * activation(act, a[i]).1).collect();
        let dbs: Vec<f64> = (0..a.len()).map(|i| dy[i] * activation(act, a[i]).0).collect();
        host(OP, "da", (da.store_f64(&das) && db.store_f64(&dbs)).then_some(()))
    }
}
