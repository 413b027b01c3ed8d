//! The definition of an AdamW step.

use super::{AdamW, AdamWParams};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl AdamW for Reference {
    fn adamw(&self, mut p: ViewMut, g: View, mut m: ViewMut, mut v: ViewMut, h: AdamWParams) -> Result<()> {
        const OP: &str = "adamw";
        let g = host(OP, "g", g.to_f64())?;
        let mut ps = host(OP, "p", p.as_view().to_f64())?;
        let mut ms = host(OP, "m", m.as_view().to_f64())?;
        let mut vs = host(OP, "v", v.as_view().to_f64())?;
        let t = h.step as f64;
        for i in 0..g.len() {
            ps[i] *= 1.0 - h.lr * h.weight_decay;
            ms[i] = h.beta1 * ms[i] + (1.0 - h.beta1) * g[i];
            vs[i] = h.beta2 * vs[i] + (1.0 - h.beta2) * g[i] * g[i];
            let (m_hat, v_hat) = (ms[i] / (1.0 - h.beta1.powf(t)), vs[i] / (1.0 - h.beta2.powf(t)));
            ps[i] -= h.lr * m_hat / (v_hat.sqrt() + h.eps);
        }
        host(OP, "p", (p.store_f64(&ps) && m.store_f64(&ms) && v.store_f64(&vs)).then_some(()))
    }
}
