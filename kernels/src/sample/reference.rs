//! The definition of a draw: all weights, one walk.

use super::Sample;
use crate::check::host;
use crate::top_k::descending;
use crate::{Reference, Result, View, ViewMut};

/// The token of one row.
fn draw(row: &[f64], u: f64, temperature: f64, top_k: Option<usize>) -> f64 {
    let order = descending(row); // NaN comes first
    let max = row[order[0]];
    if max.is_nan() || (temperature > 0.0 && (max.is_infinite() || u.is_nan())) {
        return -1.0;
    }
    if temperature == 0.0 {
        return order[0] as f64;
    }
    let candidates: Vec<usize> = match top_k {
        Some(k) if k < row.len() => order[..k].to_vec(),
        _ => (0..row.len()).collect(),
    };
    let weight = |i: usize| ((row[i] - max) / temperature).exp();
    let total: f64 = candidates.iter().map(|&i| weight(i)).sum();
    let (mut sum, mut last) = (0.0, order[0]);
    for i in candidates {
        sum += weight(i);
        if weight(i) > 0.0 {
            last = i;
        }
        if sum > u * total {
            break;
        }
    }
    last as f64 // the last possible token, should rounding leave the sum just below u
}

impl Sample for Reference {
    fn sample(
        &self,
        logits: View,
        uniforms: View,
        temperature: f64,
        top_k: Option<usize>,
        mut ids: ViewMut,
    ) -> Result<()> {
        let (rows, v) = (logits.dims()[0], logits.dims()[1]);
        let logits = host("sample", "logits", logits.to_f64())?;
        let u = host("sample", "uniforms", uniforms.to_f64())?;
        let drawn: Vec<f64> =
            (0..rows).map(|r| draw(&logits[r * v..][..v], u[r], temperature, top_k)).collect();
        host("sample", "ids", ids.store_f64(&drawn).then_some(()))
    }
}
