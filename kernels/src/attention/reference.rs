//! The definition of causal attention: forward from `definition.rs`, and the gradient, one pair of query and key at a time.

use super::definition::forward;
use super::{Attention, AttentionParams, Shape};
use crate::{KernelError, Reference, Result, View, ViewMut};

impl Attention for Reference {
    fn attention_fwd(
        &self,
        q: View,
        k: View,
        v: View,
        p: AttentionParams,
        mut o: ViewMut,
        mut lse: ViewMut,
    ) -> Result<()> {
        let wrong = |arg| KernelError::WrongSpace { op: "attention_fwd", arg };
        let shape = Shape::new(q.dims(), k.dims());
        let q = q.to_f64().ok_or(wrong("q"))?;
        let k = k.to_f64().ok_or(wrong("k"))?;
        let v = v.to_f64().ok_or(wrong("v"))?;
        let (os, lses) = forward(&q, &k, &v, &shape, p);
        o.store_f64(&os);
        lse.store_f64(&lses);
        Ok(())
    }

    fn attention_bwd(
        &self,
        [q, k, v, o, lse, d_o]: [View; 6],
        p: AttentionParams,
        mut out: [ViewMut; 3],
        accumulate: bool,
    ) -> Result<()> {
        let s = Shape::new(q.dims(), k.dims());
        let read =
            |x: View| x.to_f64().ok_or(KernelError::WrongSpace { op: "attention_bwd", arg: "an argument" });
        let (q, k, v, o, lse, d_o) = (read(q)?, read(k)?, read(v)?, read(o)?, read(lse)?, read(d_o)?);
        let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
        for (b, i, h) in s.queries() {
            let row = s.q(b, i, h);
            let delta: f64 = (0..s.d).map(|d| d_o[row + d] * o[row + d]).sum();
            for j in p.visible(i) {
                let key = s.kv(b, j, h);
                let score: f64 = (0..s.d).map(|d| q[row + d] * k[key + d]).sum();
                let weight = (p.scale as f64 * score - lse[(b * s.h + h) * s.t + i]).exp();
                let d_weight: f64 = (0..s.d).map(|d| d_o[row + d] * v[key + d]).sum();
                let d_score = p.scale as f64 * weight * (d_weight - delta);
                for d in 0..s.d {
                    dv[key + d] += weight * d_o[row + d];
                    dq[row + d] += d_score * k[key + d];
                    dk[key + d] += d_score * q[row + d];
                }
            }
        }
        for (out, grad) in out.iter_mut().zip([dq, dk, dv]) {
            let old = out.as_view().to_f64().unwrap_or_default();
            let sum: Vec<f64> =
                grad.iter().zip(&old).map(|(g, o)| if accumulate { o + g } else { *g }).collect();
            out.store_f64(&sum);
        }
        Ok(())
    }
}
