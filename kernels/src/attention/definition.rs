//! The definition of attention's forward pass, on plain f64 slices: scores, softmax and weighted sum, one query at a time.
//! `reference.rs` wraps it for views and adds the gradient; the samples use it to make the inputs of backward.

use super::{AttentionParams, Shape};

/// The softmax row of one query: its visible keys' weights, and ln Σ exp.
fn weights(
    q: &[f64],
    k: &[f64],
    s: &Shape,
    p: AttentionParams,
    (b, i, h): (usize, usize, usize),
) -> (Vec<f64>, f64) {
    let dot = |j: usize| (0..s.d).map(|d| q[s.q(b, i, h) + d] * k[s.kv(b, j, h) + d]).sum::<f64>();
    let scores: Vec<f64> = p.visible(i).map(|j| p.scale as f64 * dot(j)).collect();
    let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
    (scores.iter().map(|s| (s - max).exp() / sum).collect(), max + sum.ln())
}

/// `(o, lse)`, also used to make the inputs of backward samples.
pub(super) fn forward(
    q: &[f64],
    k: &[f64],
    v: &[f64],
    s: &Shape,
    p: AttentionParams,
) -> (Vec<f64>, Vec<f64>) {
    let (mut o, mut lse) = (vec![0.0; q.len()], vec![0.0; s.b * s.h * s.t]);
    for (b, i, h) in s.queries() {
        let (weight, row_lse) = weights(q, k, s, p, (b, i, h));
        lse[(b * s.h + h) * s.t + i] = row_lse;
        for (j, w) in p.visible(i).zip(weight) {
            for d in 0..s.d {
                o[s.q(b, i, h) + d] += w * v[s.kv(b, j, h) + d];
            }
        }
    }
    (o, lse)
}
