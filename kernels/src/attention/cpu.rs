//! Attention on the CPU, one query at a time.

use super::{Attention, AttentionParams, Shape};
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, portable};

impl Attention for Cpu {
    fn attention_fwd(&self, q: View, k: View, v: View, p: AttentionParams, mut o: ViewMut, mut lse: ViewMut) -> Result<()> {
        match q.dtype() {
            DType::Bf16 => forward::<Bf16>(&q, &k, &v, p, &mut o, &mut lse),
            _ => forward::<f32>(&q, &k, &v, p, &mut o, &mut lse),
        }
    }
    fn attention_bwd(
        &self,
        inputs: [View; 6],
        p: AttentionParams,
        mut outputs: [ViewMut; 3],
        accumulate: bool,
    ) -> Result<()> {
        match inputs[0].dtype() {
            DType::Bf16 => backward::<Bf16>(&inputs, p, &mut outputs, accumulate),
            _ => backward::<f32>(&inputs, p, &mut outputs, accumulate),
        }
    }
}

fn widen<T: Float>(op: &'static str, arg: &'static str, x: &View) -> Result<Vec<f32>> {
    let base = host(op, arg, x.base::<T>())?;
    Ok((0..x.numel()).map(|i| base[x.layout().position(i)].to_f32()).collect())
}

fn forward<T: Float>(q: &View, k: &View, v: &View, p: AttentionParams, o: &mut ViewMut, lse: &mut ViewMut) -> Result<()> {
    const OP: &str = "attention_fwd";
    let s = Shape::new(q.dims(), k.dims());
    let (q, k, v) = (widen::<T>(OP, "q", q)?, widen::<T>(OP, "k", k)?, widen::<T>(OP, "v", v)?);
    let layout = *o.layout();
    let o = host(OP, "o", o.base_mut::<T>())?;
    let lse = host(OP, "lse", lse.as_mut_slice::<f32>())?;
    for (b, i, h) in s.queries() {
        let q = &q[s.q(b, i, h)..][..s.d];
        let score = |j| p.scale * q.iter().zip(&k[s.kv(b, j, h)..][..s.d]).map(|(q, k)| q * k).sum::<f32>();
        let scores: Vec<f32> = p.visible(i).map(score).collect();
        let max = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        let weights: Vec<f32> = scores.iter().map(|s| (s - max).exp()).collect();
        let sum: f32 = weights.iter().sum();
        lse[(b * s.h + h) * s.t + i] = max + portable::ln(sum as f64) as f32;
        for d in 0..s.d {
            let sum_v: f32 = p.visible(i).zip(&weights).map(|(j, w)| w * v[s.kv(b, j, h) + d]).sum();
            o[layout.position(s.q(b, i, h) + d)] = T::from_f32(sum_v / sum);
        }
    }
    Ok(())
}

fn backward<T: Float>(inputs: &[View; 6], p: AttentionParams, out: &mut [ViewMut; 3], accumulate: bool) -> Result<()> {
    const OP: &str = "attention_bwd";
    let s = Shape::new(inputs[0].dims(), inputs[1].dims());
    let lse = host(OP, "lse", inputs[4].as_slice::<f32>())?;
    let wide = |i: usize| widen::<T>(OP, "an argument", &inputs[i]);
    let (q, k, v, o, d_o) = (wide(0)?, wide(1)?, wide(2)?, wide(3)?, wide(5)?);
    let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    for (b, i, h) in s.queries() {
        let row = s.q(b, i, h);
        let (q, d_o) = (&q[row..row + s.d], &d_o[row..row + s.d]);
        let delta = dot(d_o, &o[row..row + s.d]);
        for j in p.visible(i) {
            let key = s.kv(b, j, h);
            let weight = (p.scale * dot(q, &k[key..key + s.d]) - lse[(b * s.h + h) * s.t + i]).exp();
            let d_score = p.scale * weight * (dot(d_o, &v[key..key + s.d]) - delta);
            for d in 0..s.d {
                dv[key + d] += weight * d_o[d];
                dq[row + d] += d_score * k[key + d];
                dk[key + d] += d_score * q[d];
            }
        }
    }
    for (out, grad) in out.iter_mut().zip([dq, dk, dv]) {
        let layout = *out.layout();
        let out = host(OP, "a gradient", out.base_mut::<T>())?;
        for (i, g) in grad.into_iter().enumerate() {
            let at = layout.position(i);
            out[at] = T::from_f32(if accumulate { out[at].to_f32() + g } else { g });
        }
    }
    Ok(())
}
