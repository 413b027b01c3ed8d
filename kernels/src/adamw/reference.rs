//! The definition of an AdamW step.

use super::AdamW;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl AdamW for Reference {
    fn adamw(
        &self,
        mut p: ViewMut,
        rounded: Option<ViewMut>,
        g: View,
        mut m: ViewMut,
        mut v: ViewMut,
        factors: View,
    ) -> Result<()> {
        const OP: &str = "adamw";
        let g = host(OP, "g", g.to_f64())?;
        let mut ps = host(OP, "p", p.as_view().to_f64())?;
        let mut ms = host(OP, "m", m.as_view().to_f64())?;
        let mut vs = host(OP, "v", v.as_view().to_f64())?;
        let factors = host(OP, "factors", factors.to_f64())?;
        let &[keep, step_size, unbias, eps, beta1, beta2, rest1, rest2] = &factors[..] else { return Ok(()) };
        for i in 0..g.len() {
            ps[i] *= keep;
            ms[i] = beta1 * ms[i] + rest1 * g[i];
            vs[i] = beta2 * vs[i] + rest2 * g[i] * g[i];
            ps[i] -= step_size * ms[i] / ((vs[i] * unbias).sqrt() + eps);
        }
        let copied = rounded.is_none_or(|mut out| out.store_f64(&ps));
        host(OP, "p", (copied && p.store_f64(&ps) && m.store_f64(&ms) && v.store_f64(&vs)).then_some(()))
    }
}
