//! Terms that cancel inside a formula: `OpInfo::hidden` of the operations that have some.
//!
//! The gradient of a softmax is a probability times a difference, `p·(dp − Σ p·dp)`. Where the softmax has decided for one
//! key the difference is of two equal numbers, and every derivative of the result by an input is as small as the result.
//! What was subtracted was not small, and its rounding errors stay. Plain loops in f64, from the formulas alone.

use super::OpSample;
use crate::terms::Terms;
use tensor::DType;

/// `softmax` over the last axis: `p·(|dy| + Σ p·|dy|)`.
pub fn softmax(x: &[Vec<f64>], dy: &[Vec<f64>], sample: &OpSample) -> Terms {
    let n = sample.inputs[0].dims.last().copied().unwrap_or(1).max(1);
    let row = |(x, dy): (&[f64], &[f64])| {
        let p = probabilities(x);
        let mean: f64 = p.iter().zip(dy).map(|(p, dy)| p * dy.abs()).sum();
        p.iter().zip(dy).map(|(p, dy)| p * (dy.abs() + mean)).collect::<Vec<f64>>()
    };
    of_dx([x[0].chunks(n).zip(dy[0].chunks(n)).flat_map(row).collect()])
}

/// `log_softmax`: `x − lse`, where one element has nearly all the weight a difference of equals.
pub fn log_softmax(x: &[Vec<f64>], _: &[Vec<f64>], sample: &OpSample) -> Terms {
    let n = sample.inputs[0].dims.last().copied().unwrap_or(1).max(1);
    let row = |x: &[f64]| {
        let max = x.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
        let lse = max + x.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        x.iter().map(|x| x.abs() + lse.abs()).collect::<Vec<f64>>()
    };
    Terms { y: vec![x[0].chunks(n).flat_map(row).collect()], dx: Vec::new() }
}

/// Exact GELU: `x·(1 + erf(x/√2))/2`, where erf close to −1 leaves little, in the value as in the derivative.
pub fn gelu(x: &[Vec<f64>], dy: &[Vec<f64>], _: &OpSample) -> Terms {
    Terms { y: vec![times(&x[0], 1.0)], dx: vec![times(&dy[0], 1.0)] }
}

/// What an exponential flushed to 0 below e⁻⁸⁷ = 1.6e-38 leaves out, in units of f32's roundoff.
const FLUSHED: f64 = 1e-30;

/// The largest factor of that exponential in a derivative: `1 + |x|·2u'`, `u` the cubic, where `2|u| = 87`.
const STEEPEST: f64 = 300.0;

/// GELU by tanh: `x·σ(2u)`, where σ far to the left is a flushed exponential.
pub fn gelu_tanh(x: &[Vec<f64>], dy: &[Vec<f64>], _: &OpSample) -> Terms {
    Terms { y: vec![times(&x[0], FLUSHED)], dx: vec![times(&dy[0], FLUSHED * STEEPEST)] }
}

/// The same, gated: `gelu(a)·b`.
pub fn gated_gelu_tanh(x: &[Vec<f64>], dy: &[Vec<f64>], _: &OpSample) -> Terms {
    let product = |v: &[f64], w: &[f64]| v.iter().zip(w).map(|(v, w)| v * w).collect::<Vec<f64>>();
    let (a, b, dy) = (&x[0], &x[1], &dy[0]);
    Terms {
        y: vec![times(&product(a, b), FLUSHED)],
        dx: vec![times(&product(dy, b), FLUSHED * STEEPEST), times(&product(dy, a), FLUSHED)],
    }
}

/// Variance: the mean is rounded before it is subtracted, so equal numbers keep a difference of one roundoff, squared.
pub fn variance(x: &[Vec<f64>], dy: &[Vec<f64>], _: &OpSample) -> Terms {
    let largest = x[0].iter().fold(0.0f64, |max, x| max.max(x * x));
    Terms { y: vec![vec![largest * DType::F32.unit_roundoff(); dy[0].len()]], dx: Vec::new() }
}

fn times(v: &[f64], by: f64) -> Vec<f64> {
    v.iter().map(|v| v.abs() * by).collect()
}

fn of_dx<const N: usize>(dx: [Vec<f64>; N]) -> Terms {
    Terms { y: Vec::new(), dx: dx.to_vec() }
}

/// `tanh` through its output: `dy·(1 − y²)`, where `y²` close to 1 has lost what the difference is made of.
pub fn tanh(x: &[Vec<f64>], dy: &[Vec<f64>], _: &OpSample) -> Terms {
    of_dx([x[0].iter().zip(&dy[0]).map(|(x, dy)| dy.abs() * (1.0 + x.tanh().powi(2))).collect()])
}

/// `sigmoid` through its output: `dy·y·(1 − y)`, likewise.
pub fn sigmoid(x: &[Vec<f64>], dy: &[Vec<f64>], _: &OpSample) -> Terms {
    let y = |x: f64| 1.0 / (1.0 + (-x).exp());
    of_dx([x[0].iter().zip(&dy[0]).map(|(&x, dy)| dy.abs() * y(x) * (1.0 + y(x))).collect()])
}

/// Causal attention: `|ds| = P∘(|do|·|v|ᵀ + P·|do|·|v|ᵀ)` in place of `P∘(dp − δ)`, then `scale·|ds|·|k|` and `scale·|ds|ᵀ·|q|`.
/// Weights that are flushed to 0 are missing in all three gradients.
pub fn attention(x: &[Vec<f64>], dy: &[Vec<f64>], sample: &OpSample) -> Terms {
    let &[b, t, h, d] = &sample.inputs[0].dims[..] else { return Terms::default() };
    let (hk, scale, window) = (sample.inputs[1].dims[2], sample.scalars[0], sample.scalars[1]);
    let [q, k, v] = [&x[0], &x[1], &x[2]];
    let mut terms = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    let query = |b: usize, i: usize, head: usize| ((b * t + i) * h + head) * d;
    let key = |b: usize, j: usize, head: usize| ((b * t + j) * hk + head * hk / h) * d;
    for (b, head, i) in (0..b * h * t).map(|at| (at / (h * t), at / t % h, at % t)) {
        let at = query(b, i, head);
        let first = if window < 0.0 { 0 } else { i.saturating_sub(window as usize) };
        let dot = |x: &[f64], y: &[f64], x_at: usize, y_at: usize, size: fn(f64) -> f64| {
            (0..d).map(|c| size(x[x_at + c]) * size(y[y_at + c])).sum::<f64>()
        };
        let scores: Vec<f64> = (first..=i).map(|j| scale * dot(q, k, at, key(b, j, head), |v| v)).collect();
        let p = probabilities(&scores);
        let dp: Vec<f64> = (first..=i).map(|j| dot(&dy[0], v, at, key(b, j, head), f64::abs)).collect();
        let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
        for (j, (p, dp)) in (first..=i).zip(p.iter().zip(&dp)) {
            let (ds, to) = (scale * (p + FLUSHED) * (dp + delta), key(b, j, head));
            for c in 0..d {
                terms[2][to + c] += FLUSHED * dy[0][at + c].abs();
                terms[0][at + c] += ds * k[to + c].abs();
                terms[1][to + c] += ds * q[at + c].abs();
            }
        }
    }
    of_dx(terms)
}

/// The softcapped loss: `|dz| = weight·(p + onehot)·(1 + (z/c)²)`, then `|dz|·|w|` and `|dz|ᵀ·|x|`.
pub fn lm_head_loss(values: &[Vec<f64>], dy: &[Vec<f64>], sample: &OpSample) -> Terms {
    let (x, w, cap) = (&values[0], &values[1], sample.scalars[0]);
    let (c, v) = (sample.inputs[0].dims[1], sample.inputs[1].dims[0]);
    let mut terms = [vec![0.0; x.len()], vec![0.0; w.len()]];
    let counted = sample.ids.iter().filter(|&&id| id >= 0).count().max(1) as f64;
    for (row, &target) in sample.ids.iter().enumerate().filter(|(_, target)| **target >= 0) {
        let raw = |word: usize| (0..c).map(|i| x[row * c + i] * w[word * c + i]).sum::<f64>();
        let z: Vec<f64> =
            (0..v).map(|word| if cap > 0.0 { cap * (raw(word) / cap).tanh() } else { raw(word) }).collect();
        for (word, p) in probabilities(&z).into_iter().enumerate() {
            let hit = if word == target as usize { 1.0 } else { 0.0 };
            let capped = if cap > 0.0 { 1.0 + (z[word] / cap) * (z[word] / cap) } else { 1.0 };
            let dz = dy[0][0].abs() / counted * (p + hit) * capped;
            for i in 0..c {
                terms[0][row * c + i] += dz * w[word * c + i].abs();
                terms[1][word * c + i] += dz * x[row * c + i].abs();
            }
        }
    }
    of_dx(terms)
}

/// A feed-forward block with its norm, `x + relu²(rms_norm(x·Uᵀ))·Dᵀ`: the norm's gradient `rstd·(g − n·mean(g·n))` vanishes where
/// all of a row is equal, and with it every derivative.
pub fn feed_forward(values: &[Vec<f64>], dy: &[Vec<f64>], sample: &OpSample) -> Terms {
    let [x, up, down] = [&values[0], &values[1], &values[2]];
    let &[hidden, c] = &sample.inputs[1].dims[..] else { return Terms::default() };
    let mut terms = [vec![0.0; x.len()], vec![0.0; up.len()], vec![0.0; down.len()]];
    for (row, (x, dy)) in x.chunks(c).zip(dy[0].chunks(c)).enumerate() {
        let h: Vec<f64> = up.chunks(c).map(|u| u.iter().zip(x).map(|(u, x)| u * x).sum()).collect();
        let rstd = 1.0 / (h.iter().map(|h| h * h).sum::<f64>() / hidden as f64).sqrt();
        let into = |j: usize| (0..c).map(|i| (dy[i] * down[i * hidden + j]).abs()).sum::<f64>();
        let g: Vec<f64> = (0..hidden).map(|j| 2.0 * (h[j] * rstd).max(0.0) * into(j)).collect();
        let mean = (0..hidden).map(|j| g[j] * (h[j] * rstd).abs()).sum::<f64>() / hidden as f64;
        for (j, g) in g.iter().enumerate() {
            let dh = rstd * (g + (h[j] * rstd).abs() * mean);
            for i in 0..c {
                terms[0][row * c + i] += dh * up[j * c + i].abs();
                terms[1][j * c + i] += dh * x[i].abs();
            }
        }
    }
    of_dx(terms)
}

fn probabilities(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    let e: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}
